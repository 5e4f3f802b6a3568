//! Runs a command against the cluster: the one place where a command gets its meaning.
//!
//! Called by every door; calls the `Cluster` port. Prints nothing and decides nothing about forms.

use std::time::Duration;

use crate::actors::check::CHECK_TIME_MAX;
use crate::admin::cluster::{Cluster, HoldKind};
use crate::admin::command::{Answer, Command, HelpView};
use crate::admin::parse::HELP;
use crate::admin::refusal::Refusal;

/// Longest wait for the cluster: twice what an implementation may take (`Cluster`), so only a stuck one is cut.
pub const ANSWER_MAX: Duration = Duration::from_secs(10);
/// The same for commands that have databases looked at.
pub const CHECKED_ANSWER_MAX: Duration = Duration::from_secs(CHECK_TIME_MAX.as_secs() + 5);

/// Does `command` and answers.
///
/// # Errors
/// The cluster's refusal, and nothing was changed; or `NotReady` after [`ANSWER_MAX`] ([`CHECKED_ANSWER_MAX`]), when that is not known.
pub async fn execute(cluster: &dyn Cluster, command: Command) -> Result<Answer, Refusal> {
    let limit = match &command {
        Command::Check { .. } | Command::Submit(_) => CHECKED_ANSWER_MAX,
        _ => ANSWER_MAX,
    };
    match tokio::time::timeout(limit, ask(cluster, command)).await {
        Ok(answer) => answer,
        Err(_) => {
            let found = format!(
                "no answer within {} s; a change may still happen, look before you repeat it",
                limit.as_secs()
            );
            Err(Refusal::not_ready("this peer", &found))
        }
    }
}

async fn ask(cluster: &dyn Cluster, command: Command) -> Result<Answer, Refusal> {
    Ok(match command {
        Command::Members => Answer::Members(cluster.members().await?),
        Command::Jobs => Answer::Jobs(cluster.jobs().await?),
        Command::Status { job } => Answer::Status(Box::new(cluster.status(&job).await?)),
        Command::Submit(request) => Answer::Submit(cluster.submit(request).await?),
        Command::Set { job, settings } => Answer::Submit(cluster.set(&job, settings).await?),
        Command::History { job } => Answer::History(cluster.history(&job).await?),
        Command::Conflicts { job } => Answer::Conflicts(cluster.conflicts(&job).await?),
        Command::Skip { job, gtid, reason } => Answer::Change(cluster.skip(&job, &gtid, reason).await?),
        Command::Revert { job, version } => Answer::Submit(cluster.revert(&job, version).await?),
        Command::Plan { text } => Answer::Plan(Box::new(cluster.plan(text).await?)),
        Command::Check { text } => Answer::Check(cluster.check(text).await?),
        Command::Pause { job } => Answer::Change(cluster.hold(&job, HoldKind::Pause).await?),
        Command::Stop { job } => Answer::Change(cluster.hold(&job, HoldKind::Stop).await?),
        Command::Resume { job } => Answer::Change(cluster.release(&job).await?),
        Command::Restart { job } => Answer::Change(cluster.restart(&job).await?),
        Command::Purge { job } => Answer::Change(cluster.purge(&job).await?),
        Command::StopFence { job } => Answer::Change(cluster.stop_fence(&job).await?),
        Command::PurgeTarget { job } => Answer::Change(cluster.purge_target(&job).await?),
        Command::Drain { peer } => Answer::Peer(cluster.drain(&peer, true).await?),
        Command::Undrain { peer } => Answer::Peer(cluster.drain(&peer, false).await?),
        Command::Leave { peer, is_restart } => Answer::Peer(cluster.leave(peer.as_deref(), is_restart).await?),
        Command::Version => Answer::Version(cluster.version().await?),
        Command::Help => Answer::Help(HelpView { help: HELP.to_owned() }),
    })
}
