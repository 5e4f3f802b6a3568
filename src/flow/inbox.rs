//! The sender's side of the channel: items cut to size, collected into batches.
//!
//! Fed by the stages of the source task, drained by `flow::sender`.

use std::collections::VecDeque;

use crate::core::change::Item;
use crate::core::job_spec::LinkSpec;
use crate::core::job_state::ErrorReport;
use crate::flow::byte_channel::{ByteReceiver, Charge};
use crate::flow::sender::Outgoing;
use crate::flow::split::split;
use crate::wire::batch::item_bytes;
use crate::wire::frame::DATA_BYTES_MAX;
use crate::wire::message::SourceToSink;

/// No transaction is cut into parts smaller than this: each costs a header and a look at the target.
const PART_BYTES_MIN: usize = 64 * 1024;

/// What came out of the channel and was not sent yet.
#[derive(Debug)]
pub struct Inbox {
    channel: ByteReceiver<Outgoing>,
    pieces: VecDeque<Piece>,
    /// Bytes of rows in one part of a transaction.
    part_bytes: usize,
}

/// One thing to send.
#[derive(Debug)]
pub enum Piece {
    /// An item, or a part of a large transaction.
    Item {
        /// It.
        item: Item,
        /// Its bytes in a batch.
        bytes: usize,
        /// Keeps it counted in the channel.
        charge: Option<Charge>,
    },
    /// What the source holds prepared.
    Prepared(SourceToSink),
    /// The end and its reason.
    Failed(ErrorReport),
}

impl Inbox {
    /// An empty one before `channel`.
    #[must_use]
    pub fn new(channel: ByteReceiver<Outgoing>, link: &LinkSpec) -> Self {
        Self {
            channel,
            pieces: VecDeque::new(),
            part_bytes: part_bytes(link),
        }
    }

    /// Takes what is at the front.
    pub fn pop(&mut self) -> Option<Piece> {
        self.pieces.pop_front()
    }

    /// Bytes that wait in the channel.
    #[must_use]
    pub fn waiting_bytes(&self) -> usize {
        self.channel.depth().bytes
    }

    /// Waits until something is at the front; false: nothing will come any more.
    pub async fn wait(&mut self) -> bool {
        if !self.pieces.is_empty() {
            return true;
        }
        let Some(outgoing) = self.channel.recv().await else {
            return false;
        };
        let (outgoing, charge) = outgoing.into_parts();
        self.take(outgoing, charge);
        true
    }

    /// What is at the front; None: nothing waits.
    pub fn front(&mut self) -> Option<&Piece> {
        if self.pieces.is_empty()
            && let Some(outgoing) = self.channel.try_recv()
        {
            let (outgoing, charge) = outgoing.into_parts();
            self.take(outgoing, charge);
        }
        self.pieces.front()
    }

    fn take(&mut self, outgoing: Outgoing, charge: Charge) {
        let part_bytes = self.part_bytes;
        match outgoing {
            Outgoing::Item(item) => {
                let pieces = split(item, part_bytes);
                self.pieces.extend(pieces.into_iter().map(|item| Piece::Item {
                    bytes: item_bytes(&item),
                    item,
                    charge: None,
                }));
                // A cut item stays counted until its last piece has left.
                if let Some(Piece::Item { charge: of_last, .. }) = self.pieces.back_mut() {
                    *of_last = Some(charge);
                }
            }
            Outgoing::Prepared(waiting) => self.pieces.push_back(Piece::Prepared(SourceToSink::Prepared {
                json: serde_json::to_string(&waiting).expect("texts and numbers"),
            })),
            Outgoing::Failed(report) => self.pieces.push_back(Piece::Failed(report)),
        }
    }

    /// Takes items from the front up to `bytes_max`, at least one.
    pub fn collect(&mut self, bytes_max: usize) -> (Vec<Item>, Vec<Charge>) {
        let (mut items, mut charges, mut total) = (Vec::new(), Vec::new(), 0);
        while let Some(Piece::Item { bytes, .. }) = self.front()
            && (items.is_empty() || total + bytes <= bytes_max)
        {
            let Some(Piece::Item { item, bytes, charge }) = self.pieces.pop_front() else {
                break;
            };
            total += bytes;
            items.push(item);
            charges.extend(charge);
        }
        (items, charges)
    }
}

/// Parts follow the batch size, so that a slow link shows signs of life between them; a single row may be larger.
fn part_bytes(link: &LinkSpec) -> usize {
    usize::try_from(link.batch_bytes)
        .unwrap_or(usize::MAX)
        .clamp(PART_BYTES_MIN, DATA_BYTES_MAX / 4)
}
