//! How an order to pass over a transaction is written: one GTID and a reason.
//!
//! Used by `parse` (shell), `http_conflicts` and `live_conflicts`. Pure.

use crate::admin::command::Command;
use crate::admin::parse::job_name;
use crate::admin::refusal::Refusal;
use crate::core::gtid_set::{Gtid, GtidSet};
use crate::core::skip::REASON_CHARS_MAX;

const FORM: &str = "skip JOB GTID --reason TEXT";

/// Reads the words behind `skip` in the shell; the reason is the rest of the line.
pub(super) fn skip(rest: &[&str]) -> Result<Command, Refusal> {
    let (before, reason) = match rest.iter().position(|word| *word == "--reason") {
        Some(at) => (&rest[..at], rest[at + 1..].join(" ")),
        None => (rest, String::new()),
    };
    let [name, gtid] = before else {
        return Err(usage(&format!("{} words before the reason", before.len())));
    };
    skip_command(job_name(name)?, gtid, reason.trim_matches('"'))
}

/// The command, once all of it is right.
pub fn skip_command(job: String, gtid: &str, reason: &str) -> Result<Command, Refusal> {
    let reason = reason.trim();
    if reason.is_empty() {
        return Err(usage("no reason"));
    }
    if reason.chars().count() > REASON_CHARS_MAX {
        return Err(usage(&format!(
            "a reason of {} characters, at most {REASON_CHARS_MAX}",
            reason.chars().count()
        )));
    }
    Ok(Command::Skip {
        job,
        gtid: one_gtid(gtid)?.to_string(),
        reason: reason.to_owned(),
    })
}

/// Exactly one transaction.
pub fn one_gtid(text: &str) -> Result<Gtid, Refusal> {
    Gtid::parse(text.trim()).map_err(|error| {
        let found = match GtidSet::parse(text) {
            Ok(set) if set.count() != 1 => format!("`{text}`, {} transactions", set.count()),
            _ => error.to_string(),
        };
        let fix = "peer skip orders 3e11fa47-71ca-11e1-9e33-c80aa9429562:7 --reason \"known bad\"";
        Refusal::usage("GTID", &found, "one transaction, UUID:NUMBER or UUID:TAG:NUMBER", fix)
    })
}

fn usage(found: &str) -> Refusal {
    Refusal::usage(
        &format!("`{FORM}`"),
        found,
        FORM,
        "the reason is for those who read `peer history` later",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";

    #[test]
    fn a_skip_is_one_transaction_and_a_reason() {
        let gtid = format!("{}:7", UUID.to_uppercase());
        let words = ["orders", &gtid, "--reason", "it", "is", "known"];
        let expected = Command::Skip {
            job: "orders".into(),
            gtid: format!("{UUID}:7"),
            reason: "it is known".into(),
        };
        assert_eq!(skip(&words).expect("is right"), expected);
        for (gtid, found) in [
            ("7", "7"),
            ("x:1-2", "hex digits"),
            (&format!("{UUID}:1-3"), "3 transactions"),
            (&format!("{UUID}:0"), "0"),
        ] {
            let refused = skip(&["orders", gtid, "--reason", "r"]).expect_err(gtid);
            assert!(refused.faults.to_string().contains(found), "{gtid}: {}", refused.faults);
        }
        assert!(skip(&["orders", &gtid]).is_err() && skip(&["orders", &gtid, "--reason"]).is_err());
        assert!(skip(&["orders", &gtid, &gtid, "--reason", "r"]).is_err());
        assert!(skip_command("orders".into(), &gtid, &"x".repeat(300)).is_err());
    }
}
