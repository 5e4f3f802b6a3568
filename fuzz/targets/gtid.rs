//! Texts of GTID sets: what is read prints and reads as itself, and the arithmetic keeps its laws.
#![no_main]

use libfuzzer_sys::fuzz_target;
use peer::core::gtid_set::{Gtid, GtidSet};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (one, other) = text.split_once('|').unwrap_or((text, ""));
    if let Ok(gtid) = Gtid::parse(one) {
        assert_eq!(Gtid::parse(&gtid.to_string()), Ok(gtid), "a GTID prints as itself");
    }
    let (Ok(one), Ok(other)) = (GtidSet::parse(one), GtidSet::parse(other)) else {
        return;
    };
    assert_eq!(GtidSet::parse(&one.to_string()).as_ref(), Ok(&one), "a set prints as itself");
    let mut both = one.clone();
    both.union(&other);
    assert!(
        one.is_subset_of(&both) && other.is_subset_of(&both),
        "a union holds its parts"
    );
    let rest = one.subtract(&other);
    assert!(rest.is_subset_of(&one), "a difference is a part");
    let mut again = rest.clone();
    again.union(&other);
    assert_eq!(again, both, "(a - b) + b = a + b");
    assert!(one.subtract(&one).is_empty(), "a - a is empty");
});
