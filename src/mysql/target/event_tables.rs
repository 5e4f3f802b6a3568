//! Which tables of the target take row events, and what a group becomes: events where they are taken and pay, SQL elsewhere.
//!
//! Part of `writer`. Known anew for each stream and after each change of definitions: whoever changes a table of the target in
//! between has the columns of the events in another place, as with MySQL's own replica. When the server refuses events whose rows
//! fit as SQL, no more are sent on this stream.

use std::sync::Arc;

use tracing::warn;

use crate::core::change::Change;
use crate::core::conflict::{Check, OnConflict};
use crate::core::group::Group;
use crate::core::minimal_image::MinimalImages;
use crate::core::net_effect::TableEffect;
use crate::core::shape::ShapeId;
use crate::mysql::error::Error;
use crate::mysql::source::inspect;
use crate::mysql::target::progress_store::beat_statement;
use crate::mysql::target::row_events::RowEvents;
use crate::mysql::target::statement::{Statement, StatementLimits, TableSql};
use crate::mysql::target::writer::{Target, unknown_shape};

/// Fewer rows of a group go as SQL: in one packet with what commits them, which events cannot (facts/apply "traps").
pub(super) const GROUP_ROWS_MIN: usize = 16;

/// Tables that are looked at between two signs of life: a question to the server each.
const TABLES_PER_BEAT: usize = 500;

/// How the rows of one table are written.
#[derive(Clone, Debug)]
pub(super) struct TableForm {
    pub sql: Arc<TableSql>,
    /// None: as SQL.
    pub events: Option<Arc<RowEvents>>,
}

impl TableForm {
    /// What one effect takes; fewer than `rows_min` rows go as SQL when their counts tell enough.
    pub fn statements(
        &self,
        effect: &TableEffect,
        rows_min: usize,
        limits: StatementLimits,
        check: Check,
    ) -> Result<Vec<Statement>, Error> {
        let events = self
            .events
            .as_ref()
            .filter(|_| (effect.rows() >= rows_min || effect.is_uncountable) && check == Check::Key);
        let Some(mut statements) = events.map(|events| events.statements(effect, limits)).transpose()?.flatten() else {
            return self.sql.effect(effect, limits, check);
        };
        for change in &effect.in_order {
            self.sql.in_order(change, check, &mut statements)?;
        }
        Ok(statements)
    }
}

impl Target {
    /// Finds out which tables take row events.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn look_for_events(&mut self) -> Result<(), Error> {
        self.events = vec![None; self.tables.len()];
        self.is_minimal_told = false;
        if !self.apply.takes_row_events().await? {
            return Ok(());
        }
        for (at, sql) in self.tables.iter().enumerate() {
            let Some(sql) = sql else { continue };
            if at % TABLES_PER_BEAT == TABLES_PER_BEAT - 1 {
                let sql = beat_statement(&self.meta, &self.job, self.epoch);
                self.control.execute(sql).await?;
            }
            // A type this version does not know is not what the shape has.
            let columns = match inspect::columns(&mut self.control, sql.name()).await {
                Err(error) if error.is_connection_gone() => return Err(error),
                columns => columns.unwrap_or_default(),
            };
            if columns == sql.table().shape.columns {
                self.events[at] = RowEvents::of(sql).map(Arc::new);
            }
        }
        Ok(())
    }

    /// When it changed: tables of which the key and the changed columns are enough. None of them while rows are compared, or rows that do
    /// not fit are put in place: that takes whole rows.
    pub fn minimal_change(&mut self) -> Option<Vec<ShapeId>> {
        if std::mem::replace(&mut self.is_minimal_told, true) {
            return None;
        }
        let tables = self.minimal_tables();
        self.may_be_cut |= !tables.is_empty();
        Some(tables)
    }

    fn minimal_tables(&self) -> Vec<ShapeId> {
        if self.is_whole_wanted || self.policy.check != Check::Key || self.policy.on_conflict != OnConflict::Pause {
            return Vec::new();
        }
        let takes_images = |id: &ShapeId| {
            let form = self.form(*id).ok();
            let events = form.and_then(|form| form.events);
            events.is_some_and(|events| events.takes_images() && MinimalImages::of(&events.table().shape).is_some())
        };
        let ids = (0..self.events.len()).filter_map(|at| u32::try_from(at).ok());
        ids.map(ShapeId).filter(takes_images).collect()
    }

    /// A group did not fit of which the source had cut images: it is to come again with whole rows, by which people see what happened.
    #[must_use]
    pub fn is_whole_wanted(&self) -> bool {
        self.is_whole_wanted
    }

    /// Whether that is so of this group. Its images may also be the source's own, which come no other way: it is asked for once.
    pub(super) fn wants_whole(&mut self, group: &Group) -> bool {
        let mut changes = group.parts.iter().flat_map(|part| &part.changes);
        let is_asked = self.may_be_cut && !self.is_whole_wanted;
        let is_wanted = is_asked && changes.any(|change| matches!(change, Change::Partial { .. }));
        self.is_whole_wanted |= is_wanted;
        is_wanted
    }

    /// How the rows of a table are written.
    pub(super) fn form(&self, id: ShapeId) -> Result<TableForm, Error> {
        Ok(TableForm {
            sql: Arc::clone(Self::find(&self.tables, id)?),
            events: self.events.get(id.0 as usize).ok_or_else(|| unknown_shape(id))?.clone(),
        })
    }

    /// The connection of single groups takes events as the others do; between two transactions.
    pub(super) async fn ready_for_events(&mut self) -> Result<(), Error> {
        let has_events = self.events.iter().any(Option::is_some);
        if has_events && !self.apply.takes_row_events().await? {
            self.events.fill(None);
            self.is_minimal_told = false;
        }
        Ok(())
    }

    /// What a group takes; of a table with fewer than `rows_min` rows in it as SQL.
    pub(super) fn group_statements(&self, group: &Group, rows_min: usize) -> Result<Vec<Statement>, Error> {
        let limits = self.apply.limits();
        let mut statements = Vec::new();
        for effect in &group.tables {
            let form = self.form(effect.shape)?;
            statements.extend(form.statements(effect, rows_min, limits, self.policy.check)?);
        }
        Ok(statements)
    }

    /// The server refused events whose rows fit as SQL.
    pub(super) fn give_events_up(&mut self) {
        warn!(job = %self.job.name, "the target refused row events whose rows fit as SQL: no more are sent on this stream");
        self.events.fill(None);
        self.is_minimal_told = false;
    }
}
