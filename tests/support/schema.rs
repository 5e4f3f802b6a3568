//! Schemas of one test: a name nobody else has, dropped at the end on both servers.

use std::sync::atomic::{AtomicU32, Ordering};

use super::servers::{Server, servers};

/// `base` is a schema on the source and, once peer made it, on the target; `meta` is peer's own schema on the target.
pub struct TestSchema {
    pub base: String,
    pub meta: String,
}

impl TestSchema {
    /// Makes `base` on the source.
    pub async fn new(word: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let base = format!("t_{word}_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        servers().source.run(&[&format!("CREATE DATABASE {base}")]).await;
        Self {
            meta: format!("{base}_meta"),
            base,
        }
    }
}

impl Drop for TestSchema {
    fn drop(&mut self) {
        let statements = [
            format!("DROP DATABASE IF EXISTS {}", self.base),
            format!("DROP DATABASE IF EXISTS {}", self.meta),
            format!("DROP DATABASE IF EXISTS {}_shape", self.meta),
        ];
        let drop_on = |server: Server| {
            let statements = statements.clone();
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .expect("a runtime");
                let statements: Vec<&str> = statements.iter().map(String::as_str).collect();
                runtime.block_on(server.run(&statements));
            })
        };
        for thread in [drop_on(servers().source), drop_on(servers().target)] {
            if thread.join().is_err() {
                eprintln!("schema {} was not dropped", self.base);
            }
        }
    }
}
