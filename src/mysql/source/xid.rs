//! The name of an XA transaction, and the statements of the binlog that carry it.
//!
//! Read by `xa` from `XA START X'6162',X'',1` and its like, which the server writes in this one form, and from XA_PREPARE
//! events; by `flow::source_start` from XA RECOVER. Shown in the form that XA COMMIT takes.

use std::fmt;

use crate::mysql::source::event::Cursor;

/// Longest part of an xid in bytes (mysql: `MAXGTRIDSIZE`, `MAXBQUALSIZE`).
const PART_BYTES_MAX: usize = 64;

/// The name of an XA transaction.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Xid {
    format: u32,
    global: Vec<u8>,
    branch: Vec<u8>,
}

impl Xid {
    /// From a row of XA RECOVER: `data` holds both parts, the first of `global_bytes`. None when they do not fit.
    #[must_use]
    pub fn of_recover(format: i64, global_bytes: i64, data: &[u8]) -> Option<Self> {
        let (global, branch) = data.split_at_checked(usize::try_from(global_bytes).ok()?)?;
        Some(Self {
            // The server prints the 32 bits it keeps with a sign, or without, depending on the version.
            format: u32::try_from(format & 0xffff_ffff).ok()?,
            global: global.to_vec(),
            branch: branch.to_vec(),
        })
    }

    /// From the text behind the verb, `X'6162',X'',1` and nothing after it.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?.trim();
        let mut parts = text.split(',');
        let (global, branch) = (hex(parts.next()?)?, hex(parts.next()?)?);
        let format: i64 = parts.next()?.parse().ok()?;
        let is_whole = parts.next().is_none();
        is_whole.then_some(Self {
            format: u32::try_from(format & 0xffff_ffff).ok()?,
            global,
            branch,
        })
    }
}

impl fmt::Display for Xid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in [&self.global, &self.branch] {
            f.write_str("X'")?;
            part.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
            f.write_str("',")?;
        }
        write!(f, "{}", self.format)
    }
}

/// The bytes of `X'6162'`.
fn hex(literal: &str) -> Option<Vec<u8>> {
    let digits = literal.strip_prefix("X'")?.strip_suffix('\'')?;
    let is_whole = digits.len().is_multiple_of(2) && digits.len() <= 2 * PART_BYTES_MAX;
    if !is_whole || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).ok())
        .collect()
}

/// A statement about an XA transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum XaStatement {
    Start(Xid),
    End,
    Commit(Xid),
    Rollback(Xid),
}

impl XaStatement {
    /// Reads a statement that begins with `XA `; None: it is none of these, or not in the server's form.
    pub fn read(text: &[u8]) -> Option<Self> {
        let after = |verb: &str| {
            let (start, rest) = text.split_at_checked(verb.len())?;
            start.eq_ignore_ascii_case(verb.as_bytes()).then_some(rest)
        };
        if let Some(rest) = after("XA START ") {
            return Xid::parse(rest).map(Self::Start);
        }
        if let Some(rest) = after("XA END ") {
            return Xid::parse(rest).map(|_| Self::End);
        }
        if let Some(rest) = after("XA COMMIT ") {
            return Xid::parse(rest).map(Self::Commit);
        }
        Xid::parse(after("XA ROLLBACK ")?).map(Self::Rollback)
    }
}

/// An XA_PREPARE event: true when it is XA COMMIT … ONE PHASE, and its xid.
pub(super) fn prepare_event(body: &[u8]) -> Option<(bool, Xid)> {
    let mut cursor = Cursor::new(body);
    let is_one_phase = cursor.uint(1)? != 0;
    let format = u32::try_from(cursor.uint(4)?).ok()?;
    let (global_bytes, branch_bytes) = (cursor.uint(4)?, cursor.uint(4)?);
    if global_bytes.max(branch_bytes) > PART_BYTES_MAX {
        return None;
    }
    let global = cursor.take(global_bytes)?.to_vec();
    let branch = cursor.take(branch_bytes)?.to_vec();
    Some((is_one_phase, Xid { format, global, branch }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_servers_statements_name_their_xid_and_nothing_else_does() {
        let xid = Xid {
            format: 7,
            global: b"a'b".to_vec(),
            branch: vec![0, 0xff],
        };
        assert_eq!(xid.to_string(), "X'612762',X'00ff',7");
        let of = |text: &str| XaStatement::read(text.as_bytes());
        assert_eq!(of("XA START X'612762',X'00ff',7"), Some(XaStatement::Start(xid.clone())));
        assert_eq!(of("XA END X'612762',X'00ff',7"), Some(XaStatement::End));
        assert_eq!(of("XA COMMIT X'612762',X'00ff',7"), Some(XaStatement::Commit(xid.clone())));
        assert_eq!(
            of("xa rollback X'612762',X'00ff',7"),
            Some(XaStatement::Rollback(xid.clone()))
        );
        assert_eq!(Xid::of_recover(7, 3, b"a'b\x00\xff"), Some(xid));
        for other in [
            "XA COMMIT X'61',X'',1 ONE PHASE",
            "XA COMMIT 'a'",
            "XA FORGET X'',X'',1",
            "XA START X'6',X'',1",
            "XA START X'+1',X'',1",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
        assert_eq!(Xid::of_recover(1, 4, b"abc"), None);
    }

    #[test]
    fn a_format_above_31_bits_is_the_same_in_each_form() {
        let body = [&[0, 255, 255, 255, 255, 1, 0, 0, 0, 0, 0, 0, 0][..], b"f"].concat();
        let (is_one_phase, xid) = prepare_event(&body).unwrap();
        assert!(!is_one_phase);
        assert_eq!(Xid::parse(b"X'66',X'',4294967295").as_ref(), Some(&xid));
        assert_eq!(Xid::parse(b"X'66',X'',-1").as_ref(), Some(&xid));
        assert_eq!(Xid::of_recover(4_294_967_295, 1, b"f").as_ref(), Some(&xid));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_statement_or_none(body in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = XaStatement::read(&body);
            let _ = XaStatement::read(&[b"XA COMMIT ", &body[..]].concat());
            let _ = prepare_event(&body);
        }
    }
}
