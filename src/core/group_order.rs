//! Which groups may run side by side, told by the dependency numbers of the source (PROTOCOLS 7).
//!
//! Asked by `mysql::target::lanes`. The source computed them with its own keys and collations: a transaction does not depend on any other
//! whose `sequence_number` is above its `last_committed`.

use crate::core::group::Group;

/// The numbers of a group's transactions within one binlog file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    file: String,
    /// The smallest `sequence_number`.
    first: i64,
    /// The largest `last_committed`.
    depends_on: i64,
}

impl Span {
    /// None: nothing is known of the group that would let it run beside another. Its transactions lie in two files, carry no numbers,
    /// were prepared earlier than they committed, or change rows that cannot be told apart.
    #[must_use]
    pub fn of(group: &Group) -> Option<Self> {
        let last = group.parts.last()?;
        let is_numbered = |part: &crate::core::change::TxnPart| {
            part.sequence_number > 0 && part.prepared.is_none() && part.position.file == last.position.file
        };
        let is_plain = group.tables.iter().all(|effect| effect.in_order.is_empty());
        (is_plain && group.parts.iter().all(is_numbered)).then(|| Self {
            file: last.position.file.clone(),
            first: group.parts.iter().map(|part| part.sequence_number).min().unwrap_or(0),
            depends_on: group.parts.iter().map(|part| part.last_committed).max().unwrap_or(i64::MAX),
        })
    }

    /// No transaction of this group depends on one of `earlier`.
    #[must_use]
    pub fn is_independent_of(&self, earlier: &Self) -> bool {
        self.file == earlier.file && self.depends_on < earlier.first
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::change::{BinlogPosition, TxnPart};
    use crate::core::gtid_set::Gtid;

    fn group(file: &str, numbers: &[(i64, i64)]) -> Group {
        let part = |(last_committed, sequence_number): &(i64, i64)| TxnPart {
            gtid: Gtid::parse("00000000-0000-0000-0000-000000000001:1").unwrap(),
            is_first: true,
            is_last: true,
            last_committed: *last_committed,
            sequence_number: *sequence_number,
            commit_us: 0,
            position: BinlogPosition {
                file: file.into(),
                offset: 4,
            },
            prepared: None,
            changes: Vec::new(),
        };
        Group {
            parts: numbers.iter().map(part).collect(),
            ..Group::default()
        }
    }

    fn span(file: &str, numbers: &[(i64, i64)]) -> Span {
        Span::of(&group(file, numbers)).unwrap()
    }

    #[test]
    fn a_group_is_independent_when_all_it_depends_on_came_before_the_other() {
        let earlier = span("f.1", &[(3, 7), (6, 8)]);
        assert!(span("f.1", &[(6, 9), (2, 10)]).is_independent_of(&earlier));
        assert!(
            !span("f.1", &[(2, 9), (7, 10)]).is_independent_of(&earlier),
            "it depends on 7"
        );
        assert!(
            !span("f.1", &[(2, 9), (9, 10)]).is_independent_of(&earlier),
            "inside it, one depends on another"
        );
        assert!(
            !span("f.2", &[(0, 1)]).is_independent_of(&earlier),
            "numbers begin anew in each file"
        );
    }

    #[test]
    fn without_numbers_or_over_two_files_nothing_is_known() {
        assert_eq!(Span::of(&group("f.1", &[(0, 0)])), None);
        let mut two = group("f.1", &[(0, 1)]);
        two.parts.extend(group("f.2", &[(0, 1)]).parts);
        assert_eq!(Span::of(&two), None);
        assert_eq!(Span::of(&group("f.1", &[])), None);
    }
}
