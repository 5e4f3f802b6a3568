//! What the windows of all jobs of a peer may grow by together.
//!
//! Made once per peer from `limits.memory`; `flow::receiver` takes from it when its link holds more than the window it began with, and
//! gives it back with the end of its stream.

use std::sync::{Arc, Mutex, PoisonError};

/// The bytes that are left. Clones share them.
#[derive(Clone, Debug)]
pub struct WindowBudget {
    left: Arc<Mutex<u64>>,
}

/// What one stream has taken; dropping it gives it back.
#[derive(Debug)]
pub struct WindowShare {
    budget: WindowBudget,
    bytes: u64,
}

impl WindowBudget {
    /// So many bytes for all.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        let left = Arc::new(Mutex::new(bytes));
        Self { left }
    }

    /// The share of a stream, empty yet.
    #[must_use]
    pub fn share(&self) -> WindowShare {
        WindowShare {
            budget: self.clone(),
            bytes: 0,
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut u64) -> T) -> T {
        // A number is whole whatever panicked.
        work(&mut self.left.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl WindowShare {
    /// Takes up to so many bytes; answers how many.
    pub fn take(&mut self, bytes: u64) -> u64 {
        let taken = self.budget.with(|left| {
            let taken = bytes.min(*left);
            *left -= taken;
            taken
        });
        self.bytes += taken;
        taken
    }
}

impl Drop for WindowShare {
    fn drop(&mut self) {
        self.budget.with(|left| *left += self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_share_what_there_is_and_give_it_back_when_they_end() {
        let budget = WindowBudget::new(10);
        let (mut first, mut second) = (budget.share(), budget.share());
        assert_eq!((first.take(6), second.take(6), first.take(6)), (6, 4, 0));
        drop(first);
        assert_eq!(second.take(9), 6);
        drop(second);
        assert_eq!(budget.share().take(99), 10);
    }
}
