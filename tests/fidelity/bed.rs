//! Three real peers, one at the source's side and two that may run the sink, and one job per way over the schemas of all cases.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::Duration;

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use serde_json::Value;

use crate::case::{Case, Verdict, Way, Write};
use crate::support::compare;
use crate::support::guard;
use crate::support::job::JobFile;
use crate::support::peers::TestCluster;
use crate::support::schema::TestSchema;
use crate::support::servers::{Server, servers};

/// All cases of a way, on a busy machine: each of some hundred changes of definitions begins the stream anew.
const LIMIT: Duration = Duration::from_secs(400);
/// Statements get a lock or fail: nothing else writes the cases' tables.
const SESSION: &str =
    "SET sql_mode = REPLACE(REPLACE(@@sql_mode, 'NO_ZERO_IN_DATE', ''), 'NO_ZERO_DATE', ''), lock_wait_timeout = 20";

pub struct Bed {
    cluster: TestCluster,
    source: Server,
}

/// The sessions of the cases, open until the last one is written.
#[derive(Default)]
struct Sessions(HashMap<(usize, u8), Conn>);

/// One way's run: its schemas, and what went wrong with the cases' own statements.
struct Run<'a> {
    source: Server,
    way: Way,
    cases: &'a [Case],
    schema: TestSchema,
    sessions: Sessions,
    failed: HashMap<&'static str, String>,
}

impl Bed {
    /// A bed whose cases are written to this server.
    pub async fn new(source: Server) -> Self {
        source.run(&["SET GLOBAL max_connections = 2000"]).await;
        Self {
            cluster: tokio::task::block_in_place(|| TestCluster::two_sites("fidelity")),
            source,
        }
    }

    /// Runs all cases one way.
    pub async fn run(&mut self, way: Way, cases: &[Case]) -> Vec<(&'static str, Verdict)> {
        let mut run = Run::new(self.source, way, cases).await;
        if way == Way::Copy {
            run.write(|_| 0, Vec::len).await;
        }
        self.submit(&run);
        let started = self.await_state(&run, "streaming").await;
        let ended = match started {
            Ok(()) => {
                match way {
                    Way::Copy => {}
                    Way::Stream => run.write(|_| 0, Vec::len).await,
                    Way::Kill => self.write_and_kill(&mut run).await,
                }
                run.mark().await;
                self.await_mark(&run).await
            }
            stopped => stopped,
        };
        let verdicts = run.verdicts(ended.err()).await;
        self.json(&["purge", way.word(), "--yes"])
            .unwrap_or_else(|talk| panic!("purge: {talk}"));
        run.end().await;
        verdicts
    }

    fn json(&self, args: &[&str]) -> Result<Value, String> {
        tokio::task::block_in_place(|| self.cluster.any().json(args))
    }

    fn submit(&self, run: &Run<'_>) {
        let mut job = JobFile::new(run.way.word());
        job.extra = format!("[[tables]]\nschema = \"/{}.*/\"\n", run.schema.base);
        let file = guard::folder().join(format!("{}.toml", run.schema.base));
        let port = |server: Server| format!("port = {}", server.port);
        let text = job
            .text(&run.schema, &[])
            .replace(&port(servers().source), &port(self.source));
        std::fs::write(&file, text).unwrap();
        self.json(&["submit", &file.display().to_string()])
            .unwrap_or_else(|talk| panic!("submit: {talk}"));
    }

    /// The status; Err: the job came to an end before all was done.
    fn status(&self, run: &Run<'_>) -> Result<Value, String> {
        let status = self.json(&["status", run.way.word()]).unwrap_or(Value::Null);
        match status["state"].as_str() {
            Some("failed" | "paused" | "stopped") => Err(format!(
                "the job is {}: {} {}",
                status["state"], status["reason"], status["errors"][0]["text"]
            )),
            _ => Ok(status),
        }
    }

    async fn await_state(&self, run: &Run<'_>, state: &str) -> Result<(), String> {
        self.await_that(run, &format!("the job is {state}"), async |status| status["state"] == state)
            .await
    }

    /// Waits until the row that was written last is on the target: then everything before it is.
    async fn await_mark(&self, run: &Run<'_>) -> Result<(), String> {
        let sql = format!("SELECT COUNT(*) FROM {}.mark", run.schema.base);
        self.await_that(
            run,
            "the last row is on the target and the job has caught up",
            async |status| status["caught_up"] == true && servers().target.number(&sql).await == 1,
        )
        .await
    }

    async fn await_that(&self, run: &Run<'_>, what: &str, is_so: impl AsyncFn(&Value) -> bool) -> Result<(), String> {
        let start = std::time::Instant::now();
        loop {
            let status = self.status(run)?;
            if is_so(&status).await {
                return Ok(());
            }
            if start.elapsed() > LIMIT {
                return Err(format!("waited {LIMIT:?} for: {what}; last status: {status:#}"));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Half of each case's writes, SIGKILL to the peer of the sink, the other half, SIGKILL to its successor.
    async fn write_and_kill(&mut self, run: &mut Run<'_>) {
        run.write(|_| 0, |writes| writes.len() / 2).await;
        let first = self.kill_sink(run).await;
        run.write(|writes| writes.len() / 2, Vec::len).await;
        self.revive(run, first).await;
        let second = self.kill_sink(run).await;
        self.revive(run, second).await;
    }

    /// None: the job came to an end.
    async fn kill_sink(&mut self, run: &Run<'_>) -> Option<String> {
        let status = self.status(run).ok()?;
        let name = status["sink"]["peer"].as_str().expect("a peer runs the sink").to_owned();
        self.cluster.peer_mut(&name).kill();
        Some(name)
    }

    /// Waits until another peer runs the sink, then starts the killed one again.
    async fn revive(&mut self, run: &Run<'_>, killed: Option<String>) {
        let Some(name) = killed else { return };
        let is_moved = async |status: &Value| {
            status["sink"]["peer"].is_string() && status["sink"]["peer"] != name && status["state"] == "streaming"
        };
        // An end of the job is told by the wait for the mark.
        let _ = self.await_that(run, "another peer runs the sink", is_moved).await;
        let seed = self.cluster.any().run_field("peer");
        tokio::task::block_in_place(|| self.cluster.peer_mut(&name).restart(Some(&seed)));
    }
}

impl<'a> Run<'a> {
    /// Schemas and tables of all cases, and the table of the last row.
    async fn new(source: Server, way: Way, cases: &'a [Case]) -> Self {
        let schema = TestSchema::new(&format!("f{}", way.word())).await;
        let mark = [
            format!("CREATE DATABASE IF NOT EXISTS {}", schema.base),
            format!("CREATE TABLE {}.mark (id INT PRIMARY KEY)", schema.base),
        ];
        source.run(&mark.each_ref().map(String::as_str)).await;
        let mut run = Self {
            source,
            way,
            cases,
            schema,
            sessions: Sessions::default(),
            failed: HashMap::new(),
        };
        for (at, case) in cases.iter().enumerate() {
            if case.is_left_out(way).is_some() {
                continue;
            }
            let schema = run.schema_of(case);
            source.run(&[&format!("CREATE DATABASE {schema}")]).await;
            let tables = Write {
                session: 0,
                statements: case.tables.clone(),
            };
            run.run_write(at, &tables).await;
        }
        run
    }

    fn schema_of(&self, case: &Case) -> String {
        format!("{}_{}", self.schema.base, case.name)
    }

    /// Writes a part of each case.
    async fn write(&mut self, from: impl Fn(&Vec<Write>) -> usize, to: impl Fn(&Vec<Write>) -> usize) {
        for (at, case) in self.cases.iter().enumerate() {
            if case.is_left_out(self.way).is_some() {
                continue;
            }
            for write in &case.writes[from(&case.writes)..to(&case.writes)] {
                self.run_write(at, write).await;
            }
        }
    }

    async fn run_write(&mut self, at: usize, write: &Write) {
        let case = &self.cases[at];
        if self.failed.contains_key(case.name) {
            return;
        }
        let schema = self.schema_of(case);
        if let Err(talk) = self.sessions.run(self.source, at, case, &schema, write).await {
            self.failed.insert(case.name, talk);
        }
    }

    async fn mark(&mut self) {
        self.sessions.close().await;
        let sql = format!("INSERT INTO {}.mark VALUES (1)", self.schema.base);
        self.source.run(&[&sql]).await;
    }

    /// The verdict of each case; `stopped` tells why the job did not come to the end.
    async fn verdicts(&self, stopped: Option<String>) -> Vec<(&'static str, Verdict)> {
        let mut verdicts = Vec::new();
        for case in self.cases {
            let verdict = match (case.is_left_out(self.way), self.failed.get(case.name)) {
                (Some(reason), _) => Verdict::LeftOut(reason),
                (_, Some(talk)) => Verdict::Wrong(talk.clone()),
                _ => match compare::schema_difference(&self.source, &servers().target, &self.schema_of(case)).await {
                    None => Verdict::Ok,
                    Some(difference) => Verdict::Wrong(difference),
                },
            };
            verdicts.push((case.name, verdict));
        }
        if let Some(stopped) = stopped {
            let shown = verdicts.iter_mut().find(|(_, verdict)| verdict.is_wrong());
            match shown {
                Some((_, Verdict::Wrong(text))) => *text = format!("{stopped}\n{text}"),
                _ => panic!("{} although all cases are equal: {stopped}", self.way.word()),
            }
        }
        verdicts
    }

    async fn end(mut self) {
        self.sessions.close().await;
        // Cases make schemas of their own, too.
        let sql = format!(
            "SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE '%{}\\_%' AND schema_name NOT LIKE '%\\_meta%'",
            self.schema.base
        );
        let drop_on = async |server: Server| {
            let mut conn = server.conn().await;
            let schemas: Vec<String> = conn.query(&sql).await.expect("schemas");
            conn.disconnect().await.expect("disconnects");
            let drops: Vec<String> = schemas.iter().map(|schema| format!("DROP DATABASE {schema}")).collect();
            server.run(&drops.iter().map(String::as_str).collect::<Vec<_>>()).await;
        };
        drop_on(self.source).await;
        drop_on(servers().target).await;
    }
}

impl Sessions {
    async fn run(&mut self, source: Server, at: usize, case: &Case, schema: &str, write: &Write) -> Result<(), String> {
        let conn = match self.0.entry((at, write.session)) {
            Entry::Occupied(open) => open.into_mut(),
            Entry::Vacant(free) => {
                let mut conn = source.conn().await;
                let first = [SESSION.to_owned(), format!("USE {schema}")];
                for sql in first.iter().chain(&case.settings) {
                    conn.query_drop(sql).await.map_err(|error| format!("{sql}: {error}"))?;
                }
                free.insert(conn)
            }
        };
        for sql in &write.statements {
            let sql = sql.replace("{schema}", schema);
            conn.query_drop(&sql)
                .await
                .map_err(|error| format!("{}: {error}", sql.chars().take(300).collect::<String>()))?;
        }
        Ok(())
    }

    async fn close(&mut self) {
        for (_, conn) in self.0.drain() {
            conn.disconnect().await.expect("disconnects");
        }
    }
}
