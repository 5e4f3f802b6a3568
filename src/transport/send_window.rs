//! Keeps what one connection buffers for sending in step with its congestion window.
//!
//! Part of every stream's sending half, which asks before each write. Several streams of a connection come to the same number.

use quinn::Connection;

use crate::core::link_window::send_window;

/// Bytes buffered at least, before the congestion window has opened: two batches.
const SEND_WINDOW_MIN: u64 = 512 * 1024;
/// A change below this part is not worth the connection's lock.
const CHANGE_MIN_PART: u64 = 8;

/// What was last set.
#[derive(Debug)]
pub(super) struct SendWindow {
    connection: Connection,
    bytes: u64,
    bytes_max: u64,
}

impl SendWindow {
    /// Of a connection that may buffer so many bytes.
    pub fn new(connection: Connection, bytes_max: u64) -> Self {
        Self {
            connection,
            bytes: 0,
            bytes_max,
        }
    }

    /// The connection.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Takes the congestion window of now.
    pub fn follow(&mut self) {
        let congestion_window = self.connection.congestion_state().window();
        let wanted = send_window(congestion_window, (SEND_WINDOW_MIN, self.bytes_max));
        if wanted.abs_diff(self.bytes) > self.bytes / CHANGE_MIN_PART {
            self.connection.set_send_window(wanted);
            self.bytes = wanted;
        }
    }
}
