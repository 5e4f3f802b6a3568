//! A cluster that answers from a script.

use std::sync::atomic::{AtomicU32, Ordering};

use peer::admin::cluster::{Cluster, HoldKind, Reply, SubmitRequest};
use peer::admin::refusal::{Refusal, RefusalKind};
use peer::admin::views::*;
use peer::core::check::{Check, Checks, Side};
use peer::core::conflict::{Conflict, ConflictList, Image, Incoming};
use peer::core::disposition::Disposition;
use peer::core::fault::{Fault, Faults};
use peer::core::finding::{Finding, Severity};
use peer::core::ids::Epoch;
use peer::core::job_state::{ErrorReport, SinkStatus, TableProgress};

/// Knows one job, `orders`, which copies until it was asked about `polls` times and then is in `end`.
pub struct Scripted {
    polls: AtomicU32,
    end: JobPhase,
}

impl Scripted {
    pub fn new(polls: u32, end: JobPhase) -> Self {
        Self {
            polls: AtomicU32::new(polls),
            end,
        }
    }
}

fn answer<T: Send + 'static>(value: Result<T, Refusal>) -> Reply<'static, T> {
    Box::pin(std::future::ready(value))
}

fn known<T>(name: &str, value: T) -> Result<T, Refusal> {
    if name == "orders" {
        Ok(value)
    } else {
        Err(Refusal::unknown_job(name))
    }
}

fn change(name: &str, action: &str, desired: Option<Desired>) -> Reply<'static, ChangeView> {
    let view = ChangeView {
        name: name.to_owned(),
        incarnation: 1,
        action: action.to_owned(),
        desired,
        changed: true,
        target: None,
    };
    answer(known(name, view))
}

fn in_target(name: &str, action: &str, desired: Option<Desired>, forgot: bool) -> Reply<'static, ChangeView> {
    let view = ChangeView {
        name: name.to_owned(),
        incarnation: 1,
        action: action.to_owned(),
        desired,
        changed: true,
        target: Some(TargetView {
            endpoint: "172.100.9.2:3306".to_owned(),
            ended_epoch: (!forgot).then_some(7),
            ended_owner: (!forgot).then(|| "bj-1".to_owned()),
            forgot,
        }),
    };
    answer(known(name, view))
}

fn remark() -> Check {
    Check {
        side: Side::Cluster,
        peer: "sh-1".to_owned(),
        finding: Finding::bad(
            Severity::Warn,
            "PEER1851",
            "peers that reach the source",
            "sh-1 only",
            "two peers",
            "start one",
        ),
    }
}

fn next_version() -> SubmitView {
    SubmitView {
        name: "orders".to_owned(),
        incarnation: 1,
        version: 3,
        result: SubmitResult::Updated,
        seen_by: 2,
        peers: 3,
        adopted_epoch: None,
        warnings: Vec::new(),
    }
}

fn peer_change(name: &str, action: &str) -> PeerChangeView {
    PeerChangeView {
        name: name.to_owned(),
        id: format!("id-of-{name}"),
        action: action.to_owned(),
        changed: true,
    }
}

fn owner(peer: &str) -> OwnerView {
    OwnerView {
        peer: Some(peer.to_owned()),
    }
}

fn orders() -> StatusView {
    let mut view = StatusView::unmeasured("orders", 1, 2, Desired::Run);
    view.state = JobPhase::Copying;
    view.source.peer = Some("sh-1".to_owned());
    view.source.endpoint = Some("172.100.9.1:3306".to_owned());
    view.sink.peer = Some("bj-1".to_owned());
    view.sink.endpoint = Some("172.100.9.2:3306".to_owned());
    view.absorb(&SinkStatus {
        epoch: Epoch(3),
        applied: "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-140".to_owned(),
        binlog_file: "binlog.000003".to_owned(),
        binlog_pos: 157,
        lag_ms: Some(1_250),
        rows_per_s: 12_345.0,
        copy_rows_per_s: Some(12_345.0),
        tables: vec![
            TableProgress {
                schema: "shop".into(),
                table: "orders".into(),
                state: "copying".into(),
                rows: 50_000,
                rows_estimate: Some(200_000),
            },
            TableProgress {
                schema: "shop".into(),
                table: "items".into(),
                state: "done".into(),
                rows: 7,
                rows_estimate: Some(9),
            },
        ],
        ..SinkStatus::default()
    });
    view.errors.push(ErrorReport {
        at: "2026-01-02T03:04:05Z".to_owned(),
        class: Disposition::Retry,
        code: "PEER1301".to_owned(),
        text: "the target did not answer within 5 s, and this sentence is long enough to need a second line".to_owned(),
        fix: "start it".to_owned(),
        faults: Vec::new(),
    });
    view.placement.push(PlacementView {
        task: "sink".to_owned(),
        peer: "sh-1".to_owned(),
        verdict: "excluded".to_owned(),
        rule: Some("${node.datacenter} = beijing".to_owned()),
        score: None,
        affinity: None,
        spread: None,
    });
    view
}

/// A text with `other` changes the rate, one with `moved` the source, any other nothing.
fn planned(text: &str) -> PlanView {
    let difference = |path: &str, impact: &str| DifferenceView {
        path: path.to_owned(),
        text: format!("{path}: 0 -> 1"),
        impact: impact.to_owned(),
        note: "a note".to_owned(),
    };
    let fault = || {
        Fault::new(
            "PEER1705",
            "job orders",
            "source c:3306",
            "source a:3306",
            "peer purge orders first",
        )
    };
    let (result, differences, faults) = match () {
        () if text.contains("moved") => (
            PlanResult::Refused,
            vec![difference("source.endpoint.host", "refused")],
            vec![fault()],
        ),
        () if text.contains("other") => (PlanResult::Update, vec![difference("link.rate_bytes", "restart")], Vec::new()),
        () => (PlanResult::Unchanged, Vec::new(), Vec::new()),
    };
    PlanView {
        name: "orders".to_owned(),
        as_seen_by: "sh-1".to_owned(),
        result,
        version: Some(2),
        running: true,
        differences,
        placement: orders().placement,
        placement_summary: vec![PlacementSummaryView {
            task: "sink".to_owned(),
            chosen: Some("bj-1".to_owned()),
            score: Some(0.5),
            running: Some("bj-1".to_owned()),
            why: "runs it, and is the best".to_owned(),
            totals: PlacementTotalsView {
                eligible: 1,
                excluded: 1,
                ..PlacementTotalsView::default()
            },
        }],
        table: TableDigestView {
            digest: "0123456789abcdef".to_owned(),
            agree: 2,
            peers: 3,
        },
        tables: None,
        tables_faults: Vec::new(),
        other_jobs: Vec::new(),
        faults,
    }
}

impl Cluster for Scripted {
    fn members(&self) -> Reply<'_, MembersView> {
        let member = |name: &str, datacenter: &str, is_self| MemberView {
            name: name.to_owned(),
            id: format!("id-of-{name}"),
            state: MemberStanding::Alive,
            datacenter: datacenter.to_owned(),
            class: String::new(),
            meta: [("rack".to_owned(), "r1".to_owned())].into(),
            version: Some("0.1.0".to_owned()),
            address: Some("203.0.113.7:7420".to_owned()),
            admin: None,
            http: None,
            tasks: TaskCountsView { source: 1, sink: 0 },
            is_self,
        };
        let members = vec![member("sh-1", "shanghai", true), member("bj-1", "beijing", false)];
        answer(Ok(MembersView {
            cluster: "default".to_owned(),
            as_seen_by: "sh-1".to_owned(),
            members,
        }))
    }

    fn jobs(&self) -> Reply<'_, JobsView> {
        let line = JobLine {
            name: "orders".to_owned(),
            state: JobPhase::Copying,
            desired: Desired::Run,
            incarnation: 1,
            version: 2,
            source: owner("sh-1"),
            sink: owner("bj-1"),
            lag_ms: Some(1_250),
            rows_per_s: Some(12_345.0),
            error: None,
        };
        answer(Ok(JobsView { jobs: vec![line] }))
    }

    fn status<'a>(&'a self, name: &'a str) -> Reply<'a, StatusView> {
        let mut view = orders();
        let left = self
            .polls
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
        if left.is_err() {
            view.state = self.end;
        }
        answer(known(name, view))
    }

    fn submit(&self, request: SubmitRequest) -> Reply<'_, SubmitView> {
        if request.text.contains("broken") {
            return answer(Err(broken()));
        }
        if !request.update && request.text.contains("other") {
            let fault = Fault::new(
                "PEER1203",
                "job `orders`",
                "another content",
                "the same content",
                "use `--update`",
            );
            return answer(Err(Refusal::new(RefusalKind::Exists, fault)));
        }
        let result = if request.update {
            SubmitResult::Updated
        } else {
            SubmitResult::Accepted
        };
        let version = request.expect_version.unwrap_or(1);
        answer(Ok(SubmitView {
            name: "orders".to_owned(),
            incarnation: 1,
            version,
            result,
            seen_by: 2,
            peers: 3,
            adopted_epoch: request.adopt.then_some(4),
            warnings: if request.is_unchecked || !request.text.contains("lone") {
                Vec::new()
            } else {
                vec![remark()]
            },
        }))
    }

    fn set<'a>(&'a self, name: &'a str, settings: Vec<String>) -> Reply<'a, SubmitView> {
        match peer::config::job_set::parse_settings(&settings) {
            Ok(_) => answer(known(name, next_version())),
            Err(faults) => answer(Err(Refusal::invalid(faults))),
        }
    }

    fn history<'a>(&'a self, name: &'a str) -> Reply<'a, JobHistoryView> {
        let event = |version: u64, what: &str, changes: Option<&str>| EventView {
            version,
            at: Some("2026-01-02T03:04:05Z".to_owned()),
            by: Some("sh-1".to_owned()),
            what: what.to_owned(),
            note: None,
            changes: changes.map(|change| vec![change.to_owned()]),
            in_force: version == 2,
            kept: true,
        };
        let view = JobHistoryView {
            name: "orders".to_owned(),
            incarnation: 1,
            version: Some(2),
            events: vec![
                event(2, "set", Some("link.rate_bytes: 0 -> 10000000")),
                event(1, "submit", None),
            ],
        };
        answer(known(name, view))
    }

    fn revert<'a>(&'a self, name: &'a str, _: u64) -> Reply<'a, SubmitView> {
        answer(known(name, next_version()))
    }

    fn plan(&self, text: String) -> Reply<'_, PlanView> {
        if text.contains("broken") {
            return answer(Err(broken()));
        }
        answer(Ok(planned(&text)))
    }

    fn check(&self, text: String) -> Reply<'_, CheckView> {
        if text.contains("broken") {
            return answer(Err(broken()));
        }
        let mut checks = Checks::default();
        checks.add(Side::Source, "sh-1", [Finding::ok("PEER1353", "log_bin", "ON")]);
        if text.contains("other") {
            let fix = "SET PERSIST binlog_format = 'ROW'";
            let bad = Finding::bad(Severity::Fail, "PEER1356", "binlog_format", "MIXED", "ROW", fix);
            checks.add(Side::Source, "sh-1", [bad]);
        }
        checks.0.push(remark());
        answer(Ok(CheckView::of("orders", "sh-1", checks)))
    }

    fn hold<'a>(&'a self, name: &'a str, kind: HoldKind) -> Reply<'a, ChangeView> {
        match kind {
            HoldKind::Pause => change(name, "pause", Some(Desired::Pause)),
            HoldKind::Stop => change(name, "stop", Some(Desired::Stop)),
        }
    }

    fn release<'a>(&'a self, name: &'a str) -> Reply<'a, ChangeView> {
        change(name, "resume", Some(Desired::Run))
    }

    fn restart<'a>(&'a self, name: &'a str) -> Reply<'a, ChangeView> {
        change(name, "restart", Some(Desired::Run))
    }

    fn purge<'a>(&'a self, name: &'a str) -> Reply<'a, ChangeView> {
        change(name, "purge", None)
    }

    fn stop_fence<'a>(&'a self, name: &'a str) -> Reply<'a, ChangeView> {
        in_target(name, "stop", Some(Desired::Stop), false)
    }

    fn purge_target<'a>(&'a self, name: &'a str) -> Reply<'a, ChangeView> {
        in_target(name, "purge", None, true)
    }

    fn conflicts<'a>(&'a self, name: &'a str) -> Reply<'a, ConflictsView> {
        let image = |v: i32| Image(vec![("id".to_owned(), 7.into()), ("v".to_owned(), v.into())]);
        let conflict = Conflict {
            number: 1,
            table: "orders".to_owned(),
            kind: "different".to_owned(),
            incoming: Incoming {
                operation: "update".to_owned(),
                before: Some(image(1)),
                after: Some(image(2)),
            },
            found: vec![image(3)],
            decision: "paused".to_owned(),
            ..Conflict::default()
        };
        let list = ConflictList {
            total: 1,
            pruned: 0,
            conflicts: vec![conflict],
        };
        let name_of = name.to_owned();
        answer(known(
            name,
            ConflictsView {
                name: name_of,
                incarnation: 1,
                list,
            },
        ))
    }

    fn skip<'a>(&'a self, name: &'a str, _: &'a str, _: String) -> Reply<'a, ChangeView> {
        change(name, "skip", None)
    }

    fn drain<'a>(&'a self, peer: &'a str, is_draining: bool) -> Reply<'a, PeerChangeView> {
        if peer != "bj-1" {
            return answer(Err(Refusal::unknown_peer(peer)));
        }
        answer(Ok(peer_change(peer, if is_draining { "drain" } else { "undrain" })))
    }

    fn leave<'a>(&'a self, peer: Option<&'a str>, is_restart: bool) -> Reply<'a, PeerChangeView> {
        let peer = peer.unwrap_or("sh-1");
        if peer != "bj-1" && peer != "sh-1" {
            return answer(Err(Refusal::unknown_peer(peer)));
        }
        answer(Ok(peer_change(peer, if is_restart { "leave_for_restart" } else { "leave" })))
    }

    fn version(&self) -> Reply<'_, VersionView> {
        let text = |s: &str| Some(s.to_owned());
        answer(Ok(VersionView {
            version: "0.1.0".to_owned(),
            name: text("sh-1"),
            id: text("id-of-sh-1"),
            cluster: text("default"),
        }))
    }

    fn health(&self) -> Reply<'_, HealthView> {
        answer(Ok(HealthView { ok: true, reason: None }))
    }

    fn ready(&self) -> Reply<'_, HealthView> {
        answer(Ok(HealthView {
            ok: false,
            reason: Some("still joining".to_owned()),
        }))
    }
}

/// Two faults at once.
fn broken() -> Refusal {
    let fault = |key: &str| {
        Fault::new(
            "PEER1101",
            format!("`{key}`"),
            "unknown key",
            "a key of job.toml",
            "remove it",
        )
    };
    Refusal::invalid(Faults(vec![fault("a"), fault("b")]))
}
