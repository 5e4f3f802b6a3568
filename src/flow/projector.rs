//! Puts what the merger emits into the form the target gets: other columns, fewer rows, fewer kinds of change.
//!
//! Stands between `flow::merge_stage` and the sender, behind the merger: the order, the copy and its folds work on whole rows of
//! the source. What happens to a row is `core::projection`; rows that only the source server can judge are asked of it first
//! (`mysql::source::filter_oracle`), an item's at once.

use std::collections::HashMap;

use crate::core::change::{Chunk, Item, Row, TxnPart};
use crate::core::gtid_set::Gtid;
use crate::core::job_spec::DatabaseSpec;
use crate::core::projection::{Projection, ProjectionError};
use crate::core::row::RowError;
use crate::core::shape::{ShapeId, TableShape};
use crate::flow::error::FlowError;
use crate::flow::source_start::shape_id;
use crate::mysql::error::Error;
use crate::mysql::source::filter_oracle::{FilterOracle, Question};

/// The projections of a job's tables.
#[derive(Debug)]
pub struct Projector {
    /// Tables whose rows do not travel as they are.
    tables: HashMap<ShapeId, Mapped>,
    oracle: FilterOracle,
}

#[derive(Debug)]
struct Mapped {
    name: String,
    projection: Projection,
}

impl Projector {
    /// Element n of `shapes` is shape n; `source` judges what cannot be judged here.
    ///
    /// # Errors
    /// A filter does not fit its table: it was made for another one.
    pub fn new(source: DatabaseSpec, shapes: &[TableShape]) -> Result<Self, Error> {
        let mut tables = HashMap::new();
        for (at, shape) in shapes.iter().enumerate() {
            let name = shape.name.to_string();
            let projection = Projection::of(shape).map_err(|reason| Error::BadRow {
                table: name.clone(),
                reason,
            })?;
            if let Some(projection) = projection {
                tables.insert(shape_id(at), Mapped { name, projection });
            }
        }
        Ok(Self {
            tables,
            oracle: FilterOracle::new(source),
        })
    }

    /// The item as the target gets it. A transaction stays one, also when nothing of it is left.
    ///
    /// # Errors
    /// A row does not fit its shape, or the server could not be asked.
    pub async fn project(&mut self, item: Item) -> Result<Item, FlowError> {
        if self.tables.is_empty() {
            return Ok(item);
        }
        let questions = questions(&self.tables, &item)?;
        if !questions.is_empty() {
            self.oracle.ask(questions).await?;
        }
        Ok(match item {
            Item::Txn(part) => Item::Txn(self.part(part)?),
            Item::Chunk(chunk) => Item::Chunk(self.chunk(chunk)?),
            other => other,
        })
    }

    fn part(&self, mut part: TxnPart) -> Result<TxnPart, Error> {
        let mut changes = Vec::with_capacity(part.changes.len());
        for change in part.changes {
            let shape = change.shape();
            match self.tables.get(&shape) {
                Some(table) => {
                    let projected = table.projection.change(change, |row| self.passes(shape, table, row));
                    changes.extend(projected.map_err(|error| not_projected(table, error, &part.gtid))?);
                }
                None => changes.push(change),
            }
        }
        part.changes = changes;
        Ok(part)
    }

    /// Rows that came by the SELECT passed there; those that the stream folded in did not yet.
    fn chunk(&self, mut chunk: Chunk) -> Result<Chunk, Error> {
        let Some(table) = self.tables.get(&chunk.shape) else {
            return Ok(chunk);
        };
        let mut rows = Vec::with_capacity(chunk.rows.len());
        for row in chunk.rows {
            let projected = match self.passes(chunk.shape, table, &row) {
                Ok(true) => table.projection.row(row).map(|row| rows.push(row)),
                Ok(false) => Ok(()),
                Err(error) => Err(error),
            };
            projected.map_err(|error| bad_row(table, &error))?;
        }
        chunk.rows = rows;
        Ok(chunk)
    }

    fn passes(&self, shape: ShapeId, table: &Mapped, row: &Row) -> Result<bool, RowError> {
        let Some(filter) = table.projection.filter() else {
            return Ok(true);
        };
        match filter.decides(row)? {
            Some(passes) => Ok(passes),
            None => Ok(self
                .oracle
                .answer(shape, filter.constants(row)?)
                .expect("every row that is not decided was asked before")),
        }
    }
}

/// The rows of an item that only the server can judge.
fn questions<'a>(tables: &'a HashMap<ShapeId, Mapped>, item: &Item) -> Result<Vec<Question<'a>>, Error> {
    let mut questions = Vec::new();
    let mut look = |shape: ShapeId, row: &Row| {
        let Some(table) = tables.get(&shape) else { return Ok(()) };
        let Some(filter) = table.projection.filter() else {
            return Ok(());
        };
        let asked = match filter.decides(row) {
            Ok(Some(_)) => return Ok(()),
            Ok(None) => filter.constants(row),
            Err(error) => Err(error),
        };
        questions.push(Question {
            shape,
            filter,
            constants: asked.map_err(|error| bad_row(table, &error))?,
        });
        Ok(())
    };
    match item {
        Item::Txn(part) => {
            for change in &part.changes {
                let Some(table) = tables.get(&change.shape()) else { continue };
                let judged = table.projection.judged(change);
                for row in judged.map_err(|error| not_projected(table, error, &part.gtid))? {
                    look(change.shape(), &row)?;
                }
            }
        }
        Item::Chunk(chunk) => chunk.rows.iter().try_for_each(|row| look(chunk.shape, row))?,
        Item::Start { .. } | Item::Shape { .. } | Item::Reset { .. } | Item::Ddl(_) => {}
    }
    Ok(questions)
}

fn not_projected(table: &Mapped, error: ProjectionError, gtid: &Gtid) -> Error {
    match error {
        ProjectionError::Row(error) => bad_row(table, &error),
        error @ (ProjectionError::Lacks { .. } | ProjectionError::Enters) => Error::NotReplicable {
            gtid: gtid.to_string(),
            found: format!("{}: {error}", table.name),
            expected: "all columns of a table with a filter".into(),
            fix: "set binlog_row_image = FULL and binlog_row_value_options = '' on the source for all sessions, then copy the tables \
                  again with a new job; or take `where` out of the job"
                .into(),
        },
        error @ ProjectionError::Cascades => Error::NotReplicable {
            gtid: gtid.to_string(),
            found: format!("{}: {error}", table.name),
            expected: "a table that is carried as it is, as all that refer to it".into(),
            fix: "take `where`, `columns`, `to`, `merge` and `filter.skip` off the tables with this foreign key and copy them with a new job"
                .into(),
        },
    }
}

fn bad_row(table: &Mapped, error: &RowError) -> Error {
    Error::BadRow {
        table: table.name.clone(),
        reason: error.to_string(),
    }
}
