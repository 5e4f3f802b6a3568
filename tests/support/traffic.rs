//! Rows that are written all the time, and how long none of them became visible on the target.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use tokio::sync::Mutex;

use super::schema::TestSchema;
use super::servers::servers;

/// Writes a row every few milliseconds and looks when rows become visible on the target, until told to stop.
pub struct Traffic {
    stop: Arc<AtomicBool>,
    /// When the target was seen with more rows than before.
    grown: Arc<Mutex<Vec<Instant>>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Traffic {
    pub async fn start(schema: &TestSchema) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let grown = Arc::new(Mutex::new(Vec::new()));
        let (base, is_over) = (schema.base.clone(), stop.clone());
        let mut source = servers().source.conn().await;
        let writing = tokio::spawn(async move {
            while !is_over.load(Ordering::Relaxed) {
                let insert = format!("INSERT INTO {base}.t (v) VALUES (RAND())");
                source.query_drop(insert).await.expect("insert");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        let (base, is_over, times) = (schema.base.clone(), stop.clone(), grown.clone());
        let mut target = servers().target.conn().await;
        let watching = tokio::spawn(async move {
            let mut seen = None;
            while !is_over.load(Ordering::Relaxed) {
                let newest: Option<Option<u64>> = target
                    .query_first(format!("SELECT MAX(id) FROM {base}.t"))
                    .await
                    .expect("max");
                if newest.flatten() > seen {
                    seen = newest.flatten();
                    times.lock().await.push(Instant::now());
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        Self {
            stop,
            grown,
            tasks: vec![writing, watching],
        }
    }

    /// The longest time without a new row since `start`; waits for a second of rows after the move.
    pub async fn gap_since(&self, start: Instant) -> Duration {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let times = self.grown.lock().await;
        let last_before = times.iter().rev().find(|at| **at < start).copied();
        let marks: Vec<Instant> = last_before
            .into_iter()
            .chain(times.iter().copied().filter(|at| *at >= start))
            .chain([Instant::now()])
            .collect();
        marks.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
    }

    pub async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.expect("a task of the test");
        }
    }
}
