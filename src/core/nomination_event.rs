//! What `core::nomination` is told, what it asks for, and where it stands.
//!
//! Events are fed and effects run by `actors::placement`; the meaning of both is in `core::nomination::step`.

use std::time::Duration;

use crate::core::disposition::Disposition;
use crate::core::ids::{Epoch, NodeId};
use crate::core::job_policy::Policy;
use crate::core::job_record::Claim;

/// What happened.
#[expect(clippy::large_enum_variant, reason = "events are handled one by one, never stored")]
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Time passed; at least each `nomination::TICK`.
    Tick,
    /// The roster, the ranking or the life of the last owner changed.
    RosterChanged {
        /// This peer's place, 0 the best; None: may not run the sink.
        rank: Option<u32>,
        /// No other peer may run the sink: there is nobody to make room for.
        is_only: bool,
        /// Whether the last owner (of the claim) is alive in the roster; false without an owner.
        is_owner_alive: bool,
        /// The other peers that are alive in the roster.
        live: Vec<NodeId>,
    },
    /// The job's record changed.
    JobChanged {
        /// It has no live hold and is not purged.
        runs: bool,
        /// Changes when a running task must start anew: spec, restart counter, incarnation.
        revision: u64,
    },
    /// How failures are answered from now on; fed before each end of a task. Changes nothing else.
    PolicySeen {
        /// As the job has it now.
        policy: Policy,
        /// Moves of all peers that count by now.
        moves: u32,
    },
    /// The table holds this claim.
    ClaimSeen(Claim),
    /// The sink flow has the fence.
    AcquireWon(Epoch),
    /// The sink flow ended without it.
    AcquireLost(Disposition, String),
    /// The sink flow ended after it had the fence, or was told to stop.
    TaskEnded(Disposition, String),
    /// The owner gave a direct sign: an answered ping, a beat or progress on the target.
    SignOfOwner {
        /// How much longer it counts: `PROTECTION` for an owner that just answered, less for a trace of an earlier moment.
        lasts: Duration,
    },
    /// The last owner said goodbye and that it starts again at once. Told again and again, counted once.
    OwnerRestarts,
    /// The own gossip tick came late by this much.
    GossipLate {
        /// Milliseconds behind its time.
        late_ms: u64,
    },
    /// Gossip brought news made by this peer.
    HeardPeer(NodeId),
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Start the sink flow; it acquires the fence with an epoch above this one.
    StartSink {
        /// Highest epoch in any claim seen.
        above: Epoch,
    },
    /// Cancel the sink flow.
    StopSink,
    /// Find out whether somebody owns the sink: ask the last owner directly (None: it is not known who that is) and look at
    /// the target for commits and beats of another owner. Either comes back as `SignOfOwner`.
    SeekOwner(Option<NodeId>),
    /// Publish the own claim as released: others need not wait.
    ReleaseClaim,
    /// Count in the job's record that this peer gave the sink up, and why; only while the job limits its moves.
    CountMove(String),
    /// Say why the task does not run here.
    PublishReason(String),
    /// Put the hold `failed` on the job with this report.
    MarkFailed(String),
}

/// Where this peer stands with the sink.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Not a candidate now.
    #[default]
    Idle,
    /// A candidate since then.
    Waiting {
        /// When it became one.
        since: Duration,
        /// Its random part, drawn once.
        jitter: Duration,
    },
    /// The vanished or unknown owner is sought until then.
    Pinging {
        /// When to stop waiting for an answer.
        until: Duration,
    },
    /// The sink flow was started; None: it has no epoch yet.
    Running {
        /// When.
        since: Duration,
        /// Its epoch.
        epoch: Option<Epoch>,
    },
    /// The sink flow was told to stop and has not ended.
    Stopping,
}
