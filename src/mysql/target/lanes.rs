//! Groups under way on connections of their own: each runs beside the ones before it and commits behind them (PROTOCOLS 2 and 7).
//!
//! Part of `writer`, fed by `flow::applier_groups` when it is behind. A group may run beside unfinished ones only when the source's own
//! numbers call it independent of all of them. Any other begins when all before it have run and wait for nothing but their commits: what
//! it touches of theirs it then waits for, and they never wait for it. COMMITs go out in order. When one fails, what flies behind it is
//! rolled back, and all of them are applied again, one by one.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::core::conflict::Check;
use crate::core::group::Group;
use crate::core::group_order::Span;
use crate::core::gtid_set::GtidSet;
use crate::core::ids::Seq;
use crate::mysql::error::Error;
use crate::mysql::target::apply::{ApplySession, Failure};
use crate::mysql::target::event_tables::{GROUP_ROWS_MIN, TableForm};
use crate::mysql::target::fence;
use crate::mysql::target::statement::Statement;
use crate::mysql::target::turn::{Turn, progress_statement};
use crate::mysql::target::writer::{Target, expect_same_server};

/// Connections that groups run on; more gain nothing (facts/apply: two to four are enough).
pub const LANES_MAX: usize = 4;
/// An idle one is closed after this; the server would end it after 20 s.
const IDLE_MAX: Duration = Duration::from_secs(5);
/// Failed flights in a row of groups, after which they go one by one for a while (PROTOCOLS 2 step 9).
const FAILURES_MAX: u32 = 2;
/// Groups that then go one by one.
const ALONE: u32 = 1_000;

/// How far a group is, for the one behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Begun,
    /// It and all before it have run; only commits are missing.
    Executed,
    Committed,
}

/// A group that is on its way.
#[derive(Debug)]
struct Flight {
    task: AbortOnDropHandle<Landed>,
    stage: watch::Receiver<Stage>,
    span: Option<Span>,
}

/// A group that is back, with its connection.
#[derive(Debug)]
struct Landed {
    session: ApplySession,
    group: Group,
    outcome: Outcome,
}

#[derive(Debug)]
enum Outcome {
    Committed,
    /// Rolled back, unless the connection is gone.
    Failed(Failure),
    /// One before it failed.
    GivenUp,
}

/// What is committed now.
#[derive(Debug)]
pub struct Landing {
    /// Its number.
    pub seq: Seq,
    /// The group.
    pub group: Group,
}

/// The connections and what flies on them, oldest first.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    idle: Vec<(ApplySession, Instant)>,
    flights: VecDeque<Flight>,
    /// The oldest one, back and not looked at.
    landed: Option<Landed>,
    /// Number and set that progress has when all of them are committed.
    ahead: (Seq, GtidSet),
    /// Flights that failed since one did not.
    failures: u32,
    /// Groups that still go one by one.
    alone: u32,
}

impl Lanes {
    /// A group went by itself.
    pub fn went_alone(&mut self) {
        self.alone = self.alone.saturating_sub(1);
    }

    /// Takes one that is free again.
    pub fn put(&mut self, session: ApplySession) {
        self.idle.push((session, Instant::now()));
    }

    /// Closes those that are idle; the others end with their tasks.
    pub async fn close(self) {
        for (session, _) in self.idle {
            session.close().await;
        }
    }
}

impl Target {
    /// Groups are under way.
    #[must_use]
    pub fn is_flying(&self) -> bool {
        !self.lanes.flights.is_empty() || self.lanes.landed.is_some()
    }

    /// Another group may be launched now.
    #[must_use]
    pub fn has_free_lane(&self) -> bool {
        self.lanes.flights.len() < LANES_MAX
    }

    /// Groups may fly: nobody must look at each of them.
    #[must_use]
    pub fn may_fly(&self) -> bool {
        self.lanes.alone == 0 && !self.has_notes()
    }

    /// Starts a group that has something to write; only while `has_free_lane` and `may_fly`.
    pub async fn launch(&mut self, group: Group) -> Result<(), Error> {
        let session = self.lane().await?;
        if self.lanes.flights.is_empty() {
            self.lanes.ahead = (self.progress().seq, self.progress().executed.clone());
        }
        let (seq, executed) = &mut self.lanes.ahead;
        *seq = seq.next();
        executed.union(&group.added);
        let turn = Turn {
            seq: *seq,
            executed: executed.to_string(),
            source_uuid: self.progress().source_uuid.clone(),
            position: group.position.clone(),
            commit_us: group.commit_us,
        };
        let turn = progress_statement(&self.meta, &self.job, self.epoch, &turn);
        let (stage, staged) = watch::channel(Stage::Begun);
        let span = self.is_one_to_one(&group).then(|| Span::of(&group)).flatten();
        let flight = FlightPlan {
            tables: group
                .tables
                .iter()
                .map(|effect| self.form(effect.shape))
                .collect::<Result<_, _>>()?,
            check: self.policy.check,
            turn,
            wait_for: match self.is_independent(span.as_ref()) {
                true => Stage::Begun,
                false => Stage::Executed,
            },
            before: self.lanes.flights.back().map(|flight| flight.stage.clone()),
            stage,
        };
        self.lanes.flights.push_back(Flight {
            task: AbortOnDropHandle::new(tokio::spawn(flight.fly(session, group))),
            stage: staged,
            span,
        });
        Ok(())
    }

    /// Waits until the oldest group is back; for ever when none flies. Cancel safe.
    pub async fn returned(&mut self) {
        if self.lanes.landed.is_some() {
            return;
        }
        let Some(flight) = self.lanes.flights.front_mut() else {
            return std::future::pending().await;
        };
        let landed = joined((&mut flight.task).await);
        self.lanes.flights.pop_front();
        self.lanes.landed = Some(landed);
    }

    /// Takes what `returned` waited for: what is committed now, in order. After a failure that is everything that flew.
    pub async fn landed(&mut self) -> Result<Vec<Landing>, Error> {
        let Some(landed) = self.lanes.landed.take() else {
            return Ok(Vec::new());
        };
        match landed.outcome {
            Outcome::Committed => {
                self.lanes.failures = 0;
                self.lanes.put(landed.session);
                let seq = self.advanced(&landed.group);
                Ok(vec![Landing {
                    seq,
                    group: landed.group,
                }])
            }
            Outcome::Failed(failure) if failure.error().is_some_and(Error::is_connection_gone) => {
                Err(self.explain(failure, &[]).await)
            }
            Outcome::Failed(_) | Outcome::GivenUp => self.one_by_one(landed).await,
        }
    }

    /// Closes connections that nothing flew on for a while.
    pub async fn close_idle_lanes(&mut self) -> Result<(), Error> {
        let now = Instant::now();
        let idle = std::mem::take(&mut self.lanes.idle);
        let (old, kept) = idle.into_iter().partition::<Vec<_>, _>(|(_, since)| now - *since > IDLE_MAX);
        self.lanes.idle = kept;
        for (mut session, _) in old {
            let number = session.session().connection_id();
            session.close().await;
            fence::unregister(&mut self.control, &self.meta, &self.job, self.epoch, number).await?;
        }
        Ok(())
    }

    /// A connection on which nothing is open.
    pub(super) async fn lane(&mut self) -> Result<ApplySession, Error> {
        if let Some((session, _)) = self.lanes.idle.pop() {
            return Ok(session);
        }
        let mut session = ApplySession::connect(&self.endpoint).await?;
        expect_same_server(&self.control, &mut session)?;
        fence::register(&mut self.control, &self.meta, &self.job, self.epoch, session.session()).await?;
        Ok(session)
    }

    /// Applies again what did not fly, in order, each by itself.
    async fn one_by_one(&mut self, first: Landed) -> Result<Vec<Landing>, Error> {
        self.lanes.failures += 1;
        if self.lanes.failures >= FAILURES_MAX {
            (self.lanes.failures, self.lanes.alone) = (0, ALONE);
        }
        let mut groups = vec![first.group];
        self.lanes.put(first.session);
        while let Some(flight) = self.lanes.flights.pop_front() {
            let Landed { session, group, outcome } = joined(flight.task.await);
            let is_gone = matches!(&outcome, Outcome::Failed(failure) if failure.error().is_some_and(Error::is_connection_gone));
            if !is_gone {
                self.lanes.put(session);
            }
            groups.push(group);
        }
        let mut landings = Vec::new();
        for group in groups {
            let seq = self.apply_group(&group).await?;
            landings.push(Landing { seq, group });
        }
        Ok(landings)
    }

    fn is_independent(&self, span: Option<&Span>) -> bool {
        let mut unfinished = self.lanes.flights.iter().map(|flight| flight.span.as_ref());
        span.is_some_and(|span| unfinished.all(|other| other.is_some_and(|other| span.is_independent_of(other))))
    }

    fn is_one_to_one(&self, group: &Group) -> bool {
        let is_merged = |id| {
            self.folding
                .get(id)
                .is_some_and(|table| table.shape.map.as_ref().is_some_and(|map| map.merge))
        };
        !group.tables.iter().any(|effect| is_merged(effect.shape))
    }
}

/// What a group needs on its way.
struct FlightPlan {
    /// Of each effect of the group, in its order.
    tables: Vec<TableForm>,
    check: Check,
    turn: String,
    /// What the group before must have reached before this one runs.
    wait_for: Stage,
    before: Option<watch::Receiver<Stage>>,
    stage: watch::Sender<Stage>,
}

impl FlightPlan {
    async fn fly(mut self, mut session: ApplySession, group: Group) -> Landed {
        let outcome = match self.run(&mut session, &group).await {
            Ok(true) => Outcome::Committed,
            Ok(false) => Outcome::GivenUp,
            Err(failure) => Outcome::Failed(failure),
        };
        Landed { session, group, outcome }
    }

    /// Ok(false): the group before failed, nothing of this one is left.
    async fn run(&mut self, session: &mut ApplySession, group: &Group) -> Result<bool, Failure> {
        let statements = self.statements(session, group).await.map_err(Failure::Other)?;
        if !self.has_before_reached(self.wait_for).await {
            return Ok(false);
        }
        session.begin().await.map_err(Failure::Other)?;
        let executed = session.execute(&statements).await;
        session.settle(executed).await?;
        drop(statements);
        if self.has_before_reached(Stage::Executed).await {
            self.stage.send_replace(Stage::Executed);
        }
        if !self.has_before_reached(Stage::Committed).await {
            session.rollback().await.map_err(Failure::Other)?;
            return Ok(false);
        }
        let turned = session.turn(&[], &self.turn).await;
        session.settle(turned).await?;
        self.stage.send_replace(Stage::Committed);
        Ok(true)
    }

    async fn statements(&mut self, session: &mut ApplySession, group: &Group) -> Result<Vec<Statement>, Error> {
        let has_events = self.tables.iter().any(|form| form.events.is_some());
        if has_events && !session.takes_row_events().await? {
            self.tables.iter_mut().for_each(|form| form.events = None);
        }
        let mut statements = Vec::new();
        for (effect, form) in group.tables.iter().zip(&self.tables) {
            statements.extend(form.statements(effect, GROUP_ROWS_MIN, session.limits(), self.check)?);
        }
        Ok(statements)
    }

    /// False: it failed and will not.
    async fn has_before_reached(&mut self, stage: Stage) -> bool {
        match &mut self.before {
            Some(before) => before.wait_for(|now| *now >= stage).await.is_ok(),
            None => true,
        }
    }
}

/// What a task gave back; its panic goes on here.
pub(super) fn joined<T>(landed: Result<T, tokio::task::JoinError>) -> T {
    match landed {
        Ok(landed) => landed,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
