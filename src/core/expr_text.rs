//! How two texts compare, as far as that can be said without the server (PROTOCOLS 13).
//!
//! Used by `core::expr_eval`. Everything else answers None, and the server decides: its collations are its own.

use std::cmp::Ordering;

/// A collation, as far as it is known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Collation {
    /// Bytes, the shorter one first.
    Bytes,
    /// Code points, the shorter one as if filled with spaces.
    PaddedBytes,
    /// Letters without case; known for ASCII.
    AsciiWithoutCase,
    /// Only the server knows.
    Unknown,
}

/// Collations that order ASCII letters and digits as `0 … 9 A … Z` without case, and have no other rule among them: no
/// contractions, no letters that count as two. Checked against the server by `tests/row_filter.rs`.
const WITHOUT_CASE: [&str; 10] = [
    "utf8mb4_0900_ai_ci",
    "utf8mb4_general_ci",
    "utf8mb4_unicode_ci",
    "utf8mb4_unicode_520_ci",
    "utf8mb3_general_ci",
    "utf8mb3_unicode_ci",
    "utf8_general_ci",
    "latin1_swedish_ci",
    "latin1_general_ci",
    "ascii_general_ci",
];

impl Collation {
    /// By its name.
    #[must_use]
    pub fn named(name: &str) -> Self {
        match name {
            "binary" | "utf8mb4_0900_bin" => Self::Bytes,
            "utf8mb4_bin" | "utf8mb3_bin" | "utf8_bin" | "latin1_bin" | "ascii_bin" => Self::PaddedBytes,
            _ if WITHOUT_CASE.contains(&name) => Self::AsciiWithoutCase,
            _ => Self::Unknown,
        }
    }

    /// The order of two texts; None: the server must be asked.
    #[must_use]
    pub fn compare(self, a: &[u8], b: &[u8]) -> Option<Verdict> {
        match self {
            Self::Bytes => Some(Verdict::Order(a.cmp(b))),
            // Control characters sort before the spaces that the shorter text is filled with.
            Self::PaddedBytes if is_plain(a) && is_plain(b) => Some(Verdict::Order(trimmed(a).cmp(trimmed(b)))),
            Self::AsciiWithoutCase if is_alphanumeric(a) && is_alphanumeric(b) => {
                Some(Verdict::Order(a.to_ascii_lowercase().cmp(&b.to_ascii_lowercase())))
            }
            Self::AsciiWithoutCase if is_visible(a) && is_visible(b) => match a.eq_ignore_ascii_case(b) {
                true => Some(Verdict::Order(Ordering::Equal)),
                false => Some(Verdict::Different),
            },
            Self::PaddedBytes | Self::AsciiWithoutCase | Self::Unknown => None,
        }
    }

    /// `text LIKE pattern`; None: the server must be asked.
    #[must_use]
    pub fn like(self, text: &[u8], pattern: &[u8]) -> Option<bool> {
        let is_known = match self {
            Self::Bytes | Self::PaddedBytes => text.is_ascii() && pattern.is_ascii(),
            Self::AsciiWithoutCase => text.iter().all(is_graphic_or_space) && pattern.iter().all(is_graphic_or_space),
            Self::Unknown => false,
        };
        let fold = |byte: u8| match self {
            Self::AsciiWithoutCase => byte.to_ascii_lowercase(),
            _ => byte,
        };
        is_known.then(|| matches(&parts(pattern), text, &fold))
    }
}

/// What is known of two texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Their order.
    Order(Ordering),
    /// Not equal; which comes first only the server knows.
    Different,
}

fn is_graphic_or_space(byte: &u8) -> bool {
    byte.is_ascii_graphic() || *byte == b' '
}

fn is_plain(text: &[u8]) -> bool {
    text.iter().all(|byte| *byte >= b' ')
}

fn is_alphanumeric(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_alphanumeric)
}

fn is_visible(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_graphic)
}

fn trimmed(text: &[u8]) -> &[u8] {
    let length = text.iter().rposition(|byte| *byte != b' ').map_or(0, |last| last + 1);
    &text[..length]
}

/// A part of a pattern.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    One(u8),
    Any,
    Many,
}

/// A backslash takes the meaning from what follows; at the end it stands for itself.
fn parts(pattern: &[u8]) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut bytes = pattern.iter().copied();
    while let Some(byte) = bytes.next() {
        parts.push(match byte {
            b'%' => Part::Many,
            b'_' => Part::Any,
            b'\\' => Part::One(bytes.next().unwrap_or(b'\\')),
            other => Part::One(other),
        });
    }
    parts
}

/// Goes back to the last `%` only: linear in practice, quadratic at worst.
fn matches(parts: &[Part], text: &[u8], fold: &impl Fn(u8) -> u8) -> bool {
    let (mut part_at, mut text_at) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while text_at < text.len() {
        let is_fit = match parts.get(part_at) {
            Some(Part::Many) => {
                retry = Some((part_at + 1, text_at));
                part_at += 1;
                continue;
            }
            Some(Part::Any) => true,
            Some(Part::One(byte)) => fold(*byte) == fold(text[text_at]),
            None => false,
        };
        if is_fit {
            (part_at, text_at) = (part_at + 1, text_at + 1);
            continue;
        }
        let Some((after, from)) = retry else {
            return false;
        };
        retry = Some((after, from + 1));
        (part_at, text_at) = (after, from + 1);
    }
    parts[part_at..].iter().all(|part| *part == Part::Many)
}
