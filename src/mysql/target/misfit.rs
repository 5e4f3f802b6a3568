//! One change of a row that may not fit: tries it, looks at what is in its way, puts the source's row in its place.
//!
//! Used by `replay` inside an open transaction, row by row in the order of the source. What is in the way is read with locks, so that
//! it is still so when the decision commits. Decides nothing but what the policy says, commits nothing.

use std::time::Duration;

use mysql_async::Value;
use mysql_async::prelude::Queryable;

use crate::core::change::{Change, Row};
use crate::core::conflict::{Check, ConflictKind, ConflictPolicy, Image, Incoming, OnConflict};
use crate::core::group::Tables;
use crate::core::net_effect::NetEffect;
use crate::core::shape::TableName;
use crate::mysql::error::Error;
use crate::mysql::quote;
use crate::mysql::session::Session;
use crate::mysql::source::canonical::{self, RowEncoder};
use crate::mysql::target::apply::{ApplySession, Failure};
use crate::mysql::target::picture::{picture, unreadable};
use crate::mysql::target::statement::{Statement, TableSql};

/// Rows in the way that are shown: a row can clash on every unique key.
const FOUND_MAX: usize = 3;
/// Longest search for them: without a usable index the table is read.
const LOOK_LIMIT: Duration = Duration::from_secs(60);
/// A unique value is there already.
const DUPLICATE: u16 = 1062;

/// A change that did not fit.
#[derive(Debug)]
pub(super) struct Misfit {
    pub kind: ConflictKind,
    pub table: TableName,
    pub key: String,
    pub incoming: Incoming,
    pub found: Vec<Image>,
    /// The source cannot win: the row that is missing came with some of its columns only (`binlog_row_image`).
    pub is_stuck: bool,
}

impl Misfit {
    /// For people, in one line.
    pub fn expectation(&self) -> String {
        let operation = &self.incoming.operation;
        match self.kind {
            ConflictKind::Missing => format!("{operation} expected the row, found none (missing)"),
            ConflictKind::Duplicate => format!("{operation} expected no such row, found one (duplicate)"),
            ConflictKind::Different => format!("{operation} expected the row of the source, found another (different)"),
        }
    }
}

/// Where the changes of one table go.
pub(super) struct Place<'a> {
    pub apply: &'a mut ApplySession,
    /// For questions about the table.
    pub control: &'a mut Session,
    pub sql: &'a TableSql,
    pub tables: &'a Tables,
    pub policy: ConflictPolicy,
}

/// What is in the way of a change.
struct Look {
    /// The row of the change's key, and whether all of it is as it was on the source.
    own: Option<(Image, bool)>,
    /// Other rows with a unique value of the new row.
    clashes: Vec<Image>,
    /// The condition that finds those; None: no unique value is known.
    clash_condition: Option<String>,
}

impl Place<'_> {
    /// Applies one change. Some: it did not fit, and was decided as the policy says; a pause is probed as if the source won, so that
    /// what follows meets the rows of the source.
    pub async fn apply_one(&mut self, change: &Change) -> Result<Option<Misfit>, Error> {
        let mut effect = NetEffect::default();
        effect.push(self.tables, change.clone()).map_err(|error| Error::BadRow {
            table: self.sql.name().to_string(),
            reason: error.to_string(),
        })?;
        let mut statements = vec![self.savepoint("SAVEPOINT one")];
        for effect in &effect.finish() {
            let limits = self.apply.limits().row_by_row();
            statements.extend(self.sql.effect(effect, limits, self.policy.check)?);
        }
        if statements.len() == 1 {
            return Ok(None);
        }
        let code = match self.apply.execute(&statements).await {
            Ok(()) => return Ok(None),
            Err(Failure::Statement { error: None, .. }) => None,
            Err(Failure::Statement { error: Some(error), .. }) if error.server_code() == Some(DUPLICATE) => Some(error),
            Err(Failure::Statement { error: Some(error), .. } | Failure::Turn(error) | Failure::Other(error)) => {
                return Err(error);
            }
        };
        self.apply.session().execute("ROLLBACK TO SAVEPOINT one").await?;
        let (before, after) = images(change);
        let exactly = self.exactly(change)?;
        let look = self.look(before, after, &exactly).await?;
        let Some(kind) = self.kind(before.is_some(), &look, code.is_some()) else {
            // All of it is as it should be: only the server sees no difference between the old row and the new one.
            self.put_change(change, &look).await?;
            return Ok(None);
        };
        let misfit = self.misfit(kind, change, &look)?;
        if self.policy.on_conflict != OnConflict::TargetWins {
            self.put_change(change, &look).await?;
        }
        Ok(Some(misfit))
    }

    /// The condition that an old row meets which is as it was on the source, as far as that is known.
    fn exactly(&self, change: &Change) -> Result<String, Error> {
        match change {
            Change::Insert { .. } => Ok("TRUE".into()),
            Change::Update { before, .. } | Change::Delete { before, .. } => self.sql.exactly(before),
            Change::Partial { before, .. } => self.sql.this_image(before, Check::Image),
            Change::Cascade(change) => self.exactly(change),
        }
    }

    fn savepoint(&self, sql: &str) -> Statement {
        Statement {
            sql: sql.into(),
            expected: 0,
            table: std::sync::Arc::clone(self.sql.table()),
            operation: "savepoint",
            key: None,
        }
    }

    fn has_key(&self) -> bool {
        self.sql.table().shape.key.is_some()
    }

    /// None: nothing is wrong with it.
    fn kind(&self, has_before: bool, look: &Look, is_duplicate: bool) -> Option<ConflictKind> {
        let is_compared = self.policy.check == Check::Image;
        match &look.own {
            None if has_before && (self.has_key() || !is_duplicate) => Some(ConflictKind::Missing),
            Some((_, false)) if is_compared => Some(ConflictKind::Different),
            _ if is_duplicate || !look.clashes.is_empty() => Some(ConflictKind::Duplicate),
            // Its values are those of the new row already: the count was wrong.
            Some((_, is_same)) => (!is_same).then_some(ConflictKind::Different),
            None => Some(ConflictKind::Duplicate),
        }
    }

    async fn look(&mut self, before: Option<&Row>, after: Option<&Row>, exactly: &str) -> Result<Look, Error> {
        let own = match before {
            Some(before) if self.has_key() => {
                let key = self.sql.key_condition(before)?;
                self.select(&key, exactly).await?.into_iter().next()
            }
            _ => None,
        };
        let mut clash_condition = match after {
            Some(after) => self.clash_condition(after).await?,
            None => None,
        };
        if let (Some(condition), Some(before)) = (&mut clash_condition, before)
            && self.has_key()
        {
            *condition = format!("({condition}) AND NOT {}", self.sql.key_condition(before)?);
        }
        let clashes = match &clash_condition {
            Some(condition) => self.select(condition, "TRUE").await?,
            None => Vec::new(),
        };
        Ok(Look {
            own,
            clashes: clashes.into_iter().map(|(image, _)| image).collect(),
            clash_condition,
        })
    }

    fn misfit(&self, kind: ConflictKind, change: &Change, look: &Look) -> Result<Misfit, Error> {
        let (before, after) = images(change);
        let table = self.sql.table();
        let operation = match (before, after) {
            (None, _) => "insert",
            (Some(_), None) => "delete",
            (Some(_), Some(_)) => "update",
        };
        let row = before.or(after);
        let own = look.own.iter().filter(|_| kind == ConflictKind::Different);
        let own = own.map(|(image, _)| image);
        Ok(Misfit {
            kind,
            table: table.shape.name.clone(),
            key: row.map(|row| self.sql.key_text(row)).transpose()?.unwrap_or_default(),
            incoming: Incoming {
                operation: operation.into(),
                before: before.map(|row| picture(table, row)),
                after: after.map(|row| picture(table, row)),
            },
            found: own.chain(&look.clashes).cloned().collect(),
            is_stuck: self.policy.on_conflict == OnConflict::SourceWins
                && look.own.is_none()
                && matches!(change.plain(), Change::Partial { after: Some(_), .. }),
        })
    }

    /// Puts the source's row in the place of whatever is in its way.
    async fn put_change(&mut self, change: &Change, look: &Look) -> Result<(), Error> {
        let (before, after) = images(change);
        let is_whole = !matches!(change.plain(), Change::Partial { after: Some(_), .. });
        // From a row that is there the engine cascades, which a delete and an insert would do otherwise.
        let is_cascading = matches!(change, Change::Cascade(_)) && look.own.is_some();
        if is_whole && !is_cascading {
            return self.put(before, after, look).await;
        }
        if look.own.is_none() {
            // A row cannot be made anew of some of its columns: `is_stuck` says so.
            return Ok(());
        }
        if let Some(condition) = &look.clash_condition {
            let sql = format!("DELETE FROM {} WHERE {condition}", self.sql.quoted_name());
            self.apply.session().execute(sql).await?;
        }
        let mut statements = Vec::new();
        self.sql.in_order(change, Check::Key, &mut statements)?;
        for statement in statements {
            self.apply.session().execute(statement.sql).await?;
        }
        Ok(())
    }

    async fn put(&mut self, before: Option<&Row>, after: Option<&Row>, look: &Look) -> Result<(), Error> {
        let name = self.sql.quoted_name().to_owned();
        if let Some(before) = before {
            let sql = if self.has_key() {
                format!("DELETE FROM {name} WHERE {}", self.sql.key_condition(before)?)
            } else {
                self.sql.delete_exactly(before)?.sql
            };
            self.apply.session().execute(sql).await?;
        }
        let Some(after) = after else { return Ok(()) };
        if let Some(condition) = &look.clash_condition {
            let sql = format!("DELETE FROM {name} WHERE {condition}");
            self.apply.session().execute(sql).await?;
        }
        let mut inserts = self.sql.insert([after].into_iter(), self.apply.limits().row_by_row())?;
        match self.apply.execute(&inserts).await {
            Ok(()) => Ok(()),
            // A unique key of expressions, which no condition here finds.
            Err(Failure::Statement { error: Some(error), .. }) if error.server_code() == Some(DUPLICATE) => {
                let insert = inserts.pop().ok_or(error)?;
                let sql = insert.sql.replacen("INSERT", "REPLACE", 1);
                self.apply.session().execute(sql).await.map(drop)
            }
            Err(Failure::Statement { error: None, .. }) => Err(self.control.unexpected(
                format!("a row of {name} that is skipped"),
                "the source's row put in its place",
            )),
            Err(Failure::Statement { error: Some(error), .. } | Failure::Turn(error) | Failure::Other(error)) => Err(error),
        }
    }

    /// Rows that meet a condition, locked, and whether `exactly` holds for each.
    async fn select(&mut self, condition: &str, exactly: &str) -> Result<Vec<(Image, bool)>, Error> {
        let table = std::sync::Arc::clone(self.sql.table());
        let sql = format!(
            "SELECT {}, ({exactly}) FROM {} WHERE {condition} LIMIT {FOUND_MAX} FOR UPDATE",
            canonical::select_list(&table.shape),
            self.sql.quoted_name()
        );
        let session = self.apply.session();
        // Strings as they are stored, which is what an image is made of.
        session.execute("SET SESSION character_set_results = NULL").await?;
        let found = session
            .within(LOOK_LIMIT, "the search for the row in the way", async |conn| {
                conn.exec::<mysql_async::Row, _, _>(sql, ()).await
            })
            .await?;
        session.execute("SET SESSION character_set_results = utf8mb4").await?;
        let mut encoder = RowEncoder::new(&table.shape);
        let image = |row: mysql_async::Row| {
            let mut values = row.unwrap();
            let is_exact = matches!(values.pop(), Some(Value::Int(1) | Value::UInt(1)));
            match encoder.encode(&values) {
                Ok(row) => (picture(&table, &row), is_exact),
                Err(error) => (unreadable(&error.to_string()), is_exact),
            }
        };
        Ok(found.into_iter().map(image).collect())
    }

    /// Finds rows that have one of the new row's unique values; a key of expressions is not looked at.
    async fn clash_condition(&mut self, after: &Row) -> Result<Option<String>, Error> {
        let shape = &self.sql.table().shape;
        let sql = format!(
            "SELECT index_name, column_name, sub_part FROM information_schema.statistics WHERE table_schema = {} AND table_name = {} \
             AND non_unique = 0 ORDER BY index_name, seq_in_index",
            quote::text(&shape.name.schema),
            quote::text(&shape.name.table)
        );
        let parts: Vec<(String, Option<String>, Option<u64>)> = self.control.rows(sql).await?;
        let mut keys: Vec<(String, Option<Vec<String>>)> = Vec::new();
        for (index, column, prefix) in parts {
            let condition = match column {
                Some(column) => self.equals(after, &column, prefix)?,
                None => None,
            };
            match keys.last_mut().filter(|(known, _)| *known == index) {
                Some((_, conditions)) => {
                    *conditions = conditions.take().zip(condition).map(|(mut all, one)| {
                        all.push(one);
                        all
                    });
                }
                None => keys.push((index, condition.map(|one| vec![one]))),
            }
        }
        let keys = keys.into_iter().filter_map(|(_, conditions)| conditions);
        let keys: Vec<String> = keys.map(|conditions| format!("({})", conditions.join(" AND "))).collect();
        Ok((!keys.is_empty()).then(|| format!("({})", keys.join(" OR "))))
    }

    /// The part of a unique key, as the server compares it; None: NULL, which clashes with nothing, or no column of ours.
    fn equals(&self, row: &Row, column: &str, prefix: Option<u64>) -> Result<Option<String>, Error> {
        let columns = &self.sql.table().shape.columns;
        let same_name = |at: &usize| columns[*at].name.to_lowercase() == column.to_lowercase();
        let Some(at) = (0..columns.len()).find(same_name) else {
            return Ok(None);
        };
        let Some(value) = self.sql.value(row, at)? else {
            return Ok(None);
        };
        let name = self.sql.quoted_column(at);
        Ok(Some(match prefix {
            None => format!("{name} = {value}"),
            Some(length) => format!("LEFT({name}, {length}) = LEFT({value}, {length})"),
        }))
    }
}

fn images(change: &Change) -> (Option<&Row>, Option<&Row>) {
    match change {
        Change::Insert { after, .. } => (None, Some(after)),
        Change::Update { before, after, .. } => (Some(before), Some(after)),
        Change::Delete { before, .. } => (Some(before), None),
        Change::Partial { before, after, .. } => (Some(&before.row), after.as_ref().map(|after| &after.row)),
        Change::Cascade(change) => images(change),
    }
}
