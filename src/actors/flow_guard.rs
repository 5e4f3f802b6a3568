//! Owns one running flow for the actor that started it: cancels it, ends it when it lingers, tells how it ended.
//!
//! A flow that panics ends like one that failed with `Retry`: bad input must stop a task, never the peer.

use std::future::Future;
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use crate::flow::error::FlowError;

/// How long a cancelled flow may take to finish the turn in hand and release. DESIGN 2.3.
pub const STOP_TIME_MAX: Duration = Duration::from_secs(5);

/// A flow that ends with its owner.
pub struct FlowGuard {
    stop: CancellationToken,
    tasks: [AbortHandle; 2],
}

impl FlowGuard {
    /// Starts `flow` and calls `ended` once with its result, also after a panic.
    pub fn start<F>(stop: CancellationToken, flow: F, ended: impl FnOnce(Result<(), FlowError>) + Send + 'static) -> Self
    where
        F: Future<Output = Result<(), FlowError>> + Send + 'static,
    {
        let flow = tokio::spawn(flow);
        let flow_abort = flow.abort_handle();
        let token = stop.clone();
        let watcher = tokio::spawn(async move {
            let abort = flow.abort_handle();
            let lingered = async {
                token.cancelled().await;
                tokio::time::sleep(STOP_TIME_MAX).await;
            };
            tokio::pin!(flow);
            let joined = tokio::select! {
                joined = &mut flow => joined,
                () = lingered => {
                    abort.abort();
                    flow.await
                }
            };
            ended(joined.unwrap_or_else(|error| {
                Err(FlowError::Died {
                    reason: error.to_string(),
                })
            }));
        });
        Self {
            stop,
            tasks: [flow_abort, watcher.abort_handle()],
        }
    }

    /// Asks the flow to end in good order; `ended` hears of it at most [`STOP_TIME_MAX`] later.
    pub fn stop(&self) {
        self.stop.cancel();
    }
}

impl Drop for FlowGuard {
    fn drop(&mut self) {
        self.stop.cancel();
        for task in &self.tasks {
            task.abort();
        }
    }
}
