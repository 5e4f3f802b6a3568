//! Turns a line of the shell into a request, with a fault that says how the command is written.
//!
//! Fed by `shell`; the names and the rule for job names are used by `http` and the command line too. Pure.

use crate::admin::cluster::SubmitRequest;
use crate::admin::command::Command;
use crate::admin::parse_skip::skip;
use crate::admin::refusal::Refusal;
use crate::config::cluster_rules::{LABEL_FORM, is_label};

/// What `help` prints in the shell.
pub const HELP: &str = "\
Look
  members               who is here, where, and what they run
  jobs                  one line per job
  status JOB            one screen about a job            status orders
  history JOB           what happened, what changed       history orders
  conflicts JOB         rows that did not fit             conflicts orders
  version               what this peer is
Act
  submit [--update] [--expect-version N] [--adopt] [--no-check] <<EOF
                        the job's text follows, up to a line EOF; --adopt
                        resumes from progress that is not this job's
  set JOB KEY=VALUE...  change it while it runs
                        set orders link.rate=\"10 MB/s\"
  revert JOB VERSION    back to an earlier version        revert orders 2
  plan <<EOF            what submit --update of that text would do
  check <<EOF           every prerequisite of that text, each with its fix
  pause JOB             hold it for a while               pause orders
  resume JOB            remove the holds people put       resume orders
  stop JOB              hold it until resume              stop orders
  stop JOB --fence      and end its owner in the target, also when the
                        owner does not hear it            stop orders --fence
  restart JOB           start its tasks anew              restart orders
  skip JOB GTID --reason TEXT  pass over one transaction of the source
  purge JOB --yes       forget the job and its progress   purge orders --yes
  purge JOB --yes --target  and clean the target from this very peer
Peers
  drain PEER            move its tasks away; it takes no new ones
  undrain PEER          let it take tasks again           undrain sh-1
  leave [PEER]          it moves its tasks away and ends; no name: this peer
  leave [PEER] --restart  it ends; its sinks wait 90 s for it to come back
Shell
  help                  this text
  quit                  close the connection (exit does the same)
  COMMAND --json        one JSON object instead of a table
";

/// Commands of the design that this version does not do.
pub const NOT_YET: &[&str] = &["auth", "resync", "snapshot", "verify", "watch"];

/// One line of the shell, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What to do.
    pub request: Request,
    /// Answer as JSON.
    pub is_json: bool,
}

/// What a line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Nothing: an empty line or a comment.
    Nothing,
    /// Close the connection.
    Quit,
    /// Run this.
    Run(Command),
    /// Read lines up to `end`, then submit them.
    SubmitText {
        /// The request, its text still empty.
        request: SubmitRequest,
        /// The line that ends the text.
        end: String,
    },
    /// Read lines up to `end`, then say what a submit of them would do.
    PlanText {
        /// The line that ends the text.
        end: String,
    },
    /// Read lines up to `end`, then look at every prerequisite of them.
    CheckText {
        /// The line that ends the text.
        end: String,
    },
}

/// Understands one line.
///
/// # Errors
/// Refuses with `Usage` what is not a command of this version; the fault says how it is written.
pub fn line(text: &str) -> Result<Line, Refusal> {
    let mut words: Vec<&str> = text.split_whitespace().take_while(|word| !word.starts_with('#')).collect();
    let before = words.len();
    words.retain(|word| *word != "--json");
    let is_json = words.len() < before;
    let Some((name, rest)) = words.split_first() else {
        return Ok(Line {
            request: Request::Nothing,
            is_json,
        });
    };
    Ok(Line {
        request: request(name, rest)?,
        is_json,
    })
}

fn request(name: &str, rest: &[&str]) -> Result<Request, Refusal> {
    let command = match name {
        "members" => bare(rest, "members", Command::Members)?,
        "jobs" => bare(rest, "jobs", Command::Jobs)?,
        "version" => bare(rest, "version", Command::Version)?,
        "help" | "?" => Command::Help,
        "quit" | "exit" => return Ok(Request::Quit),
        "status" => Command::Status {
            job: one_job(rest, "status JOB")?,
        },
        "history" => Command::History {
            job: one_job(rest, "history JOB")?,
        },
        "conflicts" => Command::Conflicts {
            job: one_job(rest, "conflicts JOB")?,
        },
        "skip" => skip(rest)?,
        "set" => set(rest)?,
        "revert" => revert(rest)?,
        "pause" => Command::Pause {
            job: one_job(rest, "pause JOB")?,
        },
        "resume" => Command::Resume {
            job: one_job(rest, "resume JOB")?,
        },
        "stop" => stop(rest)?,
        "restart" => Command::Restart {
            job: one_job(rest, "restart JOB")?,
        },
        "purge" => purge(rest)?,
        "drain" => Command::Drain {
            peer: one_peer(rest, "drain PEER")?,
        },
        "undrain" => Command::Undrain {
            peer: one_peer(rest, "undrain PEER")?,
        },
        "leave" => leave(rest)?,
        "submit" => return submit(rest),
        "plan" => {
            return Ok(Request::PlanText {
                end: only_end_word("plan", rest)?,
            });
        }
        "check" => {
            return Ok(Request::CheckText {
                end: only_end_word("check", rest)?,
            });
        }
        later if NOT_YET.contains(&later) => return Err(Refusal::not_yet(later)),
        other => {
            return Err(Refusal::usage(
                &format!("`{other}`"),
                "no such command",
                "a command",
                "type `help` for the commands",
            ));
        }
    };
    Ok(Request::Run(command))
}

fn bare(rest: &[&str], form: &str, command: Command) -> Result<Command, Refusal> {
    match rest.first() {
        None => Ok(command),
        Some(extra) => Err(form_fault(form, &format!("`{extra}` after it"))),
    }
}

fn one_job(rest: &[&str], form: &str) -> Result<String, Refusal> {
    match rest {
        [name] => job_name(name),
        [] => Err(form_fault(form, "no job name")),
        [_, extra, ..] => Err(form_fault(form, &format!("`{extra}` after it"))),
    }
}

fn set(rest: &[&str]) -> Result<Command, Refusal> {
    let form = "set JOB KEY=VALUE ...";
    let Some((name, words)) = rest.split_first() else {
        return Err(form_fault(form, "no job name"));
    };
    if words.is_empty() {
        return Err(form_fault(form, "nothing to set"));
    }
    Ok(Command::Set {
        job: job_name(name)?,
        settings: unquoted(&words.join(" ")),
    })
}

/// Splits at spaces outside double quotes, and drops the quotes.
fn unquoted(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut is_quoted = false;
    for c in text.chars() {
        match c {
            '"' => is_quoted = !is_quoted,
            ' ' if !is_quoted => words.push(String::new()),
            c => words.last_mut().expect("begins with one").push(c),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

fn revert(rest: &[&str]) -> Result<Command, Refusal> {
    let form = "revert JOB VERSION";
    let [name, version] = rest else {
        return Err(form_fault(form, &format!("{} words after it", rest.len())));
    };
    let number = version.parse();
    Ok(Command::Revert {
        job: job_name(name)?,
        version: number.map_err(|_| form_fault(form, &format!("`{version}` as a version")))?,
    })
}

/// Takes `flag` out of `rest`; true: it was there.
fn without<'a>(rest: &[&'a str], flag: &str) -> (Vec<&'a str>, bool) {
    let kept: Vec<&str> = rest.iter().copied().filter(|word| *word != flag).collect();
    let is_there = kept.len() < rest.len();
    (kept, is_there)
}

fn stop(rest: &[&str]) -> Result<Command, Refusal> {
    let (names, is_fence) = without(rest, "--fence");
    let job = one_job(&names, "stop JOB [--fence]")?;
    Ok(if is_fence {
        Command::StopFence { job }
    } else {
        Command::Stop { job }
    })
}

fn one_peer(rest: &[&str], form: &str) -> Result<String, Refusal> {
    match rest {
        [name] => peer_name(name),
        [] => Err(form_fault(form, "no name of a peer")),
        [_, extra, ..] => Err(form_fault(form, &format!("`{extra}` after it"))),
    }
}

fn leave(rest: &[&str]) -> Result<Command, Refusal> {
    let (names, is_restart) = without(rest, "--restart");
    let peer = match names.as_slice() {
        [] => None,
        names => Some(one_peer(names, "leave [PEER] [--restart]")?),
    };
    Ok(Command::Leave { peer, is_restart })
}

fn purge(rest: &[&str]) -> Result<Command, Refusal> {
    let form = "purge JOB --yes [--target]";
    let (rest, is_target) = without(rest, "--target");
    let (names, is_confirmed) = without(&rest, "--yes");
    let job = one_job(&names, form)?;
    if !is_confirmed {
        return Err(form_fault(form, "no `--yes`: the job and its progress would be forgotten"));
    }
    Ok(if is_target {
        Command::PurgeTarget { job }
    } else {
        Command::Purge { job }
    })
}

fn submit(rest: &[&str]) -> Result<Request, Refusal> {
    let form = "submit [--update] [--expect-version N] [--adopt] [--no-check] <<EOF";
    let mut request = SubmitRequest {
        text: String::new(),
        update: false,
        expect_version: None,
        adopt: false,
        is_unchecked: false,
    };
    let mut end = None;
    let mut words = rest.iter();
    while let Some(word) = words.next() {
        match *word {
            "--update" => request.update = true,
            "--adopt" => request.adopt = true,
            "--no-check" => request.is_unchecked = true,
            "--expect-version" => {
                let number = words
                    .next()
                    .ok_or_else(|| form_fault(form, "no number after --expect-version"))?;
                let version = number
                    .parse()
                    .map_err(|_| form_fault(form, &format!("`{number}` as a version")))?;
                request.expect_version = Some(version);
            }
            word if word.starts_with("<<") => end = end_word(word),
            other => {
                return Err(form_fault(
                    form,
                    &format!("`{other}`; files are read by `peer submit FILE`, not here"),
                ));
            }
        }
    }
    let end = end.ok_or_else(|| form_fault(form, "no `<<EOF`"))?;
    Ok(Request::SubmitText { request, end })
}

/// `NAME <<EOF` and nothing else.
fn only_end_word(name: &str, rest: &[&str]) -> Result<String, Refusal> {
    let form = &format!("{name} <<EOF");
    match rest {
        [] => Err(form_fault(form, "no `<<EOF`")),
        [word] => end_word(word).ok_or_else(|| {
            let found = format!("`{word}`; files are read by `peer {name} FILE`, not here");
            form_fault(form, &found)
        }),
        [_, extra, ..] => Err(form_fault(form, &format!("`{extra}` after it"))),
    }
}

/// The word after `<<`, without its quotes.
fn end_word(word: &str) -> Option<String> {
    let end = word.strip_prefix("<<")?.trim_matches(['\'', '"']);
    (!end.is_empty()).then(|| end.to_owned())
}

/// Returns `name` when it can be a job's.
///
/// # Errors
/// `Usage`, with the rule.
pub fn job_name(name: &str) -> Result<String, Refusal> {
    let is_start = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_fit = name.len() <= 64 && name.starts_with(is_start) && name.chars().all(|c| is_start(c) || c == '_' || c == '-');
    if is_fit {
        return Ok(name.to_owned());
    }
    let shown: String = name.chars().take(80).collect();
    Err(Refusal::usage(
        "job name",
        &format!("`{shown}`"),
        "[a-z0-9][a-z0-9_-]{0,63}",
        "see `jobs` for the names",
    ))
}

/// Returns `name` when it can be a peer's name or id.
///
/// # Errors
/// `Usage`, with the rule.
pub fn peer_name(name: &str) -> Result<String, Refusal> {
    if is_label(name) {
        return Ok(name.to_owned());
    }
    let shown: String = name.chars().take(80).collect();
    Err(Refusal::usage(
        "peer name",
        &format!("`{shown}`"),
        LABEL_FORM,
        "see `members` for the names",
    ))
}

fn form_fault(form: &str, found: &str) -> Refusal {
    let name = form.split(' ').next().unwrap_or(form);
    Refusal::usage(&format!("`{name}`"), found, &format!("`{form}`"), "type `help` for examples")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::admin::refusal::RefusalKind;

    fn refused(text: &str) -> Refusal {
        line(text).expect_err(text)
    }

    #[test]
    fn a_command_is_understood_wherever_json_stands() {
        let expected = Request::Run(Command::Status {
            job: "orders".to_owned(),
        });
        for text in ["status orders --json", "--json status orders", "  status\torders --json\r"] {
            assert_eq!(
                line(text).expect(text),
                Line {
                    request: expected.clone(),
                    is_json: true
                }
            );
        }
    }

    #[test]
    fn a_missing_job_name_is_told_with_the_form() {
        assert!(refused("pause").faults.0[0].expected.contains("pause JOB"));
        assert_eq!(refused("pause").kind, RefusalKind::Usage);
    }

    #[test]
    fn a_peer_is_named_by_what_peers_may_be_called() {
        let drain = Request::Run(Command::Drain { peer: "SH-1.a".into() });
        assert_eq!(line("drain SH-1.a").expect("a name").request, drain);
        for bad in ["drain", "drain a b", "drain a/b", "undrain", "leave a b", "leave a/b"] {
            assert_eq!(refused(bad).kind, RefusalKind::Usage, "{bad}");
        }
    }

    #[test]
    fn who_leaves_is_the_asked_peer_or_the_named_one() {
        for (text, peer, is_restart) in [
            ("leave", None, false),
            ("leave --restart", None, true),
            ("leave sh-1", Some("sh-1"), false),
            ("leave --restart sh-1", Some("sh-1"), true),
        ] {
            let peer = peer.map(str::to_owned);
            let leave = Request::Run(Command::Leave { peer, is_restart });
            assert_eq!(line(text).expect(text).request, leave, "{text}");
        }
    }

    #[test]
    fn purge_wants_to_be_confirmed() {
        assert!(refused("purge orders").faults.0[0].found.contains("--yes"));
        let purge = Request::Run(Command::Purge {
            job: "orders".to_owned(),
        });
        assert_eq!(line("purge --yes orders").expect("confirmed").request, purge);
    }

    #[test]
    fn set_keeps_what_stands_in_quotes_together() {
        let expected = Command::Set {
            job: "orders".to_owned(),
            settings: vec!["link.rate=10 MB/s".to_owned(), "apply.group_transactions=5".to_owned()],
        };
        let found = line("set orders link.rate=\"10 MB/s\" apply.group_transactions=5").expect("good");
        assert_eq!(found.request, Request::Run(expected));
        assert!(refused("set orders").faults.0[0].expected.contains("KEY=VALUE"));
        assert!(refused("revert orders two").faults.0[0].found.contains("two"));
    }

    #[test]
    fn orders_to_the_target_are_their_own_commands() {
        let job = || "orders".to_owned();
        for (text, command) in [
            ("stop orders --fence", Command::StopFence { job: job() }),
            ("stop orders", Command::Stop { job: job() }),
            ("purge orders --target --yes", Command::PurgeTarget { job: job() }),
        ] {
            assert_eq!(line(text).expect(text).request, Request::Run(command));
        }
        assert!(refused("purge orders --target").faults.0[0].found.contains("--yes"));
        let Request::SubmitText { request, .. } = line("submit --adopt <<EOF").expect("good").request else {
            panic!("not a submit");
        };
        assert!(request.adopt);
    }

    #[test]
    fn submit_reads_its_flags_and_its_end_word() {
        let Request::SubmitText { request, end } = line("submit --update --expect-version 3 <<'EOF'").expect("good").request
        else {
            panic!("not a submit");
        };
        assert_eq!((request.update, request.expect_version, end.as_str()), (true, Some(3), "EOF"));
        assert!(refused("submit orders.toml").faults.0[0].found.contains("orders.toml"));
    }

    #[test]
    fn plan_reads_its_end_word_and_nothing_else() {
        let end = "EOF".to_owned();
        assert_eq!(
            line("plan <<\"EOF\" --json").expect("good").request,
            Request::PlanText { end }
        );
        for (text, found) in [
            ("plan", "<<EOF"),
            ("plan <<", "<<"),
            ("plan orders.toml", "orders.toml"),
            ("plan <<E x", "`x`"),
        ] {
            assert!(refused(text).faults.0[0].found.contains(found), "{text}");
        }
    }

    #[test]
    fn a_command_of_a_later_version_says_so() {
        for name in NOT_YET {
            assert_eq!(refused(name).faults.0[0].found, "not yet in this version");
        }
    }

    #[test]
    fn job_names_keep_to_the_rule() {
        for good in ["a", "0", "orders-2_x", &"a".repeat(64)] {
            assert_eq!(job_name(good).expect(good), good);
        }
        for bad in ["", "-a", "Orders", "a/b", "ä", &"a".repeat(65)] {
            assert!(job_name(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_line_is_understood_or_refused_with_a_reason(text in ".{0,200}") {
            if let Err(refusal) = line(&text) {
                prop_assert!(!refusal.faults.0[0].fix.is_empty());
            }
        }
    }
}
