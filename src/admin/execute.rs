//! Runs a command against the cluster: the one place where a command gets its meaning.
//!
//! Called by every door; calls the `Cluster` port. Prints nothing and decides nothing about forms.

use crate::admin::cluster::{Cluster, HoldKind};
use crate::admin::command::{Answer, Command, HelpView};
use crate::admin::refusal::Refusal;

/// Does `command` and answers.
///
/// # Errors
/// The cluster's refusal; nothing was changed then.
pub async fn execute(cluster: &dyn Cluster, command: Command) -> Result<Answer, Refusal> {
    Ok(match command {
        Command::Members => Answer::Members(cluster.members().await?),
        Command::Jobs => Answer::Jobs(cluster.jobs().await?),
        Command::Status { job } => Answer::Status(Box::new(cluster.status(&job).await?)),
        Command::Submit(request) => Answer::Submit(cluster.submit(request).await?),
        Command::Pause { job } => Answer::Change(cluster.hold(&job, HoldKind::Pause).await?),
        Command::Stop { job } => Answer::Change(cluster.hold(&job, HoldKind::Stop).await?),
        Command::Resume { job } => Answer::Change(cluster.release(&job).await?),
        Command::Restart { job } => Answer::Change(cluster.restart(&job).await?),
        Command::Purge { job } => Answer::Change(cluster.purge(&job).await?),
        Command::Version => Answer::Version(cluster.version().await?),
        Command::Help => Answer::Help(HelpView {
            help: crate::admin::parse::HELP.to_owned(),
        }),
    })
}
