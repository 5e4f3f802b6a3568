//! Versions and what `version` and `semver` ask of them.
//!
//! Both read a version leniently: an optional `v`, any number of segments, a pre-release with or without `-` before it.
//! They differ in what a pre-release is: `version` keeps pre-releases out unless asked for, `semver` orders them like any
//! other. Distribution kernels (`6.1.0-25-amd64`) read as pre-releases: only `semver` compares them as people mean it.
//! Used by `core::constraint`.

use std::cmp::Ordering;

/// Which of the two operators reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Pre-releases only beside pre-releases of the same base; knows `~>`.
    Version,
    /// Pre-releases are ordinary; no `~>`; asked versions write `-` before a pre-release.
    Semver,
}

/// A comma list of terms, all of which must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionRule {
    terms: Vec<(Term, Version)>,
    dialect: Dialect,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Term {
    Equal,
    Differ,
    Greater,
    Less,
    AtLeast,
    AtMost,
    /// `~>`: all but the last written segment stay.
    Near,
}

/// Longest first, so that `>=` is not read as `>`.
const TERMS: [(&str, Term); 7] = [
    ("!=", Term::Differ),
    (">=", Term::AtLeast),
    ("<=", Term::AtMost),
    ("~>", Term::Near),
    ("=", Term::Equal),
    (">", Term::Greater),
    ("<", Term::Less),
];

#[derive(Clone, Debug, PartialEq, Eq)]
struct Version {
    /// As written; missing ones count as 0.
    segments: Vec<u64>,
    /// Identifiers between the points; empty for a release.
    pre_release: Vec<String>,
}

impl VersionRule {
    /// Reads `>= 1.2, < 2`. Err holds the term that makes no sense.
    pub fn parse(text: &str, dialect: Dialect) -> Result<Self, String> {
        let read = |term: &str| read_term(term.trim(), dialect).ok_or_else(|| term.trim().to_owned());
        let terms = text.split(',').map(read).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { terms, dialect })
    }

    /// True when `text` is a version that satisfies every term.
    #[must_use]
    pub fn holds(&self, text: &str) -> bool {
        let Some(version) = Version::parse(text.trim(), false) else {
            return false;
        };
        self.terms.iter().all(|(term, asked)| self.term(*term, &version, asked))
    }

    fn term(&self, term: Term, version: &Version, asked: &Version) -> bool {
        let order = version.compare(asked);
        match term {
            Term::Equal => return order.is_eq(),
            Term::Differ => return order.is_ne(),
            _ => {}
        }
        if self.dialect == Dialect::Version && !version.may_stand_beside(asked) {
            return false;
        }
        match term {
            Term::Greater => order.is_gt(),
            Term::Less => order.is_lt(),
            Term::AtLeast => order.is_ge(),
            Term::AtMost => order.is_le(),
            Term::Near => order.is_ge() && version.is_near(asked),
            Term::Equal | Term::Differ => unreachable!("decided above"),
        }
    }
}

fn read_term(text: &str, dialect: Dialect) -> Option<(Term, Version)> {
    let (term, rest) = TERMS
        .iter()
        .find_map(|(word, term)| Some((*term, text.strip_prefix(word)?)))
        .unwrap_or((Term::Equal, text));
    let needs_dash = dialect == Dialect::Semver;
    if needs_dash && term == Term::Near {
        return None;
    }
    Some((term, Version::parse(rest.trim(), needs_dash)?))
}

impl Version {
    fn parse(text: &str, needs_dash: bool) -> Option<Self> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let (text, build) = text
            .split_once('+')
            .map_or((text, None), |(front, build)| (front, Some(build)));
        if build.is_some_and(|build| !is_dotted(build)) {
            return None;
        }
        let is_number = |c: char| c.is_ascii_digit() || c == '.';
        let (numbers, rest) = text.split_at(text.find(|c| !is_number(c)).unwrap_or(text.len()));
        let segments = numbers.split('.').map(|number| number.parse().ok()).collect::<Option<_>>()?;
        let pre_release = match rest.strip_prefix('-') {
            _ if rest.is_empty() => Vec::new(),
            Some(after) if is_dotted(after) => identifiers(after),
            None if !needs_dash && is_dotted(rest) => identifiers(rest),
            _ => return None,
        };
        Some(Self { segments, pre_release })
    }

    fn segment(&self, at: usize) -> u64 {
        self.segments.get(at).copied().unwrap_or(0)
    }

    fn compare_base(&self, other: &Self) -> Ordering {
        let len = self.segments.len().max(other.segments.len());
        (0..len)
            .map(|at| self.segment(at).cmp(&other.segment(at)))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    }

    /// `SemVer` 2: a release comes after its pre-releases, fewer identifiers before more. Build metadata does not count.
    fn compare(&self, other: &Self) -> Ordering {
        let by_pre_release = || match (self.pre_release.is_empty(), other.pre_release.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => {
                let pairs = self.pre_release.iter().zip(&other.pre_release);
                pairs
                    .map(|(one, two)| compare_identifiers(one, two))
                    .find(|order| order.is_ne())
                    .unwrap_or_else(|| self.pre_release.len().cmp(&other.pre_release.len()))
            }
        };
        self.compare_base(other).then_with(by_pre_release)
    }

    /// The rule of `version`: who asks for no pre-release gets none, who asks for one gets those of the same base.
    fn may_stand_beside(&self, asked: &Self) -> bool {
        match (self.pre_release.is_empty(), asked.pre_release.is_empty()) {
            (true, _) => true,
            (false, true) => false,
            (false, false) => self.compare_base(asked).is_eq(),
        }
    }

    fn is_near(&self, asked: &Self) -> bool {
        let pinned = asked.segments.len() - 1;
        let is_pinned = (0..pinned).all(|at| self.segment(at) == asked.segment(at));
        is_pinned && (asked.pre_release.is_empty() || !self.pre_release.is_empty())
    }
}

fn compare_identifiers(one: &str, two: &str) -> Ordering {
    match (one.parse::<u64>(), two.parse::<u64>()) {
        (Ok(one), Ok(two)) => one.cmp(&two),
        (Ok(_), Err(_)) => Ordering::Less,
        (Err(_), Ok(_)) => Ordering::Greater,
        (Err(_), Err(_)) => one.cmp(two),
    }
}

/// Identifiers between points, none of them empty.
fn is_dotted(text: &str) -> bool {
    let is_sign = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '~';
    text.split('.').all(|part| !part.is_empty() && part.chars().all(is_sign))
}

fn identifiers(text: &str) -> Vec<String> {
    text.split('.').map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// left, right, `version` holds, `semver` holds; None: refused as a right side
    const TRUTH: &[(&str, &str, Option<bool>, Option<bool>)] = &[
        ("1.2.3", "1.2.3", Some(true), Some(true)),
        ("1.2.3", "= 1.2.3", Some(true), Some(true)),
        ("v1.2", "=1.2.0.0", Some(true), Some(true)),
        ("1.2.3+build5", "1.2.3", Some(true), Some(true)),
        ("1.2.3", "!= 1.2.3", Some(false), Some(false)),
        ("1.10.0", "> 1.9", Some(true), Some(true)),
        ("1.10.0", ">= 1.2, < 2", Some(true), Some(true)),
        ("2.0", ">= 1.2, < 2", Some(false), Some(false)),
        ("1.2", "<= 1.2.0", Some(true), Some(true)),
        ("7", "> 6.9.9.9", Some(true), Some(true)),
        // A pre-release never satisfies an ordering term that has none.
        ("1.3.0-beta1", "> 1.2", Some(false), Some(true)),
        ("1.3.0-beta1", ">= 1.2", Some(false), Some(true)),
        ("1.3.0-beta1", "< 2", Some(false), Some(true)),
        ("1.3.0-beta1", "<= 1.3.0", Some(false), Some(true)),
        // Both with one: equal base only.
        ("1.3.0-beta2", "> 1.3.0-beta1", Some(true), Some(true)),
        ("1.3.0-beta2", "> 1.2.0-beta1", Some(false), Some(true)),
        ("1.3.0", "> 1.3.0-beta1", Some(true), Some(true)),
        // `=` and `!=` skip the rule.
        ("1.3.0-beta1", "= 1.3.0-beta1", Some(true), Some(true)),
        ("1.3.0-beta1", "!= 1.3.0", Some(true), Some(true)),
        // Kernels of distributions.
        ("6.1.0-25-amd64", "> 5.4", Some(false), Some(true)),
        ("5.15.0-91-generic", ">= 5.15.0", Some(false), Some(false)),
        // Pre-releases without `-`: read on the left, refused on the right of semver.
        ("1.3.0beta1", "1.3.0-beta1", Some(true), Some(true)),
        ("1.3.0-beta1", "1.3.0beta1", Some(true), None),
        // Order within pre-releases.
        ("1.0-2", "< 1.0-10", Some(true), Some(true)),
        ("1.0-9", "< 1.0-a", Some(true), Some(true)),
        ("1.0-a", "< 1.0-a.1", Some(true), Some(true)),
        // ~> pins all but the last written segment.
        ("1.2.9", "~> 1.2.3", Some(true), None),
        ("1.3.0", "~> 1.2.3", Some(false), None),
        ("1.2.2", "~> 1.2.3", Some(false), None),
        ("1.9", "~> 1.2", Some(true), None),
        ("2.0", "~> 1.2", Some(false), None),
        ("9.0", "~> 1", Some(true), None),
        ("1.2.3-beta2", "~> 1.2.3-beta1", Some(true), None),
        ("1.2.4", "~> 1.2.3-beta1", Some(false), None),
        ("1.2.9-beta", "~> 1.2.3", Some(false), None),
        // Not versions.
        ("latest", "!= 1.0", Some(false), Some(false)),
        ("", ">= 0", Some(false), Some(false)),
        ("1..2", "> 0", Some(false), Some(false)),
        ("1.0-", "> 0", Some(false), Some(false)),
        ("1.0", "", None, None),
        ("1.0", ">= 1,", None, None),
        ("1.0", "=> 1", None, None),
        ("1.0", "latest", None, None),
        ("1.0", ">= 99999999999999999999", None, None),
    ];

    #[test]
    fn the_truth_table_of_versions_holds_with_its_edges() {
        for (left, right, version, semver) in TRUTH {
            for (dialect, expected) in [(Dialect::Version, version), (Dialect::Semver, semver)] {
                let held = VersionRule::parse(right, dialect).ok().map(|rule| rule.holds(left));
                assert_eq!(held, *expected, "{left} {dialect:?} {right}");
            }
        }
    }

    #[test]
    fn the_term_without_sense_is_named() {
        assert_eq!(VersionRule::parse(">= 1, oops", Dialect::Version), Err("oops".into()));
    }

    proptest::proptest! {
        #[test]
        fn less_equal_and_greater_exclude_each_other(one in "[0-9]{1,3}(\\.[0-9]{1,3}){0,3}", two in "v?[0-9]{1,3}(\\.[0-9]{1,3}){0,3}") {
            let asks = |term: &str| VersionRule::parse(&format!("{term}{two}"), Dialect::Version).expect("reads").holds(&one);
            let count = ["<", "=", ">"].into_iter().filter(|term| asks(term)).count();
            proptest::prop_assert_eq!(count, 1);
            proptest::prop_assert_eq!(asks(">="), !asks("<"));
        }

        #[test]
        fn no_text_makes_it_panic(left in "[v0-9.a~+,>=< -]{0,20}", right in "[v0-9.a~+,>=< -]{0,20}") {
            for dialect in [Dialect::Version, Dialect::Semver] {
                let _ = VersionRule::parse(&right, dialect).map(|rule| rule.holds(&left));
            }
        }
    }
}
