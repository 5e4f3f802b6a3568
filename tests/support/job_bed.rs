//! One job between the two servers with real peers, for tests that are a story: submit, disturb, look, mend.

use std::time::Duration;

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use serde_json::Value;
use tokio::runtime::{Handle, Runtime};

use super::compare::difference;
use super::guard;
use super::job::JobFile;
use super::peers::{TestCluster, TestPeer};
use super::schema::TestSchema;
use super::servers::{self, Server, servers};
use super::wait::until;

/// A lock on a table; goes when dropped.
pub struct Locked {
    conn: Option<Conn>,
    runtime: Handle,
}

impl Drop for Locked {
    fn drop(&mut self) {
        let conn = self.conn.take().expect("dropped once");
        let _ = self.runtime.block_on(conn.disconnect());
    }
}

/// Fields drop in this order: peers end before their schema goes.
pub struct JobBed {
    pub cluster: TestCluster,
    pub schema: TestSchema,
    pub job: JobFile,
    pub source: Server,
    pub runtime: Runtime,
    tables: Vec<&'static str>,
}

impl JobBed {
    /// A cluster without peers and a schema with `tables`, all `(id INT PRIMARY KEY, v TEXT)`.
    pub fn new(word: &str, tables: &[&'static str]) -> Self {
        Self::from_source(word, tables, servers().source)
    }

    /// The same with a source server of its own, for what would disturb other tests.
    pub fn with_own_source(word: &str, tables: &[&'static str]) -> Self {
        Self::with_source_flags(word, tables, &[])
    }

    /// The same, started with these flags.
    pub fn with_source_flags(word: &str, tables: &[&'static str], flags: &[&str]) -> Self {
        Self::from_source(word, tables, servers::start(word, flags))
    }

    fn from_source(word: &str, tables: &[&'static str], source: Server) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let schema = runtime.block_on(TestSchema::new(word));
        let job = JobFile {
            source_site: None,
            sink_site: None,
            ..JobFile::new(word)
        };
        let bed = Self {
            cluster: TestCluster::new(word),
            schema,
            job,
            source,
            runtime,
            tables: tables.to_vec(),
        };
        bed.on_source(&["CREATE DATABASE IF NOT EXISTS {}"]);
        for table in tables {
            bed.on_source(&[&format!("CREATE TABLE {{}}.{table} (id INT PRIMARY KEY, v TEXT)")]);
        }
        bed
    }

    /// The same with one peer that runs both tasks, submitted and streaming.
    pub fn streaming(word: &str, tables: &[&'static str]) -> Self {
        let mut bed = Self::new(word, tables);
        bed.cluster.add("one", "dc1", &[]);
        bed.submit();
        bed.await_state("streaming");
        bed
    }

    /// Runs statements; `{}` in them is the schema.
    pub fn on_source(&self, statements: &[&str]) {
        self.run(&self.source, statements);
    }

    pub fn on_target(&self, statements: &[&str]) {
        self.run(&servers().target, statements);
    }

    fn run(&self, server: &Server, statements: &[&str]) {
        let statements: Vec<String> = statements.iter().map(|sql| self.filled(sql)).collect();
        let statements: Vec<&str> = statements.iter().map(String::as_str).collect();
        self.runtime.block_on(server.run(&statements));
    }

    pub fn filled(&self, sql: &str) -> String {
        sql.replace("{}", &self.schema.base)
    }

    /// One number from the target.
    pub fn target_number(&self, sql: &str) -> u64 {
        self.runtime.block_on(servers().target.number(&self.filled(sql)))
    }

    /// One text from a server; empty when there is none.
    pub fn text(&self, server: &Server, sql: &str) -> String {
        let sql = self.filled(sql);
        self.runtime.block_on(async {
            let mut conn = server.conn().await;
            let found: Option<Option<String>> = conn.query_first(&sql).await.expect(&sql);
            conn.disconnect().await.expect("disconnects");
            found.flatten().unwrap_or_default()
        })
    }

    /// One text from the source.
    pub fn source_text(&self, sql: &str) -> String {
        let asking = async {
            let mut conn = self.source.conn().await;
            let found = conn.query_first(sql).await.expect(sql);
            conn.disconnect().await.expect("disconnects");
            found.expect(sql)
        };
        self.runtime.block_on(asking)
    }

    /// Locks a table of the target until dropped.
    pub fn lock_on_target(&self, table: &str) -> Locked {
        let locking = async {
            let mut conn = servers().target.conn().await;
            let sql = self.filled(&format!("LOCK TABLES {{}}.{table} WRITE"));
            conn.query_drop(&sql).await.expect(&sql);
            conn
        };
        Locked {
            conn: Some(self.runtime.block_on(locking)),
            runtime: self.runtime.handle().clone(),
        }
    }

    /// Writes job.toml and returns its path.
    pub fn file(&self) -> String {
        self.file_of(&self.tables)
    }

    /// The same with only some of the tables.
    pub fn file_of(&self, tables: &[&str]) -> String {
        let path = guard::folder().join(format!("{}-{}.toml", self.schema.base, self.job.name));
        let port = |server: &Server| format!("port = {}\n", server.port);
        let text = self.job.text(&self.schema, tables);
        std::fs::write(&path, text.replace(&port(&servers().source), &port(&self.source))).expect("job file");
        path.display().to_string()
    }

    /// Submits through any peer.
    pub fn submit(&self) -> Value {
        self.ask(&["submit", &self.file()])
    }

    /// The same without the check, for what the tasks shall refuse.
    pub fn submit_unchecked(&self) -> Value {
        self.ask(&["submit", &self.file(), "--no-check"])
    }

    /// The same with only some of the tables.
    pub fn submit_tables(&self, tables: &[&str]) -> Value {
        self.ask(&["submit", &self.file_of(tables)])
    }

    /// A command about the job, `peer VERB JOB`.
    pub fn act(&self, verb: &str) -> Value {
        self.ask(&[verb, &self.job.name])
    }

    fn ask(&self, args: &[&str]) -> Value {
        self.cluster
            .any()
            .json(args)
            .unwrap_or_else(|talk| panic!("peer {}: {talk}", args.join(" ")))
    }

    /// The job as any peer sees it.
    pub fn status(&self) -> Value {
        self.act("status")
    }

    /// Waits until a peer sees the job so; fails with the last status.
    pub fn await_seen(&self, peer: &TestPeer, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let waiting = std::panic::AssertUnwindSafe(|| {
            // A second or two on a quiet machine; ten beds may start at once on a busy one.
            until(what, Duration::from_secs(60), || {
                last = peer.json(&["status", &self.job.name]).ok()?;
                wanted(&last).then(|| last.clone())
            })
        });
        std::panic::catch_unwind(waiting).unwrap_or_else(|_| panic!("{what}; last status: {last:#}"))
    }

    pub fn await_status(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        self.await_seen(self.cluster.any(), what, wanted)
    }

    pub fn await_state(&self, state: &str) -> Value {
        self.await_status(&format!("the job is {state}"), |status| status["state"] == state)
    }

    /// What differs in a table.
    pub async fn difference(&self, table: &str) -> Option<String> {
        difference(&self.source, &servers().target, &self.schema.base, table).await
    }

    /// Waits until every table is equal on both sides.
    pub fn await_equal(&self, limit: Duration) {
        let start = std::time::Instant::now();
        for table in &self.tables {
            loop {
                let (source, target) = (&self.source, &servers().target);
                let found = self.runtime.block_on(difference(source, target, &self.schema.base, table));
                let Some(difference) = found else { break };
                assert!(start.elapsed() < limit, "after {limit:?}: {difference}\n{:#}", self.status());
                std::thread::sleep(Duration::from_millis(200));
            }
        }
    }
}
