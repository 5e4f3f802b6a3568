//! The bytes of a binlog dump to transactions without a server: what `reader` does between the socket and its caller.
//!
//! For `benches/hot_path`, which counts what a row costs on this way. No connection, so no texts in other character sets.

use crate::mysql::error::Error;
use crate::mysql::source::assembler::Assembler;
use crate::mysql::source::dump_feed::{Delivered, Feed};
use crate::mysql::source::reader_event::ReaderEvent;
use crate::mysql::source::scope::Scope;

/// Reads a dump that is at hand.
#[derive(Debug)]
pub struct OfflineReader {
    feed: Feed,
    assembler: Assembler,
}

impl OfflineReader {
    /// Before the first byte.
    #[must_use]
    pub fn new(scope: Scope) -> Self {
        Self {
            feed: Feed::new(),
            assembler: Assembler::new("offline".into(), scope),
        }
    }

    /// Takes packets as a server sends them; gives what is whole by now to `told`.
    ///
    /// # Errors
    /// The bytes are no dump, or what they say is refused; the reader is over then.
    pub fn take(&mut self, packets: &[u8], mut told: impl FnMut(ReaderEvent)) -> Result<(), Error> {
        self.feed.buffer().extend_from_slice(packets);
        loop {
            let step = match self.feed.step().map_err(|error| self.assembler.broken(error.to_string()))? {
                Some(Delivered::Event(event)) => self.assembler.take(&event)?,
                Some(Delivered::Inner(event, end)) => self.assembler.take_inner(&event, end)?,
                Some(Delivered::End) | None => return Ok(()),
            };
            self.assembler.ready.drain(..).chain(step).for_each(&mut told);
        }
    }
}
