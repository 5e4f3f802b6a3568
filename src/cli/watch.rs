//! Follows a job until it streams: the loop of `submit --wait`.
//!
//! Fed by `run` with what `submit` answered; asks the peer each 200 ms and shows `progress`. Decides by `verdict` alone.
//! The job goes on whatever ends the wait.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::admin::render;
use crate::admin::views::{JobPhase, StatusView, SubmitView};
use crate::cli::client::{Answered, Client};
use crate::cli::failure::{EXIT_FAILED, EXIT_INTERRUPTED, EXIT_NO_PEER, Failure};
use crate::cli::out;
use crate::cli::progress::Progress;
use crate::core::fault::{Fault, Faults};

/// Between two questions. Smooth for the eye, nothing for the peer.
const POLL: Duration = Duration::from_millis(200);
/// A peer that does not answer for so long is taken for gone: longer than a restart of it takes.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// How a wait ends.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    /// Not yet.
    GoesOn,
    /// Streaming, or done.
    Arrived,
    /// It does not move by itself any more.
    Stuck(Faults),
}

/// Follows the job that `submitted` names. With `is_json` the last status is the answer on stdout, whatever came of it.
///
/// # Errors
/// The job is stuck or the time is over (exit 1), Ctrl-C (130), the peer is gone (3).
pub fn follow(client: &Client, submitted: &SubmitView, limit: Duration, is_json: bool) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            Failure::local(
                "this process",
                &error.to_string(),
                "a timer and signals",
                "see the system's limits",
            )
        })?;
    let mut watch = Watch {
        client,
        submitted,
        progress: Progress::new(),
        last: None,
        told_placement: false,
    };
    let outcome = runtime.block_on(watch.run(limit));
    watch.progress.finish();
    let Some(last) = watch.last else { return outcome };
    if is_json {
        out::line(last.text.trim_end());
        return outcome.map_err(|failure| Failure {
            is_answered: true,
            ..failure
        });
    }
    outcome.map(|()| out::line(&arrived(&last.view)))
}

struct Watch<'a> {
    client: &'a Client,
    submitted: &'a SubmitView,
    progress: Progress,
    last: Option<Answered<StatusView>>,
    told_placement: bool,
}

impl Watch<'_> {
    async fn run(&mut self, limit: Duration) -> Result<(), Failure> {
        let deadline = Instant::now() + limit;
        let mut heard_at = Instant::now();
        let mut ticks = interval(POLL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
        loop {
            tokio::select! {
                biased;
                _ = &mut interrupted => return Err(self.interrupted()),
                _ = ticks.tick() => {}
            }
            let asked = tokio::select! {
                biased;
                _ = &mut interrupted => return Err(self.interrupted()),
                asked = self.ask() => asked,
            };
            match asked {
                Ok(answered) => {
                    heard_at = Instant::now();
                    let verdict = verdict(&answered.view, self.submitted);
                    self.show(&answered.view);
                    self.last = Some(answered);
                    match verdict {
                        Verdict::GoesOn => {}
                        Verdict::Arrived => return Ok(()),
                        Verdict::Stuck(fault) => return Err(Failure::new(EXIT_FAILED, fault)),
                    }
                }
                Err(failure) if failure.exit != EXIT_NO_PEER || heard_at.elapsed() > SILENCE_MAX => return Err(failure),
                Err(_) => {}
            }
            if Instant::now() >= deadline {
                return Err(self.too_late(limit));
            }
        }
    }

    async fn ask(&self) -> Result<Answered<StatusView>, Failure> {
        let client = self.client.clone();
        let path = format!("/v1/jobs/{}", self.submitted.name);
        tokio::task::spawn_blocking(move || client.get(&path))
            .await
            .expect("asking does not panic")
    }

    fn show(&mut self, view: &StatusView) {
        self.progress.show(view);
        if view.state == JobPhase::Unplaced && !view.placement.is_empty() && !self.told_placement {
            self.told_placement = true;
            self.progress.say(&format!("{} waits for a peer that may run it:", view.name));
            self.progress
                .say(render::placement(&view.placement, &view.placement_summary, render::WIDTH_DEFAULT).trim_end());
        }
    }

    fn interrupted(&self) -> Failure {
        let fix = format!("`peer status {0}` shows it, `peer stop {0}` stops it", self.submitted.name);
        let what = format!("wait for job `{}`", self.submitted.name);
        Failure::new(
            EXIT_INTERRUPTED,
            Fault::new("PEER1061", what, "Ctrl-C; the job goes on", "streaming", fix),
        )
    }

    fn too_late(&self, limit: Duration) -> Failure {
        let state = self.last.as_ref().map_or("unknown", |last| last.view.state.word());
        let newest = self.last.as_ref().and_then(|last| last.view.errors.first());
        let error = newest.map(|error| format!(", last error {} {}", error.code, error.text));
        let found = format!(
            "{state} after {}{}; the job goes on",
            render::duration_ms(limit.as_millis() as u64),
            error.unwrap_or_default()
        );
        let fix = format!("`peer status {}` shows why; wait longer with --timeout", self.submitted.name);
        let what = format!("wait for job `{}`", self.submitted.name);
        Failure::new(EXIT_FAILED, Fault::new("PEER1061", what, found, "streaming", fix))
    }
}

/// A status of an older life or version is not yet about what was submitted.
fn verdict(view: &StatusView, submitted: &SubmitView) -> Verdict {
    if (view.incarnation, view.version) < (submitted.incarnation, submitted.version) {
        return Verdict::GoesOn;
    }
    match view.state {
        JobPhase::Unplaced | JobPhase::Starting | JobPhase::Copying => Verdict::GoesOn,
        JobPhase::Streaming | JobPhase::Done => Verdict::Arrived,
        JobPhase::Paused | JobPhase::Stopped | JobPhase::Held | JobPhase::Failed => Verdict::Stuck(stuck(view)),
    }
}

/// Why it does not move: its newest error, else the reason of its state.
fn stuck(view: &StatusView) -> Faults {
    let what = format!("job `{}`", view.name);
    let state = view.state.word();
    if let Some(error) = view
        .errors
        .first()
        .filter(|_| matches!(view.state, JobPhase::Failed | JobPhase::Paused))
    {
        if !error.faults.is_empty() {
            return Faults(error.faults.clone());
        }
        return Faults::from(Fault {
            code: error.code.clone(),
            object: what,
            found: format!("{state}: {}", error.text),
            expected: "streaming".to_owned(),
            fix: error.fix.clone(),
        });
    }
    let reason = view.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let fix = match view.state {
        JobPhase::Failed => format!("`peer status {0}` shows more; `peer restart {0}` tries again", view.name),
        _ => format!("`peer resume {}` lets it go on", view.name),
    };
    Fault::new("PEER1061", what, format!("{state}{reason}"), "streaming", fix).into()
}

fn arrived(view: &StatusView) -> String {
    let rows = view.copy.rows.filter(|_| view.copy.tables.unwrap_or(0) > 0);
    let copied = rows
        .map(|rows| format!(", {} rows copied", render::count(rows)))
        .unwrap_or_default();
    let lag = view
        .lag_ms
        .map(|ms| format!(", lag {}", render::duration_ms(ms)))
        .unwrap_or_default();
    format!("{} is {}{copied}{lag}", view.name, view.state.word())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::views::{Desired, SubmitResult};
    use crate::core::disposition::Disposition;
    use crate::core::job_state::ErrorReport;

    fn submitted() -> SubmitView {
        SubmitView {
            name: "orders".into(),
            incarnation: 1,
            version: 2,
            result: SubmitResult::Updated,
            seen_by: 1,
            peers: 1,
            adopted_epoch: None,
            warnings: Vec::new(),
        }
    }

    fn status(state: JobPhase) -> StatusView {
        StatusView {
            state,
            ..StatusView::unmeasured("orders", 1, 2, Desired::Run)
        }
    }

    #[test]
    fn the_wait_ends_when_the_job_streams_and_not_before() {
        for state in [JobPhase::Unplaced, JobPhase::Starting, JobPhase::Copying] {
            assert_eq!(verdict(&status(state), &submitted()), Verdict::GoesOn);
        }
        for state in [JobPhase::Streaming, JobPhase::Done] {
            assert_eq!(verdict(&status(state), &submitted()), Verdict::Arrived);
        }
    }

    #[test]
    fn what_the_former_version_does_says_nothing() {
        for state in [JobPhase::Streaming, JobPhase::Failed] {
            let former = StatusView {
                version: 1,
                ..status(state)
            };
            assert_eq!(verdict(&former, &submitted()), Verdict::GoesOn);
        }
    }

    #[test]
    fn a_failed_job_is_told_with_its_newest_error() {
        let mut view = status(JobPhase::Failed);
        let error = |code: &str| ErrorReport {
            at: String::new(),
            class: Disposition::Fatal,
            code: code.into(),
            text: "no binlog".into(),
            fix: "turn it on".into(),
            faults: Vec::new(),
        };
        view.errors = vec![error("PEER1302"), error("PEER1301")];
        let Verdict::Stuck(faults) = verdict(&view, &submitted()) else {
            panic!("not stuck")
        };
        let fault = &faults.0[0];
        assert_eq!((fault.code.as_str(), fault.fix.as_str()), ("PEER1302", "turn it on"));
        assert!(fault.found.contains("no binlog"));
    }

    #[test]
    fn a_hold_is_told_with_its_reason_not_with_an_old_error() {
        let mut view = status(JobPhase::Stopped);
        view.reason = Some("stopped by bj-1".into());
        let Verdict::Stuck(faults) = verdict(&view, &submitted()) else {
            panic!("not stuck")
        };
        let fault = &faults.0[0];
        assert!(fault.found.contains("stopped by bj-1") && fault.fix.contains("peer resume orders"));
    }
}
