//! A channel bounded by the bytes of what is in it, and by a count: the only queue of the data path (P7).
//!
//! Between any two stages. An item's bytes stay charged until the consumer drops the `Weighed` it got, so that what a
//! stage holds in its hands counts too. An item larger than the bound passes alone. Dropping the last sender lets the
//! consumer drain and then see the end; dropping the consumer wakes and refuses every sender.

use std::ops::Deref;
use std::sync::Arc;

use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// The other side is gone; the item is lost with the stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the stage behind the channel has ended")]
pub struct Closed;

/// An item with its share of the bound, given back when this is dropped.
#[derive(Debug)]
pub struct Weighed<T> {
    item: T,
    permit: OwnedSemaphorePermit,
}

impl<T> Weighed<T> {
    /// The item, its bytes free again for others.
    pub fn into_item(self) -> T {
        self.item
    }

    /// The item, and what keeps its bytes charged as long as it lives.
    pub fn into_parts(self) -> (T, Charge) {
        (self.item, Charge { _permit: self.permit })
    }
}

impl<T> Deref for Weighed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.item
    }
}

/// Keeps bytes charged to a channel until it is dropped.
#[derive(Debug)]
pub struct Charge {
    _permit: OwnedSemaphorePermit,
}

/// What is in a channel now, hands of the consumer included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Bytes charged; an item larger than the bound counts as the bound.
    pub bytes: usize,
    /// Items waiting.
    pub items: usize,
}

/// A channel of at most `bytes_max` bytes and `items_max` items.
///
/// `bytes_max` is cut to 1 ..= 4 GiB, `items_max` to at least 1.
#[must_use]
pub fn channel<T>(bytes_max: usize, items_max: usize) -> (ByteSender<T>, ByteReceiver<T>) {
    let bytes_max = u32::try_from(bytes_max.max(1)).unwrap_or(u32::MAX);
    let room = Arc::new(Semaphore::new(bytes_max as usize));
    let (sender, receiver) = mpsc::channel(items_max.max(1));
    let sender = ByteSender {
        sender,
        room: Arc::clone(&room),
        bytes_max,
    };
    (
        sender,
        ByteReceiver {
            receiver,
            room,
            bytes_max,
        },
    )
}

/// The producing end; clones share the bound.
#[derive(Debug)]
pub struct ByteSender<T> {
    sender: mpsc::Sender<Weighed<T>>,
    room: Arc<Semaphore>,
    bytes_max: u32,
}

impl<T> Clone for ByteSender<T> {
    fn clone(&self) -> Self {
        Self {
            sender: self.sender.clone(),
            room: Arc::clone(&self.room),
            bytes_max: self.bytes_max,
        }
    }
}

impl<T> ByteSender<T> {
    /// Waits for room, in the order of the calls, then hands `item` over. Cancel safe: the item is then dropped.
    pub async fn send(&self, item: T, bytes: usize) -> Result<(), Closed> {
        let weight = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.bytes_max);
        let permit = Arc::clone(&self.room).acquire_many_owned(weight).await.map_err(|_| Closed)?;
        self.sender.send(Weighed { item, permit }).await.map_err(|_| Closed)
    }

    /// What is in the channel.
    #[must_use]
    pub fn depth(&self) -> Depth {
        Depth {
            bytes: self.bytes_max as usize - self.room.available_permits(),
            items: self.sender.max_capacity() - self.sender.capacity(),
        }
    }

    /// The consumer is gone.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }
}

/// The consuming end.
#[derive(Debug)]
pub struct ByteReceiver<T> {
    receiver: mpsc::Receiver<Weighed<T>>,
    room: Arc<Semaphore>,
    bytes_max: u32,
}

impl<T> ByteReceiver<T> {
    /// The next item; None when all senders are gone and everything was taken. Cancel safe.
    pub async fn recv(&mut self) -> Option<Weighed<T>> {
        self.receiver.recv().await
    }

    /// The next item when one waits.
    pub fn try_recv(&mut self) -> Option<Weighed<T>> {
        self.receiver.try_recv().ok()
    }

    /// Nothing waits now.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.receiver.is_empty()
    }

    /// What is in the channel.
    #[must_use]
    pub fn depth(&self) -> Depth {
        Depth {
            bytes: self.bytes_max as usize - self.room.available_permits(),
            items: self.receiver.len(),
        }
    }
}

impl<T> Drop for ByteReceiver<T> {
    fn drop(&mut self) {
        self.receiver.close();
        self.room.close();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_millis(50);

    #[tokio::test(start_paused = true)]
    async fn a_sender_waits_until_the_consumer_let_go_of_the_bytes() {
        let (sender, mut receiver) = channel(100, 10);
        sender.send('a', 60).await.expect("room");
        assert!(timeout(SOON, sender.send('b', 60)).await.is_err());
        let held = receiver.recv().await.expect("an item");
        assert!(timeout(SOON, sender.send('b', 60)).await.is_err(), "taken but still held");
        assert_eq!(sender.depth(), Depth { bytes: 60, items: 0 });
        drop(held);
        sender.send('b', 60).await.expect("room again");
    }

    #[tokio::test(start_paused = true)]
    async fn an_item_larger_than_the_bound_passes_alone() {
        let (sender, mut receiver) = channel(100, 10);
        sender.send('a', 1).await.expect("room");
        assert!(timeout(SOON, sender.send('b', 5000)).await.is_err(), "not beside another");
        assert_eq!(*receiver.recv().await.expect("a"), 'a');
        sender.send('b', 5000).await.expect("alone");
        assert!(timeout(SOON, sender.send('c', 1)).await.is_err(), "nothing beside it");
    }

    #[tokio::test(start_paused = true)]
    async fn the_count_is_bounded_too() {
        let (sender, _receiver) = channel(100, 2);
        sender.send(1, 0).await.expect("room");
        sender.send(2, 0).await.expect("room");
        assert!(timeout(SOON, sender.send(3, 0)).await.is_err());
    }

    #[tokio::test]
    async fn the_consumer_drains_after_the_last_sender_left() {
        let (sender, mut receiver) = channel(100, 10);
        sender.send(1, 10).await.expect("room");
        drop(sender);
        assert_eq!(receiver.recv().await.map(Weighed::into_item), Some(1));
        assert!(receiver.recv().await.is_none());
    }

    #[tokio::test]
    async fn a_waiting_sender_is_refused_when_the_consumer_leaves() {
        let (sender, receiver) = channel(10, 10);
        sender.send(1, 10).await.expect("room");
        let waiting = tokio::spawn(async move { sender.send(2, 10).await });
        tokio::task::yield_now().await;
        drop(receiver);
        assert_eq!(waiting.await.expect("joined"), Err(Closed));
    }
}
