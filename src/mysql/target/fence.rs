//! Who may write: acquires, reads and releases the fence row, and ends the sessions of older owners (PROTOCOLS 2, 1–4).
//!
//! Called by `writer`. The database issues the epoch; a commit without the newest one fails in `turn`. A session is told
//! from a later one with the same number by a user lock it holds: the lock goes when the session is gone and rolled back,
//! whatever ended it. (MySQL tells nobody a session's connect time, so id, user and connect time cannot be compared.)

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::core::ids::{Boot, ClusterId, Epoch, JobId, Life, NodeId, SourceEpoch};
use crate::core::stable_hash::hex256;
use crate::mysql::error::Error;
use crate::mysql::quote;
use crate::mysql::session::Session;
use crate::mysql::target::meta::{Meta, job_values, of_job};

/// False in a build with `--cfg peer_no_fence`, which `scripts/faults no-fence` makes to prove that its judges see what the fence
/// prevents: an older owner is neither ended nor refused.
pub(super) const IS_FENCED: bool = !cfg!(peer_no_fence);
/// How long the sessions of older owners may take to go after they were killed: a large transaction rolls back at about
/// the speed it was written (guess), and the caller tries again.
const CLEAR_LIMIT: Duration = Duration::from_secs(30);
/// Between two looks at a session that is being killed.
const CLEAR_PAUSE: Duration = Duration::from_millis(20);
/// Times the bump is tried; each waits 2 s for the lock and kills who may hold it.
const BUMP_TRIES: u32 = 5;
/// Settings of the session that works on the meta tables outside of groups. It holds no lock between two statements, so it may
/// idle for as long as the largest group takes.
const CONTROL_SETTINGS: &str = "SET SESSION autocommit = 1, transaction_isolation = 'READ-COMMITTED', innodb_lock_wait_timeout = 2, \
    lock_wait_timeout = 10, sql_mode = 'STRICT_ALL_TABLES', time_zone = '+00:00', wait_timeout = 3600, foreign_key_checks = 0";

/// Who asks for the fence.
#[derive(Clone, Debug)]
pub struct AcquireRequest {
    /// The job.
    pub job: JobId,
    /// The asking peer's cluster.
    pub cluster_id: ClusterId,
    /// The job's life.
    pub life: Life,
    /// The asking peer.
    pub owner: NodeId,
    /// Its name, for people.
    pub owner_name: String,
    /// Its boot.
    pub boot: Boot,
    /// The largest epoch it has seen in any claim.
    pub epoch_seen: Epoch,
}

/// The fence row as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FenceRow {
    /// Cluster that made it.
    pub cluster_id: ClusterId,
    /// Life of the job that made it.
    pub life: Life,
    /// The newest epoch.
    pub epoch: Epoch,
    /// Its owner; None: released.
    pub owner: Option<NodeId>,
    /// The owner's name.
    pub owner_name: String,
    /// The owner's boot.
    pub boot: Boot,
    /// Number of the newest source task.
    pub src_epoch: SourceEpoch,
    /// Peer that runs it; None: none was chosen yet.
    pub source: Option<NodeId>,
    /// When this epoch began, the server's clock, UTC.
    pub since: String,
    /// How long ago the owner last committed or beat, by the server's clock.
    pub quiet: Option<Duration>,
}

impl FenceRow {
    /// `stop --fence` ended the owner: the row's name says where that was asked, and nobody owns it.
    #[must_use]
    pub fn is_shut(&self) -> bool {
        self.owner.is_none() && !self.owner_name.is_empty()
    }
}

/// Sets up a session for the meta tables.
pub async fn prepare_control(session: &mut Session) -> Result<(), Error> {
    session.execute(CONTROL_SETTINGS).await.map(drop)
}

/// Makes this owner the newest one and ends the sessions of all older ones. A row that was fenced out (`shut`) takes only who
/// has heard of that.
pub async fn acquire(session: &mut Session, meta: &Meta, request: &AcquireRequest) -> Result<Epoch, Error> {
    ensure_row(session, meta, request).await?;
    let Some(epoch) = bump(session, meta, request).await? else {
        return Err(not_taken(session, meta, request).await?);
    };
    clear_older(session, meta, &request.job, epoch, ClearWait::UntilGone).await?;
    Ok(epoch)
}

/// The row exists and belongs to this life of the job.
async fn ensure_row(session: &mut Session, meta: &Meta, request: &AcquireRequest) -> Result<(), Error> {
    let found = match read(session, meta, &request.job).await? {
        Some(found) => found,
        None => {
            let sql = format!(
                "INSERT IGNORE INTO {} (job, inc, cluster_id, life, epoch, owner, owner_name, boot, src_epoch, src_owner) \
                 VALUES ({}, {}, {}, 0, '', '', 0, 0, '')",
                meta.table("fence"),
                job_values(&request.job),
                quote::text(&request.cluster_id.0),
                quote::text(&request.life.0)
            );
            session.execute(sql).await?;
            let found = read(session, meta, &request.job).await?;
            found.ok_or_else(|| session.unexpected("no fence row", "the row just made"))?
        }
    };
    refuse_foreign(&found, &request.job, &request.cluster_id, &request.life)
}

/// The row was made by this life of the job in this cluster.
pub(super) fn refuse_foreign(found: &FenceRow, job: &JobId, cluster_id: &ClusterId, life: &Life) -> Result<(), Error> {
    if found.cluster_id == *cluster_id && found.life == *life {
        return Ok(());
    }
    let name = &job.name;
    let of_whom = if found.cluster_id == *cluster_id {
        "an earlier job of this name"
    } else {
        "another cluster"
    };
    let by = if found.owner_name.is_empty() {
        "nobody yet".to_owned()
    } else {
        format!("`{}`", found.owner_name)
    };
    Err(Error::ForeignProgress {
        text: format!(
            "the target holds progress of `{name}` made by {of_whom} (owner {by}) at {} UTC; `peer submit --adopt` resumes from it, \
             `peer purge --target` forgets it",
            found.since
        ),
    })
}

/// Why the row was there a moment ago and did not take this owner.
async fn not_taken(session: &mut Session, meta: &Meta, request: &AcquireRequest) -> Result<Error, Error> {
    Ok(match read(session, meta, &request.job).await? {
        Some(row) if row.is_shut() && row.epoch > request.epoch_seen => Error::FencedOut {
            epoch: row.epoch,
            by: row.owner_name,
        },
        _ => session.unexpected("no fence row of this life", "the row read a moment ago"),
    })
}

async fn bump(session: &mut Session, meta: &Meta, request: &AcquireRequest) -> Result<Option<Epoch>, Error> {
    let sql = format!(
        "UPDATE {} SET epoch = LAST_INSERT_ID(GREATEST(epoch, {}) + 1), owner = {}, owner_name = {}, boot = {}, since = NOW(6) \
         WHERE {} AND cluster_id = {} AND life = {} AND (owner <> '' OR owner_name = '' OR epoch <= {})",
        meta.table("fence"),
        request.epoch_seen,
        quote::text(&request.owner.0),
        quote::text(&request.owner_name),
        request.boot,
        of_job(&request.job),
        quote::text(&request.cluster_id.0),
        quote::text(&request.life.0),
        request.epoch_seen
    );
    bump_with(session, meta, &request.job, &sql).await
}

/// Runs a bump; when somebody holds the row, ends the registered sessions that may hold it and tries again. None: no row fits.
async fn bump_with(session: &mut Session, meta: &Meta, job: &JobId, sql: &str) -> Result<Option<Epoch>, Error> {
    let mut tries = 0;
    loop {
        tries += 1;
        match session.execute(sql).await {
            Ok(1) => {
                let issued = session.first::<u64>("SELECT LAST_INSERT_ID()").await?;
                let epoch = issued.map(Epoch);
                return Ok(Some(
                    epoch.ok_or_else(|| session.unexpected("no row", "the epoch just issued"))?,
                ));
            }
            Ok(_) => return Ok(None),
            Err(error) if error.is_lock_conflict() && tries < BUMP_TRIES => {
                clear_older(session, meta, job, Epoch(u64::MAX), ClearWait::KillOnly).await?;
            }
            Err(error) => return Err(error),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ClearWait {
    /// Kill and go on.
    KillOnly,
    /// Kill, and wait until they have rolled back.
    UntilGone,
}

/// Ends the registered sessions of epochs before `epoch` that still are what they were when they registered.
async fn clear_older(session: &mut Session, meta: &Meta, job: &JobId, epoch: Epoch, wait: ClearWait) -> Result<(), Error> {
    let deadline = Instant::now() + CLEAR_LIMIT;
    loop {
        let mut alive = older_sessions(session, meta, job, epoch).await?;
        alive.retain(|_| IS_FENCED);
        for conn_id in &alive {
            kill(session, *conn_id).await?;
        }
        if wait == ClearWait::KillOnly {
            return Ok(());
        }
        if alive.is_empty() {
            break;
        }
        if Instant::now() >= deadline {
            return Err(Error::TimedOut {
                address: session.address().into(),
                operation: "end the sessions of the earlier owner",
                limit: CLEAR_LIMIT,
            });
        }
        sleep(CLEAR_PAUSE).await;
    }
    let sql = format!(
        "DELETE FROM {} WHERE {} AND epoch < {epoch}",
        meta.table("session"),
        of_job(job)
    );
    session.execute(sql).await.map(drop)
}

async fn older_sessions(session: &mut Session, meta: &Meta, job: &JobId, epoch: Epoch) -> Result<Vec<u64>, Error> {
    let sql = format!(
        "SELECT conn_id FROM {} WHERE {} AND epoch < {epoch} AND IS_USED_LOCK(lock_name) = conn_id",
        meta.table("session"),
        of_job(job)
    );
    session.rows(sql).await
}

pub(super) async fn kill(session: &mut Session, conn_id: u64) -> Result<(), Error> {
    match session.execute(format!("KILL CONNECTION {conn_id}")).await {
        Ok(_) => Ok(()),
        // 1094: it is gone already.
        Err(Error::Server { code: 1094, .. }) => Ok(()),
        Err(Error::Server { code: 1095, message, .. }) => Err(Error::Unsuitable {
            object: format!("session {conn_id} of the target"),
            found: format!("it belongs to the job's earlier owner, who used another account: {message}"),
            expected: "the right to end it".into(),
            fix: format!("run `KILL {conn_id}` on the target, or grant the account CONNECTION_ADMIN"),
        }),
        Err(error) => Err(error),
    }
}

/// Takes the user lock that identifies an apply session, and registers it; both before its first use.
pub async fn register(control: &mut Session, meta: &Meta, job: &JobId, epoch: Epoch, apply: &mut Session) -> Result<(), Error> {
    let lock = lock_name(job, epoch, apply.connection_id());
    let taken: Option<Option<i64>> = apply.first(format!("SELECT GET_LOCK({}, 0)", quote::text(&lock))).await?;
    if taken.flatten() != Some(1) {
        return Err(apply.unexpected(
            "a user lock held by somebody else",
            "a lock whose name only this session makes",
        ));
    }
    let sql = format!(
        "INSERT INTO {} (job, inc, epoch, conn_id, lock_name) VALUES ({}, (SELECT f.epoch FROM {} f WHERE {} AND f.epoch = {epoch} \
         FOR SHARE), {}, {})",
        meta.table("session"),
        job_values(job),
        meta.table("fence"),
        of_job(job),
        apply.connection_id(),
        quote::text(&lock)
    );
    match control.execute(sql).await {
        Ok(_) => Ok(()),
        Err(error) if error.server_code() == Some(1048) => Err(lost(control, meta, job, epoch).await?),
        Err(error) => Err(error),
    }
}

/// Forgets a session that was registered and is gone.
pub async fn unregister(control: &mut Session, meta: &Meta, job: &JobId, epoch: Epoch, conn_id: u32) -> Result<(), Error> {
    let sql = format!(
        "DELETE FROM {} WHERE {} AND epoch = {epoch} AND conn_id = {conn_id}",
        meta.table("session"),
        of_job(job)
    );
    control.execute(sql).await.map(drop)
}

/// At most 60 of the 64 characters the server allows: 4 + 24 + 1 + 20 + 1 + 10.
fn lock_name(job: &JobId, epoch: Epoch, conn_id: u32) -> String {
    let hash = hex256(job.to_string().as_bytes());
    format!("peer{}.{epoch}.{conn_id}", &hash[..24])
}

/// What a failed fence check means: somebody newer, or progress at another number.
pub async fn lost(control: &mut Session, meta: &Meta, job: &JobId, held: Epoch) -> Result<Error, Error> {
    let found = read(control, meta, job).await?.map(|row| row.epoch);
    if found == Some(held) {
        return Ok(Error::WrongPredecessor { held });
    }
    Ok(Error::FenceLost { held, found })
}

/// The fence row; None when there is none.
pub async fn read(session: &mut Session, meta: &Meta, job: &JobId) -> Result<Option<FenceRow>, Error> {
    type Columns = (String, String, u64, String, String, u64, u64, String, String, Option<i64>);
    let sql = format!(
        "SELECT f.cluster_id, f.life, f.epoch, f.owner, f.owner_name, f.boot, f.src_epoch, f.src_owner, \
         DATE_FORMAT(f.since, '%Y-%m-%d %H:%i:%s'), TIMESTAMPDIFF(MICROSECOND, GREATEST(f.since, COALESCE((SELECT b.at FROM {} b WHERE \
         b.job = f.job AND b.inc = f.inc), f.since), COALESCE((SELECT p.at FROM {} p WHERE p.job = f.job AND p.inc = f.inc), f.since)), \
         NOW(6)) FROM {} f WHERE f.job = {} AND f.inc = {}",
        meta.table("beat"),
        meta.table("progress"),
        meta.table("fence"),
        quote::text(&job.name.0),
        job.inc
    );
    let row: Option<Columns> = session.first(sql).await?;
    let named = |text: String| (!text.is_empty()).then_some(NodeId(text));
    Ok(row.map(
        |(cluster_id, life, epoch, owner, owner_name, boot, src_epoch, source, since, quiet)| FenceRow {
            cluster_id: ClusterId(cluster_id),
            life: Life(life),
            epoch: Epoch(epoch),
            owner: named(owner),
            owner_name,
            boot: Boot(boot),
            src_epoch: SourceEpoch(src_epoch),
            source: named(source),
            since,
            quiet: quiet.and_then(|us| u64::try_from(us).ok()).map(Duration::from_micros),
        },
    ))
}

/// Gives the job up but keeps the epoch, so that the next owner need not wait. False: it was not ours any more.
pub async fn release(session: &mut Session, meta: &Meta, job: &JobId, epoch: Epoch) -> Result<bool, Error> {
    let sql = format!(
        "UPDATE {} SET owner = '', owner_name = '' WHERE {} AND epoch = {epoch}",
        meta.table("fence"),
        of_job(job)
    );
    let is_ours = session.execute(sql).await? == 1;
    let sql = format!(
        "DELETE FROM {} WHERE {} AND epoch = {epoch}",
        meta.table("session"),
        of_job(job)
    );
    session.execute(sql).await?;
    Ok(is_ours)
}

/// Ends the owner if there is one: bumps the epoch of a row of any life, ends older sessions. False: there is no row.
pub async fn end_owner(session: &mut Session, meta: &Meta, job: &JobId) -> Result<bool, Error> {
    if read(session, meta, job).await?.is_none() {
        return Ok(false);
    }
    replace_owner(session, meta, job, "owner = '', owner_name = ''", &of_job(job)).await?;
    Ok(true)
}

/// Bumps the epoch of these rows with these values, and ends the sessions of the owner.
pub(super) async fn replace_owner(
    session: &mut Session,
    meta: &Meta,
    job: &JobId,
    values: &str,
    rows: &str,
) -> Result<Epoch, Error> {
    let sql = format!(
        "UPDATE {} SET epoch = LAST_INSERT_ID(epoch + 1), {values}, since = NOW(6) WHERE {rows}",
        meta.table("fence")
    );
    let bumped = bump_with(session, meta, job, &sql).await?;
    let epoch = bumped.ok_or_else(|| session.unexpected("another fence row", "the row read a moment ago"))?;
    clear_older(session, meta, job, epoch, ClearWait::UntilGone).await?;
    Ok(epoch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::ids::{Incarnation, JobName};

    #[test]
    fn a_lock_name_is_never_longer_than_the_server_allows() {
        let job = JobId {
            name: JobName("j".repeat(64)),
            inc: Incarnation(u64::MAX),
        };
        let name = lock_name(&job, Epoch(u64::MAX), u32::MAX);
        assert!(name.len() <= 64, "{} characters: {name}", name.len());
    }
}
