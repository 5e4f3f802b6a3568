//! Waits for a condition with a sentence that says what for; fails when time is up.

use std::time::{Duration, Instant};

use peer::core::gtid_set::GtidSet;
use serde_json::Value;

/// Polls `condition` each 50 ms until it gives a value.
pub fn until<T>(what: &str, limit: Duration, mut condition: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(start.elapsed() < limit, "waited {limit:?} for: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The same for a condition that talks to a database.
pub async fn until_async<T, F>(what: &str, limit: Duration, mut condition: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let start = Instant::now();
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(start.elapsed() < limit, "waited {limit:?} for: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A job's status says that the target has `executed`: heard of it, and has caught up with what was heard of.
pub fn has_all(status: &Value, executed: &GtidSet) -> bool {
    let read = status["position"]["read"].as_str().and_then(|text| GtidSet::parse(text).ok());
    status["caught_up"] == true && read.is_some_and(|read| executed.is_subset_of(&read))
}
