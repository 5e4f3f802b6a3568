//! Orders to the fence row by somebody who does not own the job: shut it, or adopt it.
//!
//! Called by `purge` for `stop --fence` and `submit --adopt`. Starts nobody; `fence` keeps the law of epochs.

use crate::core::ids::Epoch;
use crate::mysql::error::Error;
use crate::mysql::quote;
use crate::mysql::session::Session;
use crate::mysql::target::fence::{AcquireRequest, FenceRow, read, refuse_foreign, replace_owner};
use crate::mysql::target::meta::{Meta, of_job};

/// Ends the owner of a row of this life and shuts the row: from now on it takes only an owner that has heard of the new epoch,
/// so one that cannot hear of a stop does not come back. None: there is no row, nobody ever wrote.
pub async fn shut(session: &mut Session, meta: &Meta, request: &AcquireRequest) -> Result<Option<(FenceRow, Epoch)>, Error> {
    let Some(found) = read(session, meta, &request.job).await? else {
        return Ok(None);
    };
    refuse_foreign(&found, &request.job, &request.cluster_id, &request.life)?;
    let values = format!(
        "owner = '', owner_name = {}",
        quote::text(&format!("stop --fence on {}", request.owner_name))
    );
    let mine = format!(
        "{} AND cluster_id = {} AND life = {}",
        of_job(&request.job),
        quote::text(&request.cluster_id.0),
        quote::text(&request.life.0)
    );
    let epoch = replace_owner(session, meta, &request.job, &values, &mine).await?;
    Ok(Some((found, epoch)))
}

/// Gives progress of another cluster or life to this one and ends whoever wrote it. None: there is none, or it is this
/// life's already.
pub async fn adopt(session: &mut Session, meta: &Meta, request: &AcquireRequest) -> Result<Option<(FenceRow, Epoch)>, Error> {
    let Some(found) = read(session, meta, &request.job).await? else {
        return Ok(None);
    };
    if found.cluster_id == request.cluster_id && found.life == request.life {
        return Ok(None);
    }
    let values = format!(
        "owner = '', owner_name = '', cluster_id = {}, life = {}",
        quote::text(&request.cluster_id.0),
        quote::text(&request.life.0)
    );
    let read_life = format!(
        "{} AND cluster_id = {} AND life = {}",
        of_job(&request.job),
        quote::text(&found.cluster_id.0),
        quote::text(&found.life.0)
    );
    let epoch = replace_owner(session, meta, &request.job, &values, &read_life).await?;
    Ok(Some((found, epoch)))
}
