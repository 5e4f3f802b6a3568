//! Control messages between peers: what opens a stream and what the streams other than the batches carry.
//!
//! Made and read by `transport` (hello), `gossip` (gossip, table sync), `flow` (subscription) and `admin` through the
//! peer (requests). Each type has its own frame kind, so that a message in the wrong place is named. Every enum here is
//! append-only: a variant's place is its number on the wire. Structs change only with [`WIRE_VERSION`]; what must grow
//! freely travels as JSON text. Not here: batches of changes (`batch`), what the JSON means (`core`).

use bincode::{Decode, Encode};
use bytes::Bytes;

use crate::core::disposition::Disposition;
use crate::core::ids::{Epoch, Incarnation, JobName, NodeId, SourceEpoch};
use crate::wire::codec;
use crate::wire::error::WireError;
use crate::wire::frame::{DATA, Frame, body_bytes_max};

/// Version of everything on the wire except `Hello` and `HelloAnswer`, which stay as they are for ever so that two
/// versions can tell each other apart. Peers of another version are refused.
pub const WIRE_VERSION: u32 = 1;

/// A message with a frame kind of its own. Kinds with the [`DATA`] bit may be as long as a data frame.
pub trait Message: Encode + Decode<()> + Send + Sync {
    /// The frame kind; never used for anything else.
    const KIND: u8;
    /// The name in errors.
    const NAME: &'static str;

    /// Packs the message into its frame.
    fn to_frame(&self) -> Frame {
        Frame {
            kind: Self::KIND,
            body: Bytes::from(codec::encode(self)),
        }
    }

    /// Reads the message from its frame.
    ///
    /// # Errors
    /// [`WireError::Kind`] for another frame, else what is wrong with the bytes.
    fn from_frame(frame: &Frame) -> Result<Self, WireError> {
        if frame.kind != Self::KIND {
            return Err(WireError::Kind {
                found: frame.kind,
                expected: Self::KIND,
                name: Self::NAME,
            });
        }
        codec::decode(&frame.body, body_bytes_max(Self::KIND))
    }
}

macro_rules! messages {
    ($($name:ident = $kind:expr),* $(,)?) => {$(
        impl Message for $name {
            const KIND: u8 = $kind;
            const NAME: &'static str = stringify!($name);
        }
    )*};
}

// `DATA` itself is the batch. A subscription carries the shapes of all its tables, a report and a table sync many records.
messages! {
    Hello = 1,
    HelloAnswer = 2,
    SinkToSource = 3,
    Request = 4,
    Response = 5,
    GossipPacket = 6,
    Subscribe = DATA | 1,
    SourceToSink = DATA | 2,
    TableSync = DATA | 3,
}

/// First frame of every stream, from the side that opened it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Hello {
    /// The sender's [`WIRE_VERSION`]; first, so that it is found in every version.
    pub wire_version: u32,
    /// Name of the sender's cluster.
    pub cluster_name: String,
    /// The sender; must be the id in its certificate.
    pub node_id: NodeId,
    /// What the stream is for.
    pub kind: StreamKind,
}

/// What a stream is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub enum StreamKind {
    /// [`GossipPacket`] in both directions.
    Gossip,
    /// [`TableSync`] in both directions.
    TableSync,
    /// [`Subscribe`], then [`SourceToSink`] and batches one way, [`SinkToSource`] the other.
    Subscribe,
    /// One [`Request`], one [`Response`], again and again.
    Control,
}

/// Answer to [`Hello`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum HelloAnswer {
    /// The stream may be used.
    Accepted,
    /// It may not; the stream ends here.
    Refused {
        /// `PEERnnnn` of the reason.
        code: String,
        /// The reason, for people.
        text: String,
    },
}

/// A sink task asks a source task's peer for the changes of a job.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Subscribe {
    /// The job.
    pub job: JobName,
    /// Its incarnation.
    pub inc: Incarnation,
    /// The fence epoch of the sink.
    pub epoch: Epoch,
    /// Number of this source task among those the sink started.
    pub src_epoch: SourceEpoch,
    /// The peer of the sink task.
    pub sink: NodeId,
    /// `core::job_spec::JobSpec` as JSON.
    pub spec_json: String,
    /// `core::progress::Progress` as JSON: where to start.
    pub progress_json: String,
    /// Bytes of batches that may be under way before the first [`SinkToSource::Credit`].
    pub window_bytes: u64,
}

/// From the sink back to the source.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum SinkToSource {
    /// So many more bytes of batches may be sent.
    Credit {
        /// Bytes, added to what is left.
        bytes: u64,
    },
    /// What is committed in the target.
    Durable {
        /// Executed GTIDs, as canonical text.
        executed: String,
        /// Number of the last committed group.
        seq: u64,
    },
    /// The job's rate changed.
    Rate {
        /// Bytes per second; 0: unlimited.
        bytes_per_s: u64,
    },
    /// The copy shall open no more chunks, or go on; sent when it changed.
    HoldCopy {
        /// Which of the two. A stream begins with a copy that is not held.
        is_held: bool,
    },
    /// Of these tables the key and the changed columns are enough, of all others images are to be whole.
    MinimalImages {
        /// Numbers of the tables.
        shapes: Vec<u32>,
    },
}

/// From the source to the sink, between the batches.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum SourceToSink {
    /// The source task runs; batches follow.
    Accepted {
        /// The server it reads, when it already answered.
        source_uuid: Option<String>,
    },
    /// What there is to read; sent each second, past the batches that wait.
    Heartbeat {
        /// GTIDs the source has executed, less what is prepared and waits, as canonical text.
        executed: String,
        /// The source server's clock, microseconds since 1970.
        source_now_us: u64,
    },
    /// The source task ended; nothing follows.
    Failed {
        /// Faults as JSON.
        report_json: String,
        /// What that means for the task.
        disposition: Disposition,
    },
    /// Prepared transactions wait, or wait no longer; sent when it changed.
    Prepared {
        /// `core::job_state::PreparedWait` or null, as JSON.
        json: String,
    },
}

/// A question to another peer.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Request {
    /// Is it there?
    Ping,
    /// What does it know of a job?
    Status {
        /// The job.
        job: JobName,
    },
    /// Which build is it?
    Version,
    /// Can a job without progress begin at its source, as seen from there? Changes nothing.
    ExamineSource {
        /// The job's spec as JSON.
        spec_json: String,
    },
    /// Give all tasks away and take none, or take tasks again.
    Drain {
        /// Which of the two.
        is_draining: bool,
    },
    /// End soon, in good order.
    Leave {
        /// The tasks wait for its next start; otherwise it gives them away first.
        is_restart: bool,
    },
    /// Which tables does a job choose at its source, as seen from there? Changes nothing.
    PlanTables {
        /// The job's spec as JSON.
        spec_json: String,
    },
    /// Does it reach a job's target and a peer for its source? Changes nothing.
    CanServe {
        /// The job's spec as JSON.
        spec_json: String,
    },
    /// Its part of a check. Changes nothing.
    Check {
        /// A `core::check::Question` as JSON.
        question_json: String,
    },
    /// What does a job's target hold of it, as read from there? Changes nothing.
    LookAtTarget {
        /// The job.
        job: JobName,
        /// Its incarnation.
        inc: Incarnation,
        /// The job's spec as JSON.
        spec_json: String,
    },
}

/// The answer to a [`Request`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Response {
    /// To `Ping`.
    Pong,
    /// To `Status`.
    Status {
        /// As DESIGN 1.5 shows it.
        json: String,
    },
    /// To `Version`.
    Version {
        /// The build's version.
        version: String,
    },
    /// It will not or cannot.
    Refused {
        /// A `core::fault::Fault` as JSON.
        fault_json: String,
    },
    /// To `ExamineSource`.
    Examined {
        /// Why not, as a `core::job_state::ErrorReport` in JSON; `null`: nothing is known against it.
        report_json: String,
    },
    /// To `Drain`: it is on that peer's disk.
    Drained {
        /// It was not so before.
        is_changed: bool,
    },
    /// To `Leave`: it ends soon.
    Leaves {
        /// Nobody had asked for it before.
        is_changed: bool,
    },
    /// To `PlanTables`.
    TablesPlanned {
        /// A `core::table_plan::TablesPlan` as JSON.
        plan_json: String,
    },
    /// To `CanServe`.
    Serves {
        /// It reaches both.
        is_able: bool,
    },
    /// To `Check`.
    Checked {
        /// A `core::check::Report` as JSON.
        report_json: String,
    },
    /// To `LookAtTarget`.
    TargetSeen {
        /// A `core::conflict::TargetLook` as JSON.
        look_json: String,
    },
}

/// One datagram of the gossip protocol.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct GossipPacket {
    /// The datagram, as the gossip library made it.
    pub bytes: Vec<u8>,
    /// The sender's gossip address.
    pub from: String,
}

/// Steps of comparing and exchanging job records.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum TableSync {
    /// Hash over the whole table.
    Root {
        /// The hash, hex.
        hash: String,
    },
    /// Name and hash of each record.
    Hashes {
        /// In the order of the names.
        records: Vec<(JobName, String)>,
    },
    /// These records are wanted.
    Want {
        /// Their names.
        names: Vec<JobName>,
    },
    /// Records to merge.
    Records {
        /// Each a `core::job_merge::JobRecord` as JSON.
        records: Vec<Vec<u8>>,
    },
    /// Nothing more from this side.
    Done,
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
