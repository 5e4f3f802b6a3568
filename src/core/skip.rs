//! Orders to pass over one source transaction: who gave them, and when one would do harm.
//!
//! Kept in the job's record (`core::job_record`), only added to within an incarnation; the sink of whichever peer owns the job drops
//! the rows when the transaction comes, and the source does not read them. What is applied already is not touched by an order.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::core::ddl::{Ddl, DdlStep};
use crate::core::ddl_policy::DdlKind;
use crate::core::gtid_set::{Gtid, GtidSet};
use crate::core::job_record::{Extra, canonical_json};
use crate::core::shape::TableShape;

/// Orders kept per job, the newest. A person who passes over more in one incarnation wants `on_conflict` (guess).
pub const SKIPS_MAX: usize = 64;
/// Most characters of a reason.
pub const REASON_CHARS_MAX: usize = 200;

/// One order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Skip {
    /// When it was given, for people.
    pub at: String,
    /// Through which peer.
    pub author: String,
    /// Why.
    pub reason: String,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Orders by the canonical text of their GTID.
pub type Skips = BTreeMap<String, Skip>;

/// Returns the newest orders of both.
#[must_use]
pub fn merge(a: &Skips, b: &Skips) -> Skips {
    let text = |skip: &Skip| canonical_json(&serde_json::to_value(skip).expect("an order holds only JSON values"));
    let mut all: Vec<(String, Skip)> = a.iter().chain(b).map(|(gtid, skip)| (gtid.clone(), skip.clone())).collect();
    all.sort_by(|(x_gtid, x), (y_gtid, y)| (&y.at, y_gtid, text(y)).cmp(&(&x.at, x_gtid, text(x))));
    let mut joined = Skips::new();
    for (gtid, skip) in all {
        if joined.len() < SKIPS_MAX {
            joined.entry(gtid).or_insert(skip);
        }
    }
    joined
}

/// The transactions as a set; what cannot be read is none.
#[must_use]
pub fn set_of(skips: &Skips) -> GtidSet {
    let mut set = GtidSet::default();
    for gtid in skips.keys().filter_map(|text| Gtid::parse(text).ok()) {
        set.add(&gtid);
    }
    set
}

/// What is left of a change of definitions that is passed over: the tables it takes out of the job. Err: why it cannot be passed over,
/// the rows behind it could not be read or would silently be missing.
pub fn ddl_without_effect(ddl: &Ddl, known: &[TableShape]) -> Result<Ddl, String> {
    let mut left = ddl.clone();
    left.steps.clear();
    for step in &ddl.steps {
        match step {
            DdlStep::Execute { .. } if matches!(ddl.kind, DdlKind::CreateIndex | DdlKind::DropIndex) => {}
            DdlStep::Execute { table } => return Err(format!("the rows of {table} behind it have another form")),
            DdlStep::Rename { pairs, .. } => {
                let names: Vec<String> = pairs.iter().map(|(from, _)| from.to_string()).collect();
                return Err(format!("the rows behind it come under other names than {}", names.join(", ")));
            }
            DdlStep::Replace { table, .. } if known.iter().any(|shape| shape.name == *table) => {
                return Err(format!("{table} is another table behind it"));
            }
            // A table that was to come into the job: its rows are not asked for.
            DdlStep::Replace { .. } => {}
            DdlStep::Drop { .. } | DdlStep::Truncate { .. } => left.steps.push(step.clone()),
        }
    }
    Ok(left)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::core::change::BinlogPosition;
    use crate::core::net_effect::tests::shape_with_key;

    fn ddl(kind: DdlKind, steps: Vec<DdlStep>) -> Ddl {
        Ddl {
            gtid: Gtid::parse("3e11fa47-71ca-11e1-9e33-c80aa9429562:7").expect("is one"),
            commit_us: 0,
            position: BinlogPosition::default(),
            statement: Vec::new(),
            session: Default::default(),
            kind,
            steps,
        }
    }

    #[test]
    fn what_gives_rows_another_form_cannot_be_passed_over() {
        let (shape, table) = (shape_with_key(), shape_with_key().name);
        let known = [shape];
        let execute = || vec![DdlStep::Execute { table: table.clone() }];
        assert!(ddl_without_effect(&ddl(DdlKind::AlterTable, execute()), &known).is_err());
        assert!(ddl_without_effect(&ddl(DdlKind::CreateIndex, execute()), &known).is_ok());
        let renamed = DdlStep::Rename {
            pairs: vec![(table.clone(), table.clone())],
            moved: Vec::new(),
        };
        assert!(ddl_without_effect(&ddl(DdlKind::RenameTable, vec![renamed]), &known).is_err());
        let replace = || {
            vec![DdlStep::Replace {
                table: table.clone(),
                by: None,
            }]
        };
        assert!(ddl_without_effect(&ddl(DdlKind::RenameTable, replace()), &known).is_err());
        let new = ddl_without_effect(&ddl(DdlKind::CreateTable, replace()), &[]).expect("nothing is lost");
        assert!(new.steps.is_empty(), "{new:?}");
        let dropped = vec![DdlStep::Drop { table: table.clone() }];
        let left = ddl_without_effect(&ddl(DdlKind::DropTable, dropped.clone()), &known);
        assert_eq!(left.expect("leaves the job").steps, dropped);
    }

    fn some_skips() -> impl Strategy<Value = Skips> {
        prop::collection::btree_map(0u32..200, (0u32..9, 0u32..3), 0..80).prop_map(|orders| {
            let skip = |(gtid, (at, reason)): (u32, (u32, u32))| {
                let skip = Skip {
                    at: at.to_string(),
                    reason: reason.to_string(),
                    ..Skip::default()
                };
                (format!("s:{gtid:03}"), skip)
            };
            merge(&orders.into_iter().map(skip).collect(), &Skips::new())
        })
    }

    proptest! {
        #[test]
        fn orders_of_several_peers_join_in_any_order(a in some_skips(), b in some_skips(), c in some_skips()) {
            let left = merge(&merge(&a, &b), &c);
            prop_assert_eq!(&left, &merge(&a, &merge(&c, &b)));
            prop_assert_eq!(&left, &merge(&left, &b));
            prop_assert!(left.len() <= SKIPS_MAX);
        }
    }
}
