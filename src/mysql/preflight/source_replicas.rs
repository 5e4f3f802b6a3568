//! The numbers under which the job would read the source's binlog: whether somebody reads there under them already.

use crate::core::check::ReplicaIds;
use crate::core::finding::{Finding, Severity};
use crate::mysql::error::Error;
use crate::mysql::preflight::access::Check;
use crate::mysql::session::Session;

/// Replicas of the source.
pub(super) const REPLICAS: Check = ("PEER1832", "replicas of the source");
/// The server does not know the statement.
const PARSE_ERROR: u16 = 1064;

/// One line of SHOW REPLICAS.
struct Replica {
    server_id: u32,
    place: String,
    uuid: String,
}

/// Two readers of one UUID end each other for ever; two of one number cannot be told apart. `is_known`: the job is there and may read.
pub(super) async fn check(session: &mut Session, own: &ReplicaIds, is_known: bool) -> Result<Vec<Finding>, Error> {
    let (id, object) = REPLICAS;
    let replicas = replicas(session).await?;
    let ReplicaIds { server_id, uuid } = own;
    let is_same = |replica: &&Replica| replica.uuid.eq_ignore_ascii_case(uuid);
    if replicas.iter().any(|replica| is_same(&replica)) {
        if is_known {
            return Ok(vec![Finding::ok(id, object, "the job's own reader among them")]);
        }
        return Ok(vec![Finding::bad(
            Severity::Fail,
            id,
            object,
            format!("one has the UUID {uuid}, by which the job would read"),
            "none: the server ends the older of two readers with one UUID, and both would begin again for ever",
            "stop the job of this name in the other cluster, whose data_dir was copied from this one's, or give this job another name",
        )]);
    }
    let Some(other) = replicas.iter().find(|replica| replica.server_id == *server_id) else {
        return Ok(vec![Finding::ok(
            id,
            object,
            format!("none under the job's number {server_id}"),
        )]);
    };
    Ok(vec![Finding::bad(
        Severity::Warn,
        id,
        object,
        format!("{} has the number {server_id}, by which the job would read", other.place),
        "another number: SHOW REPLICAS tells only one of the two, and semi-synchronous acknowledgements count them as one",
        format!(
            "SET PERSIST server_id = {}; -- on that replica; or give the job another name",
            server_id / 2
        ),
    )])
}

async fn replicas(session: &mut Session) -> Result<Vec<Replica>, Error> {
    let rows = match session.rows::<mysql_async::Row>("SHOW REPLICAS").await {
        // Before 8.0.22.
        Err(error) if error.server_code() == Some(PARSE_ERROR) => session.rows("SHOW SLAVE HOSTS").await?,
        other => other?,
    };
    let replica = |row: &mysql_async::Row| {
        let (host, port): (String, u32) = (row.get(1)?, row.get(2)?);
        Some(Replica {
            server_id: row.get(0)?,
            place: if host.is_empty() {
                "one".to_owned()
            } else {
                format!("{host}:{port}")
            },
            uuid: row.get(4)?,
        })
    };
    Ok(rows.iter().filter_map(replica).collect())
}
