//! Sets of executed transactions: parse, print, add, subtract, compare.
//!
//! MySQL's GTID sets, tags included (`uuid:1-123:mytag:1`). Serialised as the server's canonical text on one line. Fed by
//! the reader and by `@@gtid_executed`; the resume position of every job is one of these. Knows nothing of binlog files.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Longest tag in characters (MySQL 8.3 and later).
const TAG_CHARACTERS_MAX: usize = 32;
/// Largest transaction number the server gives out, 2^63 - 2.
const NUMBER_MAX: u64 = (1 << 63) - 2;

/// The text is not a GTID or a GTID set. Nothing was changed; the text must be corrected by whoever wrote it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("gtid text: expected {expected}, found `{found}`")]
pub struct GtidError {
    /// What belongs there.
    pub expected: &'static str,
    /// What stands there, at most 80 characters of it.
    pub found: String,
}

impl GtidError {
    fn new(expected: &'static str, found: &str) -> Self {
        Self {
            expected,
            found: found.chars().take(80).collect(),
        }
    }
}

/// The server that numbered a transaction, and the tag it used (empty: none).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId {
    /// The server's UUID, big-endian bytes.
    pub uuid: [u8; 16],
    /// Lower-case tag, empty for none.
    pub tag: String,
}

/// One transaction's global id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gtid {
    /// Who numbered it.
    pub source: SourceId,
    /// From 1.
    pub number: u64,
}

/// A set of transactions: per source, disjoint ascending inclusive intervals that do not touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GtidSet {
    intervals: BTreeMap<SourceId, Vec<(u64, u64)>>,
}

impl Gtid {
    /// Reads `uuid:number` or `uuid:tag:number`.
    pub fn parse(text: &str) -> Result<Self, GtidError> {
        let mut parts = text.trim().split(':').map(str::trim);
        let uuid = parse_uuid(parts.next().unwrap_or_default())?;
        let (tag, number) = match (parts.next(), parts.next(), parts.next()) {
            (Some(number), None, None) => (String::new(), number),
            (Some(tag), Some(number), None) => (parse_tag(tag)?, number),
            _ => return Err(GtidError::new("`uuid:number` or `uuid:tag:number`", text)),
        };
        Ok(Self {
            source: SourceId { uuid, tag },
            number: parse_number(number)?,
        })
    }
}

impl GtidSet {
    /// Reads the server's text form; white space is allowed around every part, the empty text is the empty set.
    pub fn parse(text: &str) -> Result<Self, GtidError> {
        let mut set = Self::default();
        for source in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            set.parse_source(source)?;
        }
        Ok(set)
    }

    fn parse_source(&mut self, text: &str) -> Result<(), GtidError> {
        let mut parts = text.split(':').map(str::trim);
        let uuid = parse_uuid(parts.next().unwrap_or_default())?;
        let mut source = SourceId {
            uuid,
            tag: String::new(),
        };
        let mut has_interval = false;
        for part in parts {
            if part.starts_with(|c: char| c.is_ascii_digit()) {
                let (first, last) = part.split_once('-').unwrap_or((part, part));
                let (first, last) = (parse_number(first)?, parse_number(last)?);
                if first > last {
                    return Err(GtidError::new("an interval that ascends", part));
                }
                self.add_interval(&source, first, last);
                has_interval = true;
            } else {
                source.tag = parse_tag(part)?;
                has_interval = false;
            }
        }
        if has_interval {
            Ok(())
        } else {
            Err(GtidError::new("an interval after the uuid and each tag", text))
        }
    }

    /// Adds one transaction; false when it was there.
    pub fn add(&mut self, gtid: &Gtid) -> bool {
        // The next number of a known source is the case of every transaction of a stream: no search, no allocation.
        if let Some(intervals) = self.intervals.get_mut(&gtid.source)
            && let Some(last) = intervals.last_mut()
            && last.1 + 1 == gtid.number
        {
            last.1 = gtid.number;
            return true;
        }
        if self.contains(gtid) {
            return false;
        }
        self.add_interval(&gtid.source, gtid.number, gtid.number);
        true
    }

    /// Adds all numbers from `first` to `last`, both included. An interval that descends adds nothing.
    pub fn add_interval(&mut self, source: &SourceId, first: u64, last: u64) {
        if first > last {
            return;
        }
        if !self.intervals.contains_key(source) {
            self.intervals.insert(source.clone(), Vec::with_capacity(1));
        }
        let intervals = self.intervals.get_mut(source).expect("it was inserted above");
        // Everything in [from, to) overlaps or touches the new interval and melts into it.
        let from = intervals.partition_point(|known| known.1 < first.saturating_sub(1));
        let to = intervals.partition_point(|known| known.0 <= last.saturating_add(1));
        let merged = intervals[from..to]
            .iter()
            .fold((first, last), |all, known| (all.0.min(known.0), all.1.max(known.1)));
        intervals.splice(from..to, [merged]);
    }

    /// The transaction is in the set.
    #[must_use]
    pub fn contains(&self, gtid: &Gtid) -> bool {
        self.intervals.get(&gtid.source).is_some_and(|intervals| {
            let at = intervals.partition_point(|known| known.1 < gtid.number);
            intervals.get(at).is_some_and(|known| known.0 <= gtid.number)
        })
    }

    /// Adds all transactions of the other set.
    pub fn union(&mut self, other: &Self) {
        for (source, intervals) in &other.intervals {
            for &(first, last) in intervals {
                self.add_interval(source, first, last);
            }
        }
    }

    /// What is in this set and not in the other.
    #[must_use]
    pub fn subtract(&self, other: &Self) -> Self {
        let mut rest = BTreeMap::new();
        for (source, intervals) in &self.intervals {
            let holes = other.intervals.get(source).map_or(&[][..], Vec::as_slice);
            let left = subtract_intervals(intervals, holes);
            if !left.is_empty() {
                rest.insert(source.clone(), left);
            }
        }
        Self { intervals: rest }
    }

    /// Everything in this set is in the other too.
    #[must_use]
    pub fn is_subset_of(&self, other: &Self) -> bool {
        self.subtract(other).is_empty()
    }

    /// Nothing is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.intervals.is_empty()
    }

    /// Number of transactions.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.intervals
            .values()
            .flatten()
            .fold(0, |sum: u64, known| sum.saturating_add(known.1 - known.0 + 1))
    }

    /// Each source with its ascending inclusive intervals, in the order of the server's text.
    pub fn sources(&self) -> impl Iterator<Item = (&SourceId, &[(u64, u64)])> {
        self.intervals
            .iter()
            .map(|(source, intervals)| (source, intervals.as_slice()))
    }
}

fn subtract_intervals(intervals: &[(u64, u64)], holes: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut left = Vec::new();
    let mut hole_at = 0;
    for &(first, last) in intervals {
        let mut next = first;
        // Holes that end before this interval cannot matter to the following ones either.
        while hole_at < holes.len() && holes[hole_at].1 < first {
            hole_at += 1;
        }
        for hole in holes[hole_at..].iter().take_while(|hole| hole.0 <= last) {
            if hole.0 > next {
                left.push((next, hole.0 - 1));
            }
            next = next.max(hole.1 + 1);
        }
        if next <= last {
            left.push((next, last));
        }
    }
    left
}

fn parse_uuid(text: &str) -> Result<[u8; 16], GtidError> {
    let wrong = || GtidError::new("a uuid of 32 hex digits", text);
    let mut uuid = [0; 16];
    let mut digits = text.bytes().filter(|byte| *byte != b'-');
    for byte in &mut uuid {
        let mut value = 0;
        for _ in 0..2 {
            let digit = digits
                .next()
                .and_then(|digit| char::from(digit).to_digit(16))
                .ok_or_else(wrong)?;
            value = value << 4 | digit;
        }
        *byte = u8::try_from(value).map_err(|_| wrong())?;
    }
    if digits.next().is_none() { Ok(uuid) } else { Err(wrong()) }
}

fn parse_tag(text: &str) -> Result<String, GtidError> {
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let is_word = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if starts && is_word && text.len() <= TAG_CHARACTERS_MAX {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(GtidError::new("a tag of letters, digits and `_`", text))
    }
}

fn parse_number(text: &str) -> Result<u64, GtidError> {
    let number = text.trim().parse().ok().filter(|number| (1..=NUMBER_MAX).contains(number));
    number.ok_or_else(|| GtidError::new("a number from 1 to 9223372036854775806", text))
}

impl SourceId {
    fn fmt_uuid(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.uuid.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_uuid(f)?;
        if self.tag.is_empty() {
            Ok(())
        } else {
            write!(f, ":{}", self.tag)
        }
    }
}

impl fmt::Display for Gtid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.source, self.number)
    }
}

impl fmt::Display for GtidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut uuid = None;
        for (source, intervals) in &self.intervals {
            if uuid != Some(source.uuid) {
                if uuid.is_some() {
                    f.write_str(",")?;
                }
                source.fmt_uuid(f)?;
                uuid = Some(source.uuid);
            }
            if !source.tag.is_empty() {
                write!(f, ":{}", source.tag)?;
            }
            for (first, last) in intervals {
                if first == last {
                    write!(f, ":{first}")?;
                } else {
                    write!(f, ":{first}-{last}")?;
                }
            }
        }
        Ok(())
    }
}

macro_rules! text_serde {
    ($($name:ident),*) => {$(
        impl std::str::FromStr for $name {
            type Err = GtidError;
            fn from_str(text: &str) -> Result<Self, GtidError> {
                Self::parse(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    )*};
}

text_serde!(Gtid, GtidSet);

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const A: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
    const B: &str = "4e11fa47-71ca-11e1-9e33-c80aa9429562";

    fn set(text: &str) -> GtidSet {
        GtidSet::parse(text).unwrap()
    }

    #[test]
    fn the_server_text_is_read_and_printed_in_canonical_form() {
        assert_eq!(set("").to_string(), "");
        assert_eq!(
            set(&format!(" {} : 3 : 1-2,\n{B}:7", A.to_uppercase())).to_string(),
            format!("{A}:1-3,{B}:7")
        );
        assert_eq!(
            set(&format!("{A}:tag_b:4:TAG_A:1-2:5,{A}:9")).to_string(),
            format!("{A}:9:tag_a:1-2:5:tag_b:4")
        );
    }

    #[test]
    fn text_that_is_no_set_is_refused_with_what_was_found() {
        for text in [
            A,
            "x:1",
            &format!("{A}:0"),
            &format!("{A}:3-2"),
            &format!("{A}:tag"),
            &format!("{A}:1:t-g:2"),
            &format!("{A}:9223372036854775807"),
        ] {
            let error = GtidSet::parse(text).unwrap_err();
            assert!(error.to_string().contains("expected"), "{error}");
        }
    }

    #[test]
    fn a_gtid_keeps_its_tag_through_text_and_json() {
        for text in [format!("{A}:17"), format!("{A}:mytag:17")] {
            let gtid = Gtid::parse(&text).unwrap();
            assert_eq!(gtid.to_string(), text);
            assert_eq!(
                serde_json::from_str::<Gtid>(&serde_json::to_string(&gtid).unwrap()).unwrap(),
                gtid
            );
        }
        assert_eq!(
            serde_json::to_string(&set(&format!("{A}:1-2"))).unwrap(),
            format!("\"{A}:1-2\"")
        );
    }

    #[test]
    fn adding_twice_is_noticed() {
        let mut all = set(&format!("{A}:1-5"));
        assert!(!all.add(&Gtid::parse(&format!("{A}:3")).unwrap()));
        assert!(all.add(&Gtid::parse(&format!("{A}:t:3")).unwrap()));
        assert!(all.add(&Gtid::parse(&format!("{A}:6")).unwrap()));
        assert_eq!((all.to_string(), all.count()), (format!("{A}:1-6:t:3"), 7));
    }

    type Naive = BTreeSet<(u8, u64)>;

    fn sources() -> [SourceId; 3] {
        let uuid = [7; 16];
        [
            SourceId {
                uuid,
                tag: String::new(),
            },
            SourceId { uuid, tag: "t".into() },
            SourceId {
                uuid: [9; 16],
                tag: String::new(),
            },
        ]
    }

    fn gtid(element: (u8, u64)) -> Gtid {
        Gtid {
            source: sources()[usize::from(element.0)].clone(),
            number: element.1,
        }
    }

    fn of(naive: &Naive) -> GtidSet {
        naive.iter().fold(GtidSet::default(), |mut all, element| {
            all.add(&gtid(*element));
            all
        })
    }

    fn naive() -> impl Strategy<Value = Naive> {
        prop::collection::btree_set((0u8..3, 1u64..40), 0..60)
    }

    proptest! {
        #[test]
        fn sets_obey_the_laws_of_sets(a in naive(), b in naive(), order in prop::collection::vec((0u8..3, 1u64..40), 0..80)) {
            let (sa, sb) = (of(&a), of(&b));
            let mut union = sa.clone();
            union.union(&sb);
            prop_assert_eq!(&union, &of(&a.union(&b).copied().collect()));
            prop_assert_eq!(sa.subtract(&sb), of(&a.difference(&b).copied().collect()));
            prop_assert_eq!(sa.is_subset_of(&sb), a.is_subset(&b));
            prop_assert_eq!(sa.count(), a.len() as u64);
            prop_assert_eq!(sa.is_empty(), a.is_empty());
            prop_assert_eq!(&set(&union.to_string()), &union);
            let (mut seen, mut model) = (GtidSet::default(), Naive::new());
            for element in order {
                prop_assert_eq!(seen.contains(&gtid(element)), model.contains(&element));
                prop_assert_eq!(seen.add(&gtid(element)), model.insert(element));
            }
            prop_assert_eq!(&seen, &of(&model));
            for (_, intervals) in seen.sources() {
                prop_assert!(intervals.windows(2).all(|two| two[0].1 + 1 < two[1].0), "intervals touch: {:?}", intervals);
            }
        }

        #[test]
        fn any_text_is_an_answer_not_a_panic(text in "\\PC{0,60}") {
            let _ = GtidSet::parse(&text);
            let _ = Gtid::parse(&text);
        }
    }
}
