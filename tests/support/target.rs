//! A target as tests of the fence and of apply need it: one small table, rows made by hand, owners by name.

use std::collections::HashMap;

use mysql_async::prelude::Queryable;
use peer::core::change::{BinlogPosition, Change, Row, TxnPart};
use peer::core::group::{Group, GroupLimits, Grouper};
use peer::core::gtid_set::{Gtid, GtidSet};
use peer::core::ids::{Boot, ClusterId, Epoch, Incarnation, JobId, JobName, Life, NodeId};
use peer::core::job_spec::{DatabaseSpec, Preferences, Secret, SinkSpec, TlsMode};
use peer::core::shape::{Column, ColumnKind, RowKey, ShapeId, TableName, TableShape};
use peer::mysql::error::Error;
use peer::mysql::target::fence::AcquireRequest;
use peer::mysql::target::writer::Target;

use super::schema::TestSchema;
use super::servers::{Server, servers};

pub const SOURCE_UUID: &str = "00000000-0000-0000-0000-000000000001";

pub fn database(server: Server) -> DatabaseSpec {
    DatabaseSpec {
        host: "127.0.0.1".into(),
        port: server.port,
        user: "root".into(),
        password: Secret::Text(String::new()),
        tls: TlsMode::Preferred,
        tls_ca: None,
    }
}

/// A job on a target with a table `t(id INT PRIMARY KEY, v INT)`.
pub struct Bed {
    pub schema: TestSchema,
    pub sink: SinkSpec,
    pub job: JobId,
}

impl Bed {
    pub async fn new(word: &str) -> Self {
        let schema = TestSchema::new(word).await;
        let sink = SinkSpec {
            endpoint: database(servers().target),
            meta_schema: schema.meta.clone(),
            constraints: Vec::new(),
            preferences: Preferences::default(),
            on_ddl: Default::default(),
            on_conflict: Default::default(),
            drop_triggers: false,
        };
        let job = JobId {
            name: JobName("orders".into()),
            inc: Incarnation(1),
        };
        Self { schema, sink, job }
    }

    pub fn request(&self, owner: &str) -> AcquireRequest {
        AcquireRequest {
            job: self.job.clone(),
            cluster_id: ClusterId("c".repeat(64)),
            life: Life("1".repeat(32)),
            owner: NodeId(owner.into()),
            owner_name: format!("{owner}.example"),
            boot: Boot(1),
            epoch_seen: Epoch(0),
        }
    }

    pub async fn acquire(&self, owner: &str) -> Target {
        Target::acquire(&self.sink, self.request(owner)).await.expect("acquired").0
    }

    /// Acquired and started, without a copy.
    pub async fn started(&self, owner: &str) -> Target {
        let mut target = self.acquire(owner).await;
        target
            .start(&gtids("1-10"), SOURCE_UUID, vec![self.shape()], &[])
            .await
            .expect("started");
        target
    }

    pub fn shape(&self) -> TableShape {
        let column = |name: &str| Column {
            name: name.into(),
            kind: ColumnKind::Int {
                bytes: 4,
                unsigned: false,
            },
            is_nullable: name != "id",
            is_generated: false,
            charset: None,
            collation: None,
        };
        TableShape {
            name: TableName { schema: self.schema.base.clone(), table: "t".into() },
            columns: vec![column("id"), column("v")],
            key: Some(RowKey { index: "PRIMARY".into(), columns: vec![0] }),
            map: None,
            has_secondary_unique: false,
            create_sql: "CREATE TABLE `t` (\n  `id` int NOT NULL,\n  `v` int DEFAULT NULL,\n  PRIMARY KEY (`id`)\n) ENGINE=InnoDB AUTO_INCREMENT=7"
                .into(),
            defaults: None,
            cascades: Vec::new(),
        }
    }

    /// One transaction with these changes.
    pub fn group(&self, number: u64, changes: Vec<Change>) -> Group {
        group_of(&[self.shape()], number, changes)
    }

    pub async fn meta(&self, statement: &str) {
        servers().target.run(&[&statement.replace("META", &self.schema.meta)]).await;
    }

    /// `id → v` of the table on the target.
    pub async fn rows(&self) -> HashMap<i32, i32> {
        let mut conn = servers().target.conn().await;
        let rows: Vec<(i32, i32)> = conn
            .query(format!("SELECT id, v FROM {}.t", self.schema.base))
            .await
            .expect("rows");
        conn.disconnect().await.expect("disconnects");
        rows.into_iter().collect()
    }
}

pub fn gtids(interval: &str) -> GtidSet {
    GtidSet::parse(&format!("{SOURCE_UUID}:{interval}")).expect("a set")
}

pub fn group_of(shapes: &[TableShape], number: u64, changes: Vec<Change>) -> Group {
    let mut grouper = Grouper::new(GroupLimits {
        transactions: 1,
        bytes: 1 << 30,
    });
    for (at, shape) in shapes.iter().enumerate() {
        grouper.set_shape(ShapeId(u32::try_from(at).expect("few")), shape.clone());
    }
    grouper.push(part(number, changes)).expect("folds");
    grouper.take()
}

pub fn part(number: u64, changes: Vec<Change>) -> TxnPart {
    TxnPart {
        gtid: Gtid::parse(&format!("{SOURCE_UUID}:{number}")).expect("a GTID"),
        is_first: true,
        is_last: true,
        last_committed: 0,
        sequence_number: 0,
        prepared: None,
        commit_us: number,
        position: BinlogPosition {
            file: "binlog.000001".into(),
            offset: number,
        },
        changes,
    }
}

pub fn row(id: i32, value: i32) -> Row {
    let mut bytes = vec![0];
    bytes.extend(id.to_le_bytes());
    bytes.extend(value.to_le_bytes());
    Row(bytes.into())
}

pub fn insert(id: i32, value: i32) -> Change {
    Change::Insert {
        shape: ShapeId(0),
        after: row(id, value),
    }
}

pub fn update(id: i32, before: i32, after: i32) -> Change {
    Change::Update {
        shape: ShapeId(0),
        before: row(id, before),
        after: row(id, after),
    }
}

pub fn delete(id: i32, value: i32) -> Change {
    Change::Delete {
        shape: ShapeId(0),
        before: row(id, value),
    }
}

pub fn mismatch(error: &Error) -> (&str, &str) {
    match error {
        Error::RowMismatch { expectation, key, .. } => (expectation, key),
        other => panic!("expected a row mismatch, found {other:?}"),
    }
}
