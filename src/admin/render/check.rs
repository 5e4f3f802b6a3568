//! The answer of `check`: a line per check, what would be right and the fix below those that are not.

use std::fmt::Write;

use crate::admin::render::status::wrapped;
use crate::admin::views::CheckView;
use crate::core::check::Check;
use crate::core::finding::Severity;

/// Columns before the text of a check: `FAIL  PEER1353  `.
const MARGIN: usize = 16;
/// And before what is expected and the fix.
const DEEP_MARGIN: usize = 26;

/// Every check, and how many are of which kind.
#[must_use]
pub fn check(view: &CheckView, width: u16) -> String {
    let mut text = format!("check of {}, as {} had it looked at\n", view.name, view.as_seen_by);
    let mut heading = None;
    for part in view.checks.chunk_by(|a, b| (a.side, &a.peer) == (b.side, &b.peer)) {
        let Some(first) = part.first() else { continue };
        if heading != Some((first.side, &first.peer)) {
            let by = if first.peer.is_empty() {
                String::new()
            } else {
                format!(", through {}", first.peer)
            };
            let _ = writeln!(text, "{}{by}", first.side.word());
        }
        heading = Some((first.side, &first.peer));
        text.push_str(&lines(part, width));
    }
    let count = |severity| view.checks.iter().filter(|check| check.finding.severity == severity).count();
    let _ = writeln!(
        text,
        "{} checks: {} ok, {} warn, {} FAIL",
        view.checks.len(),
        count(Severity::Ok),
        count(Severity::Warn),
        count(Severity::Fail)
    );
    text
}

/// One line per check, with its fix when it needs one.
pub(super) fn lines(checks: &[Check], width: u16) -> String {
    let mut text = String::new();
    for Check { finding, .. } in checks {
        let head = format!("{:<4}  {:<8}  ", finding.severity.word(), finding.id);
        let words = format!("{}: {}", finding.object, finding.found);
        put(&mut text, &head, MARGIN, &words, width);
        if finding.severity == Severity::Ok {
            continue;
        }
        for (label, words) in [("expected", &finding.expected), ("fix", &finding.fix)] {
            let head = format!("{:MARGIN$}{label:<10}", "");
            put(&mut text, &head, DEEP_MARGIN, words, width);
        }
    }
    text
}

fn put(text: &mut String, head: &str, margin: usize, words: &str, width: u16) {
    let room = usize::from(width).saturating_sub(margin).max(20);
    for (at, row) in wrapped(words, room).iter().enumerate() {
        if at == 0 {
            let _ = writeln!(text, "{head}{row}");
        } else {
            let _ = writeln!(text, "{:margin$}{row}", "");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::check::{Checks, Side};
    use crate::core::finding::Finding;

    #[test]
    fn a_bad_check_shows_what_would_be_right_and_the_statement() {
        let mut checks = Checks::default();
        checks.add(Side::Source, "sh-1", [Finding::ok("PEER1353", "log_bin", "ON")]);
        let bad = Finding::bad(
            Severity::Fail,
            "PEER1356",
            "binlog_format",
            "STATEMENT",
            "ROW",
            "SET PERSIST binlog_format = 'ROW'; -- then let the clients connect anew, all of them that write to it",
        );
        checks.add(Side::Source, "sh-1", [bad]);
        let text = check(&CheckView::of("orders", "sh-1", checks), 80);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], "source, through sh-1");
        assert_eq!(lines[2], "ok    PEER1353  log_bin: ON");
        assert_eq!(lines[3], "FAIL  PEER1356  binlog_format: STATEMENT");
        assert_eq!(lines[4], "                expected  ROW");
        assert!(
            lines[5].starts_with("                fix       SET PERSIST binlog_format = 'ROW';"),
            "{text}"
        );
        assert_eq!(lines[lines.len() - 1], "2 checks: 1 ok, 0 warn, 1 FAIL");
        assert!(lines.iter().all(|line| line.chars().count() <= 80), "{text}");
    }
}
