//! One live connection per address: the connections this peer made.
//!
//! Used by `endpoint`. Two callers who want the same address at once share one attempt; a dead connection is replaced at
//! the next use. Bounded: an address without a live connection is forgotten when another is added.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use quinn::Connection;

use crate::transport::error::TransportError;
use crate::transport::tls::SERVER_NAME;

/// The connection to one address. The lock is held while connecting, so others wait for the same attempt.
type Slot = Arc<tokio::sync::Mutex<Option<Connection>>>;

/// Connections out, by address.
#[derive(Debug, Default)]
pub struct Links {
    slots: Mutex<HashMap<SocketAddr, Slot>>,
}

/// A connection and whether it was there before.
#[derive(Debug)]
pub struct Link {
    /// The connection.
    pub connection: Connection,
    /// It was made for an earlier stream, so it may be dead without anybody knowing.
    pub is_reused: bool,
}

impl Links {
    /// The live connection to an address, made if there is none.
    ///
    /// # Errors
    /// What ended the attempt. The caller bounds the time.
    pub async fn get(
        &self,
        endpoint: &quinn::Endpoint,
        client: &quinn::ClientConfig,
        addr: SocketAddr,
    ) -> Result<Link, TransportError> {
        let slot = self.slot(addr);
        let mut held = slot.lock().await;
        if let Some(connection) = held.as_ref().filter(|connection| connection.close_reason().is_none()) {
            return Ok(Link {
                connection: connection.clone(),
                is_reused: true,
            });
        }
        *held = None;
        let connecting = endpoint
            .connect_with(client.clone(), addr, SERVER_NAME)
            .map_err(|error| match error {
                quinn::ConnectError::EndpointStopping => TransportError::ShutDown,
                other => TransportError::Lost {
                    addr,
                    reason: other.to_string(),
                },
            })?;
        let connection = connecting
            .await
            .map_err(|error| TransportError::from_connection(addr, &error))?;
        *held = Some(connection.clone());
        Ok(Link {
            connection,
            is_reused: false,
        })
    }

    /// Makes the next stream use a new connection. Streams on the old one go on: it may only be slow.
    pub fn forget(&self, addr: SocketAddr) {
        self.lock().remove(&addr);
    }

    fn slot(&self, addr: SocketAddr) -> Slot {
        let mut slots = self.lock();
        if let Some(slot) = slots.get(&addr) {
            return slot.clone();
        }
        slots.retain(|_, slot| is_used(slot));
        slots.entry(addr).or_default().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<SocketAddr, Slot>> {
        // A map is whole after a panic between its operations.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_used(slot: &Slot) -> bool {
    let is_awaited = Arc::strong_count(slot) > 1;
    let is_live = |held: &Option<Connection>| held.as_ref().is_some_and(|it| it.close_reason().is_none());
    is_awaited || slot.try_lock().is_ok_and(|held| is_live(&held))
}
