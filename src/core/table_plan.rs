//! The tables of a job as `peer plan` shows them: each with its name and columns on the target.
//!
//! Made by a peer that reaches the source (`flow::prerequisites`), travels as JSON, printed by `admin`.

use serde::{Deserialize, Serialize};

use crate::core::fault::Fault;
use crate::core::shape::TableShape;
use crate::core::table_writers::Own;

/// What the source has of the tables a job chooses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TablesPlan {
    /// The tables; None: not known.
    pub tables: Option<Vec<TablePlan>>,
    /// Why not, or why the job would be refused.
    pub faults: Vec<Fault>,
    /// The same tables, as they are compared with those of other jobs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub own: Vec<Own>,
}

/// One table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TablePlan {
    /// `schema.table` on the source.
    pub source: String,
    /// `schema.table` on the target.
    pub target: String,
    /// The columns of the target, in order; empty: all, as they are.
    pub columns: Vec<ColumnPlan>,
    /// Rows that are replicated, as SQL; None: all.
    #[serde(rename = "where")]
    pub filter: Option<String>,
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnPlan {
    /// Its name on the source.
    pub source: String,
    /// Its name on the target.
    pub target: String,
}

impl TablesPlan {
    /// The tables are not known.
    #[must_use]
    pub fn unknown(faults: Vec<Fault>) -> Self {
        Self {
            tables: None,
            faults,
            own: Vec::new(),
        }
    }
}

impl TablePlan {
    /// What becomes of a table.
    #[must_use]
    pub fn of(shape: &TableShape) -> Self {
        let map = shape.map.as_ref();
        let columns = map.map_or(&[][..], |map| &map.columns).iter().map(|mapped| ColumnPlan {
            source: shape.columns[mapped.at].name.clone(),
            target: mapped.name.clone(),
        });
        Self {
            source: shape.name.to_string(),
            target: map.map_or(&shape.name, |map| &map.to).to_string(),
            columns: columns.collect(),
            filter: map.and_then(|map| map.filter.clone()),
        }
    }
}
