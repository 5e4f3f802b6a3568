//! The pieces of a copy in the target: a chunk's rows, and a table that begins anew.
//!
//! Part of `writer`, fed by `flow::applier`. Each commits the copy row with what it did to the table.

use crate::core::change::{BinlogPosition, Change, Chunk, CopyRow};
use crate::core::ids::Seq;
use crate::core::progress::Progress;
use crate::core::shape::{ShapeId, TableName};
use crate::mysql::error::Error;
use crate::mysql::quote;
use crate::mysql::target::apply::Failure;
use crate::mysql::target::progress_store::copy_statement;
use crate::mysql::target::replay::{Origin, is_of_a_row};
use crate::mysql::target::shared;
use crate::mysql::target::writer::{Target, unknown_shape};

impl Target {
    /// Commits a chunk of the copy: its rows, its copy row and progress. Progress itself stays where it is.
    pub async fn apply_chunk(&mut self, chunk: &Chunk) -> Result<Seq, Error> {
        let sql = self.table(chunk.shape)?;
        let statements = sql.insert(chunk.rows.iter(), self.apply.limits())?;
        let (next, copied) = self.with_chunk(chunk)?;
        let inside = [copied];
        match self.try_commit(&statements, &inside, &next, 0).await {
            Ok(()) => Ok(self.committed(next)),
            Err(failure) if is_of_a_row(&failure) => {
                let insert = |row: &crate::core::change::Row| Change::Insert {
                    shape: chunk.shape,
                    after: row.clone(),
                };
                let changes: Vec<Change> = chunk.rows.iter().map(insert).collect();
                let position = BinlogPosition::default();
                let origin = Origin {
                    gtid: "",
                    position: &position,
                };
                self.by_rows(|| changes.iter(), origin, &inside, next, 0).await
            }
            Err(failure) => Err(self.explain(failure, &statements).await),
        }
    }

    /// Progress with this chunk, and the statement that keeps its copy row.
    pub(super) fn with_chunk(&self, chunk: &Chunk) -> Result<(Progress, String), Error> {
        let name = self.source_name(chunk.shape)?;
        let mut next = self.next_progress();
        let (at, row) = find_copy(&mut next.copy, &name)?;
        if chunk.high.is_some() {
            row.cursor.clone_from(&chunk.high);
        }
        row.rows += chunk.rows.len() as u64;
        row.is_done = chunk.is_last;
        let copied = copy_statement(&self.meta, &self.job, at, row);
        Ok((next, copied))
    }

    /// Empties a table and its copy row, in one transaction: its copy starts anew.
    pub async fn reset(&mut self, shape: ShapeId) -> Result<Seq, Error> {
        let (name, written) = (self.source_name(shape)?, self.table(shape)?.name().clone());
        let mut next = self.next_progress();
        let known = self.progress().shapes[shape.0 as usize].clone();
        let shapes = self.progress().shapes.clone();
        let others = shared::others(&mut self.control, &self.meta, &self.job, &shapes, &known).await?;
        if let Some(other) = others.first() {
            return Err(shared::no_reset(&known, other));
        }
        let (at, row) = find_copy(&mut next.copy, &name)?;
        (row.cursor, row.rows, row.is_done) = (None, 0, false);
        let inside = [copy_statement(&self.meta, &self.job, at, row)];
        self.apply.begin().await?;
        if let Err(error) = self.apply.empty(&quote::table(&written)).await {
            return Err(self.undo(Failure::Other(error)).await);
        }
        let turn = self.turn(&next, 0);
        match self.apply.turn(&inside, &turn).await {
            Ok(()) => Ok(self.committed(next)),
            Err(failure) => Err(self.undo(failure).await),
        }
    }

    /// Copy rows have the name that the table has on the source.
    fn source_name(&self, id: ShapeId) -> Result<TableName, Error> {
        let shape = self.progress().shapes.get(id.0 as usize);
        Ok(shape.ok_or_else(|| unknown_shape(id))?.name.clone())
    }
}

fn find_copy<'a>(copy: &'a mut [CopyRow], name: &TableName) -> Result<(usize, &'a mut CopyRow), Error> {
    let at = copy.iter().position(|row| row.table == *name);
    let at = at.ok_or_else(|| Error::BadRow {
        table: name.to_string(),
        reason: "expected a copy row, found none".into(),
    })?;
    Ok((at, &mut copy[at]))
}
