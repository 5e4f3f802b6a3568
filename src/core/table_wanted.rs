//! The tables a job asks for, whether they are there or not, and what it does to the rows of one.
//!
//! Made from the job's spec at both ends; asked about every name that a change of definitions brings.

use std::collections::BTreeMap;

use crate::core::shape::TableName;
use crate::core::table_choice::{Chosen, Selection, choose_one};

/// The tables a job asks for, there or not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// By name.
    pub exact: Vec<TableName>,
    /// By rule.
    pub selection: Selection,
}

impl Wanted {
    /// What becomes of a table of this name; None: the job does not want it.
    #[must_use]
    pub fn choice(&self, name: &TableName) -> Option<Chosen> {
        choose_one(&self.exact, &self.selection, name)
    }

    /// A table of this name does not go as it is: its name, columns, rows or kinds of change are others on the target.
    #[must_use]
    pub fn is_changed(&self, name: &TableName) -> bool {
        let is_other = |chosen: Chosen| chosen.to != *name || chosen.way() != Way::default();
        !self.selection.skip.is_empty() || self.choice(name).is_some_and(is_other)
    }
}

/// What happens to the rows of a table, whatever its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Way {
    filter: Option<String>,
    columns: Vec<String>,
    renamed: BTreeMap<String, String>,
    merge: bool,
}

impl Chosen {
    /// What happens to its rows.
    #[must_use]
    pub fn way(&self) -> Way {
        self.rule.as_ref().map_or_else(Way::default, |rule| Way {
            filter: rule.filter.clone(),
            columns: rule.columns.clone(),
            renamed: rule.to.columns.clone(),
            merge: rule.merge,
        })
    }
}
