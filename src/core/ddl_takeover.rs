//! Whether a change of definitions that was begun is to be run, was done, or cannot be told (PROTOCOLS 5).
//!
//! Fed by `mysql::target::ddl_outlook` with what the journal says of earlier attempts and what the table looks like now. Definitions
//! are compared by their hashes; nobody else changes the table, except a person who clears the way for a refused statement or
//! does its work by hand.

/// What the journal says of the statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// Nothing.
    None,
    /// A person is asked first; nothing was run.
    Asked {
        /// Restarts that were asked for until then.
        restarts: u64,
        /// The definition by then.
        before: String,
    },
    /// It may have been run, or run still when its owner died.
    Begun {
        /// The definition before.
        before: String,
        /// The definition that had to come out; None: it could not be made.
        after: Option<String>,
    },
    /// The target answered that it does not do it: it was not run.
    Refused {
        /// The definition by then.
        before: String,
    },
}

impl Attempt {
    /// An intent with these definitions is in the journal.
    #[must_use]
    pub fn is_begun(&self) -> bool {
        matches!(self, Self::Begun { .. })
    }
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Run it.
    Run,
    /// It was run, or done by hand.
    Done,
    /// The table is neither as before nor as after.
    Unclear,
}

/// Decides by the attempt and the definition that is there now. `has_effect`: that definition shows what the statement does to one;
/// asked only where the hashes do not tell.
#[must_use]
pub fn verdict(attempt: &Attempt, now: &str, has_effect: bool) -> Verdict {
    match attempt {
        Attempt::None => Verdict::Run,
        Attempt::Begun { before, .. } if before == now => Verdict::Run,
        Attempt::Begun { after: Some(after), .. } if after == now => Verdict::Done,
        Attempt::Begun { .. } if has_effect => Verdict::Done,
        Attempt::Begun { .. } => Verdict::Unclear,
        Attempt::Asked { before, .. } | Attempt::Refused { before } if before != now && has_effect => Verdict::Done,
        Attempt::Asked { .. } | Attempt::Refused { .. } => Verdict::Run,
    }
}

/// The hashes alone do not tell.
#[must_use]
pub fn needs_effect(attempt: &Attempt, now: &str) -> bool {
    verdict(attempt, now, false) != verdict(attempt, now, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun(after: Option<&str>) -> Attempt {
        Attempt::Begun {
            before: "b".into(),
            after: after.map(str::to_owned),
        }
    }

    #[test]
    fn what_was_begun_is_told_by_the_definition() {
        for has_effect in [false, true] {
            assert_eq!(verdict(&begun(Some("a")), "b", has_effect), Verdict::Run);
            assert_eq!(verdict(&begun(Some("a")), "a", has_effect), Verdict::Done);
            // A statement that leaves the definition as it was is run twice rather than not at all.
            assert_eq!(verdict(&begun(Some("b")), "b", has_effect), Verdict::Run);
        }
        assert_eq!(verdict(&begun(Some("a")), "x", false), Verdict::Unclear);
        assert_eq!(verdict(&begun(None), "x", false), Verdict::Unclear);
        assert_eq!(
            verdict(&begun(None), "x", true),
            Verdict::Done,
            "with what only the target has"
        );
    }

    #[test]
    fn what_was_not_run_is_run_unless_somebody_did_its_work() {
        let asked = Attempt::Asked {
            restarts: 0,
            before: "b".into(),
        };
        for attempt in [Attempt::Refused { before: "b".into() }, asked] {
            assert_eq!(verdict(&attempt, "x", false), Verdict::Run, "only the way was cleared");
            assert_eq!(verdict(&attempt, "x", true), Verdict::Done);
            assert_eq!(verdict(&attempt, "b", true), Verdict::Run, "nobody did anything");
            assert!(needs_effect(&attempt, "x") && !needs_effect(&attempt, "b"));
        }
        assert_eq!(verdict(&Attempt::None, "x", true), Verdict::Run);
    }
}
