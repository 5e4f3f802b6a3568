//! Chunks of the copy under way in the target: executed beside each other, committed in order.
//!
//! Part of `flow::applier`, which hands over the first chunk; those that follow it with nothing between are taken from the channel here.
//! At most `LANES` are under way, each with the transactions that were passed before it and the credit its commit sets free. What a lane
//! cannot do is done alone, by `Target::apply_chunk`, after all that came before. The tasks are owned here and end with it.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::core::change::{Chunk, Item};
use crate::core::group::Group;
use crate::core::gtid_set::GtidSet;
use crate::core::ids::Seq;
use crate::flow::applier::Applier;
use crate::flow::byte_channel::ByteReceiver;
use crate::flow::error::FlowError;
use crate::flow::passed::Passed;
use crate::flow::receiver::Arrived;
use crate::mysql::error::Error;
use crate::mysql::target::copy_lane::CopyLane;

/// Chunks under way at once. Two keep the target busy while one of them waits for its disk; more gain nothing on two cores
/// (facts/apply c).
const LANES: usize = 2;
/// Chunks that go alone after one was refused: what refuses one chunk (a lock, a row that is there already) often refuses the next, and
/// each is then executed twice (guess).
const CAREFUL_CHUNKS: u32 = 50;

/// A chunk under way.
#[derive(Debug)]
struct Flying {
    chunk: Arc<Chunk>,
    passed: Passed,
    credit: u64,
    /// The connection that has executed it; None: it is at it, or the chunk was refused.
    lane: Option<CopyLane>,
}

#[derive(Debug)]
struct Done {
    number: u64,
    lane: CopyLane,
    outcome: Result<bool, Error>,
}

/// What is under way, in the order of the source.
#[derive(Debug, Default)]
struct Flight {
    chunks: VecDeque<Flying>,
    /// Number of the first of them.
    first: u64,
    running: JoinSet<Done>,
    /// A chunk was rolled back: nothing more is committed from here.
    is_refused: bool,
}

impl Flight {
    /// Waits for the next lane to end; never while none runs. The lane when its chunk was refused.
    async fn next(&mut self) -> Result<Option<CopyLane>, Error> {
        let Some(joined) = self.running.join_next().await else {
            return std::future::pending().await;
        };
        // A task is only cancelled when this is dropped; a panic in one is a panic here.
        let done = joined.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        if !done.outcome? {
            self.is_refused = true;
            return Ok(Some(done.lane));
        }
        let at = usize::try_from(done.number - self.first).expect("few are under way");
        self.chunks[at].lane = Some(done.lane);
        Ok(None)
    }

    /// The oldest chunk when it is executed, with its lane.
    fn pop_executed(&mut self) -> Option<(Flying, CopyLane)> {
        let lane = self.chunks.front_mut()?.lane.take()?;
        self.first += 1;
        Some((self.chunks.pop_front()?, lane))
    }
}

impl Applier<'_> {
    /// Applies a chunk and those that follow it at once.
    pub(super) async fn chunks(
        &mut self,
        first: Chunk,
        items: &mut ByteReceiver<Arrived>,
        stop: &CancellationToken,
    ) -> Result<(), FlowError> {
        self.target.set_conflict_policy(self.limits.conflict_policy());
        if self.careful_chunks > 0 {
            self.careful_chunks -= 1;
            self.chunk_alone(&first).await?;
            self.settle();
            return Ok(());
        }
        let mut flight = Flight::default();
        self.launch_chunk(first, &mut flight).await?;
        let mut takes_more = true;
        while !flight.chunks.is_empty() {
            let has_room = takes_more && flight.chunks.len() < LANES;
            tokio::select! {
                idle = flight.next(), if !flight.running.is_empty() => {
                    if let Some(lane) = idle? {
                        self.target.give_lane_back(lane);
                    }
                }
                () = stop.cancelled(), if takes_more => takes_more = false,
                arrived = items.recv(), if has_room => {
                    takes_more = match arrived {
                        Some(arrived) => self.join(arrived.into_item(), &mut flight).await?,
                        None => false,
                    };
                }
                () = tokio::time::sleep_until(self.care_at) => self.care_in_flight(&mut flight).await?,
            }
            self.commit_ready(&mut flight).await?;
        }
        if self.target.progress().is_copied() {
            self.target.end_lanes().await?;
        }
        Ok(())
    }

    /// Takes what follows when it may go beside the chunks; else it is kept for later, and nothing more is taken.
    async fn join(&mut self, arrived: Arrived, flight: &mut Flight) -> Result<bool, FlowError> {
        match arrived {
            Arrived {
                item: Item::Chunk(chunk),
                credit,
            } => {
                self.credit += credit;
                self.launch_chunk(chunk, flight).await?;
                Ok(true)
            }
            // It goes with the chunk that follows it, like one that came before them all.
            Arrived {
                item: Item::Txn(part),
                credit,
            } if part.is_first && part.is_last && part.changes.is_empty() => {
                self.credit += credit;
                self.push(part)?;
                let group = self.grouper.take();
                self.pass(group);
                Ok(true)
            }
            other => {
                self.held = Some(other);
                Ok(false)
            }
        }
    }

    /// Executes a chunk on a lane of its own.
    async fn launch_chunk(&mut self, chunk: Chunk, flight: &mut Flight) -> Result<(), FlowError> {
        let table = self.target.chunk_table(chunk.shape)?;
        let mut lane = self.target.take_lane().await?;
        let chunk = Arc::new(chunk);
        let number = flight.first + flight.chunks.len() as u64;
        let executed = Arc::clone(&chunk);
        flight.running.spawn(async move {
            let outcome = lane.execute(&table, &executed).await;
            Done { number, lane, outcome }
        });
        flight.chunks.push_back(Flying {
            chunk,
            passed: std::mem::take(&mut self.passed),
            credit: std::mem::take(&mut self.credit),
            lane: None,
        });
        Ok(())
    }

    /// Commits what is executed, in order, as far as there is nothing before it.
    async fn commit_ready(&mut self, flight: &mut Flight) -> Result<(), FlowError> {
        if flight.is_refused {
            return self.one_by_one(flight).await;
        }
        while let Some((flying, mut lane)) = flight.pop_executed() {
            let passed = (!flying.passed.is_empty()).then(|| Group {
                added: flying.passed.added.clone(),
                position: flying.passed.position.clone(),
                commit_us: flying.passed.commit_us,
                ..Group::default()
            });
            let committed = self.target.commit_chunk(&mut lane, &flying.chunk, passed.as_ref()).await?;
            self.target.give_lane_back(lane);
            let Some(seq) = committed else {
                flight.first -= 1;
                flight.chunks.push_front(flying);
                return self.one_by_one(flight).await;
            };
            self.credit += flying.credit;
            self.chunk_committed(seq, &flying.chunk)?;
            self.settle();
        }
        Ok(())
    }

    /// Rolls everything that is under way back, then applies it chunk by chunk: a later one may hold locks that the first waits for.
    async fn one_by_one(&mut self, flight: &mut Flight) -> Result<(), FlowError> {
        self.careful_chunks = CAREFUL_CHUNKS;
        while !flight.running.is_empty() {
            if let Some(lane) = flight.next().await? {
                self.target.give_lane_back(lane);
            }
        }
        let mut chunks = std::mem::take(&mut flight.chunks);
        for flying in &mut chunks {
            if let Some(mut lane) = flying.lane.take() {
                lane.roll_back().await?;
                self.target.give_lane_back(lane);
            }
        }
        let passed_behind = std::mem::take(&mut self.passed);
        for flying in chunks {
            self.passed = flying.passed;
            self.credit += flying.credit;
            self.chunk_alone(&flying.chunk).await?;
            self.settle();
        }
        self.passed = passed_behind;
        Ok(())
    }

    /// Commits a chunk before anything else is begun.
    async fn chunk_alone(&mut self, chunk: &Chunk) -> Result<(), FlowError> {
        // Before the chunk, not after: a passed transaction may have changed rows of its range when that was not copied
        // yet. Were it to come again with the range copied, its changes would be applied a second time.
        self.write_passed().await?;
        let seq = self.target.apply_chunk(chunk).await?;
        self.chunk_committed(seq, chunk)
    }

    fn chunk_committed(&mut self, seq: Seq, chunk: &Chunk) -> Result<(), FlowError> {
        let name = self.name_of(chunk.shape)?;
        let rows = chunk.rows.len() as u64;
        self.meter.copied(&name, rows, chunk.is_last);
        self.committed(seq, &GtidSet::default(), 0, rows, None);
        Ok(())
    }

    /// A connection on which an executed chunk waits ends after a while of silence, like any other.
    async fn care_in_flight(&mut self, flight: &mut Flight) -> Result<(), FlowError> {
        let pinged_at = self.pinged_at;
        self.care(false).await?;
        if self.pinged_at == pinged_at {
            return Ok(());
        }
        for lane in flight.chunks.iter_mut().filter_map(|flying| flying.lane.as_mut()) {
            lane.ping().await?;
        }
        Ok(())
    }
}
