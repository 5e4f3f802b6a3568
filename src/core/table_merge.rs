//! Whether several tables of the source may become one table of the target: when a person says so, or when their keys cannot clash.
//!
//! Used by `table_choice` for the tables of one job, by `table_writers` (before a job starts) and `mysql::target::shared` (when it does) for
//! those of several. Proves only what is plain: two `where` that bound the same column of the key by numbers, without a number in common.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use crate::core::expr::{Comparison, Expr};
use crate::core::expr_parse::parse;
use crate::core::fault::Fault;
use crate::core::shape::TableShape;
use crate::core::table_choice::Chosen;

/// Two tables would be one on the target.
pub(super) const TWO_SOURCES: &str = "PEER1122";

/// Which rows of a table travel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rows {
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    filter: Option<String>,
    /// Names of columns, on the source in lower case and on the target.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    renamed: BTreeMap<String, String>,
}

impl Rows {
    /// Those of a table as a job chooses it.
    #[must_use]
    pub fn of_chosen(chosen: &Chosen) -> Self {
        let Some(rule) = &chosen.rule else { return Self::default() };
        let renamed = rule.to.columns.iter().map(|(old, new)| (old.to_lowercase(), new.clone()));
        Self {
            filter: rule.filter.clone(),
            renamed: renamed.collect(),
        }
    }

    /// Those of a table with its way.
    #[must_use]
    pub fn of_shape(shape: &TableShape) -> Self {
        let Some(map) = &shape.map else { return Self::default() };
        let renamed = map
            .columns
            .iter()
            .map(|mapped| (shape.columns[mapped.at].name.to_lowercase(), mapped.name.clone()));
        Self {
            filter: map.filter.clone(),
            renamed: renamed.collect(),
        }
    }

    /// Between which numbers its columns lie, by their names on the target in lower case.
    fn ranges(&self) -> BTreeMap<String, Range> {
        let mut ranges = BTreeMap::new();
        let Some(parsed) = self.filter.as_deref().and_then(|text| parse(text).ok()) else {
            return ranges;
        };
        let mut narrow = |column: usize, range: Range| {
            let name = parsed.names[column].to_lowercase();
            let name = self.renamed.get(&name).map_or(name, |new| new.to_lowercase());
            let known: &mut Range = ranges.entry(name).or_default();
            *known = known.and(range);
        };
        collect(&parsed.expr, &mut narrow);
        ranges
    }
}

/// A column of the target that no row of both has the same number in, in lower case. Only of use when it is part of the key.
#[must_use]
pub fn apart_by(one: &Rows, other: &Rows) -> Option<String> {
    let others = other.ranges();
    let is_apart = |(name, range): &(String, Range)| others.get(name).is_some_and(|other| range.and(*other).is_empty());
    one.ranges().into_iter().find(is_apart).map(|(name, _)| name)
}

/// A table and another one that go into one table of the target: a key may come from both, and nobody says that none does. `key` are the
/// columns of the first one's key on the target, in lower case; None: not known.
#[must_use]
pub fn may_clash(is_merged: bool, rows: &Rows, key: Option<&[String]>, other: &Rows) -> bool {
    let is_of_key = |column: String| key.is_none_or(|key| key.contains(&column));
    !is_merged && !apart_by(rows, other).is_some_and(is_of_key)
}

/// Every two tables that would be one on the target without anybody saying so, compared without case: many servers fold it.
/// Tables that are apart by a column are told which: it must be part of their key.
pub(super) fn clashes(chosen: &mut [Chosen]) -> Vec<Fault> {
    let mut together: HashMap<String, Vec<usize>> = HashMap::new();
    for (at, table) in chosen.iter().enumerate() {
        together.entry(table.to.to_string().to_lowercase()).or_default().push(at);
    }
    let mut faults = Vec::new();
    let mut pairs: Vec<(usize, usize)> = together
        .values()
        .flat_map(|group| {
            group
                .iter()
                .enumerate()
                .flat_map(|(n, one)| group[..n].iter().map(|other| (*other, *one)))
        })
        .collect();
    pairs.sort_unstable();
    for (first, second) in pairs {
        let (one, other) = (&chosen[first], &chosen[second]);
        let is_wanted = |table: &Chosen| table.rule.as_ref().is_some_and(|rule| rule.merge);
        if is_wanted(one) && is_wanted(other) {
            continue;
        }
        match apart_by(&Rows::of_chosen(one), &Rows::of_chosen(other)) {
            Some(column) => [first, second].map(|at| chosen[at].apart.push(column.clone())).into_iter().collect(),
            None => faults.push(Fault::new(
                TWO_SOURCES,
                format!("table {} of the target", one.to),
                format!("two sources, {} and {}", one.name, other.name),
                "one table of the source for each table of the target: their keys could clash",
                "give one of them another name with `to`, leave one out with [[exclude]], bound the key of both by `where`, or write \
                 merge = true in the [[tables]] of both when you know that no key is in both",
            )),
        }
    }
    faults
}

/// Numbers between two bounds; None: no bound. With a bound goes whether it belongs to them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Range {
    low: Option<(i128, bool)>,
    high: Option<(i128, bool)>,
}

impl Range {
    fn and(self, other: Self) -> Self {
        let tighter = |one: Option<(i128, bool)>, other: Option<(i128, bool)>, is_low: bool| match (one, other) {
            (Some((a, a_in)), Some((b, _))) if (a == b && !a_in) || a != b && (a > b) == is_low => Some((a, a_in)),
            (_, Some(other)) => Some(other),
            (one, None) => one,
        };
        Self {
            low: tighter(self.low, other.low, true),
            high: tighter(self.high, other.high, false),
        }
    }

    fn is_empty(self) -> bool {
        match (self.low, self.high) {
            (Some((low, low_in)), Some((high, high_in))) => low > high || (low == high && !(low_in && high_in)),
            _ => false,
        }
    }
}

/// The bounds that every row of the filter keeps.
fn collect(expr: &Expr, narrow: &mut impl FnMut(usize, Range)) {
    match expr {
        Expr::And(parts) => parts.iter().for_each(|part| collect(part, narrow)),
        Expr::Compare(op, a, b) => {
            let (column, bound, op) = match (&**a, whole(b), &**b, whole(a)) {
                (Expr::Column(at), Some(bound), _, _) => (*at, bound, *op),
                (_, _, Expr::Column(at), Some(bound)) => (*at, bound, turned(*op)),
                _ => return,
            };
            let (low, high) = match op {
                Comparison::Equal | Comparison::NullSafeEqual => (Some((bound, true)), Some((bound, true))),
                Comparison::Less => (None, Some((bound, false))),
                Comparison::LessOrEqual => (None, Some((bound, true))),
                Comparison::Greater => (Some((bound, false)), None),
                Comparison::GreaterOrEqual => (Some((bound, true)), None),
                Comparison::NotEqual => return,
            };
            narrow(column, Range { low, high });
        }
        Expr::Between(part, low, high) => {
            if let (Expr::Column(at), Some(low), Some(high)) = (&**part, whole(low), whole(high)) {
                let (low, high) = (Some((low, true)), Some((high, true)));
                narrow(*at, Range { low, high });
            }
        }
        Expr::In(part, items) => {
            let numbers: Option<Vec<i128>> = items.iter().map(whole).collect();
            if let (Expr::Column(at), Some(numbers)) = (&**part, numbers) {
                let low = numbers.iter().min().map(|low| (*low, true));
                let high = numbers.iter().max().map(|high| (*high, true));
                narrow(*at, Range { low, high });
            }
        }
        _ => {}
    }
}

fn turned(op: Comparison) -> Comparison {
    match op {
        Comparison::Less => Comparison::Greater,
        Comparison::LessOrEqual => Comparison::GreaterOrEqual,
        Comparison::Greater => Comparison::Less,
        Comparison::GreaterOrEqual => Comparison::LessOrEqual,
        same => same,
    }
}

fn whole(expr: &Expr) -> Option<i128> {
    match expr {
        Expr::Number(number) if number.scale == 0 => Some(number.mantissa),
        Expr::Negative(part) => whole(part).and_then(i128::checked_neg),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(filter: &str) -> Rows {
        Rows {
            filter: Some(filter.into()),
            renamed: BTreeMap::from([("old".to_owned(), "ID".to_owned())]),
        }
    }

    #[test]
    fn ranges_without_a_number_in_common_are_apart() {
        for (one, other) in [
            ("id < 10", "id >= 10"),
            ("id <= 10 AND v = 'a'", "10 < id"),
            ("id BETWEEN -5 AND 5", "id IN (6, 7)"),
            ("old = 1", "id = 2"),
            ("id > 3 AND id < 5", "id = 5"),
        ] {
            assert_eq!(apart_by(&rows(one), &rows(other)).as_deref(), Some("id"), "{one} | {other}");
            assert_eq!(apart_by(&rows(other), &rows(one)).as_deref(), Some("id"), "{other} | {one}");
        }
    }

    #[test]
    fn what_may_have_a_number_in_common_is_not_apart() {
        for (one, other) in [
            ("id <= 10", "id >= 10"),
            ("id < 10", "n >= 10"),
            ("id < 10 OR n = 1", "id >= 10"),
            ("id < 9.5", "id > 9"),
            ("NOT id < 10", "id < 10"),
            ("id <> 1", "id = 1"),
            ("v = 'a'", "v = 'b'"),
        ] {
            assert_eq!(apart_by(&rows(one), &rows(other)), None, "{one} | {other}");
        }
        assert_eq!(apart_by(&Rows::default(), &rows("id < 10")), None);
    }
}
