//! MySQL's own replica on the target, with its defaults but for the number of workers.

use crate::bed::run;
use crate::support::servers::servers;

/// A replica that is set up and stopped.
pub struct Replica;

impl Replica {
    /// Everything of an earlier replica is forgotten; nothing is read yet.
    pub async fn prepare(workers: u32) -> Self {
        let mut conn = servers().target.conn().await;
        let port = servers().source.port;
        for statement in [
            "STOP REPLICA".to_owned(),
            "RESET REPLICA ALL".into(),
            "RESET BINARY LOGS AND GTIDS".into(),
            format!("SET GLOBAL replica_parallel_workers = {workers}"),
            format!(
                "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = {port}, SOURCE_USER = 'root', SOURCE_PASSWORD = '', \
                 SOURCE_AUTO_POSITION = 1, GET_SOURCE_PUBLIC_KEY = 1"
            ),
        ] {
            run(&mut conn, &statement).await;
        }
        Self
    }

    /// Both threads: it reads and applies from now on.
    pub async fn start(&self) {
        run(&mut servers().target.conn().await, "START REPLICA").await;
    }

    pub async fn end(self) {
        let mut conn = servers().target.conn().await;
        for statement in ["STOP REPLICA", "RESET REPLICA ALL", "RESET BINARY LOGS AND GTIDS"] {
            run(&mut conn, statement).await;
        }
    }
}
