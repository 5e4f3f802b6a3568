//! What may be typed: subcommands and flags of DESIGN 1.1, as clap reads them.
//!
//! Fed by the command line, read by `run`. Values are checked for form here; what they mean is decided by `config` and
//! the peer. A wrong form ends with exit code 2.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::cli::help::HELP;
use crate::core::size::parse_time;

/// Where the HTTP door of the peer on this machine is.
pub const ADDRESS_DEFAULT: &str = "127.0.0.1:7422";
/// Where its shell is.
pub const ADMIN_DEFAULT: &str = "127.0.0.1:7421";

/// Below the flags of `skip`.
const SKIP_HELP: &str = "\
Example: peer skip orders 3e11fa47-71ca-11e1-9e33-c80aa9429562:7 --reason \"known bad\"

None of its rows is applied, and its GTID counts as done. It is kept in the
job's history and in `peer conflicts`. A change of definitions without which
later rows could not be applied is not passed over.";

/// What `peer help plan` says beyond its flags.
const PLAN_HELP: &str = "\
Example: peer plan orders.toml

Each difference is live, restarts the tasks, needs a new copy, or is refused
while running. In this version every change of a running job restarts its tasks.
The answer is that of one peer: it says how many others have the same job table.

Exit codes: 0 nothing would change, or what would is listed (`result` in --json);
1 the text has faults, or the update would be refused.";

/// What `peer help check` says beyond its flags.
const CHECK_HELP: &str = "\
Example: peer check orders.toml

Each side is looked at by a peer that reaches it. `ok` is as it should be, `warn`
a risk that the job runs with, `FAIL` what it cannot run with; both come with the
statement or the change that mends it. Each number has a page in docs/errors.
submit checks a new job in the same way and refuses what fails on a database.

Exit codes: 0 nothing fails; 1 something does, or the text has faults.";

/// `peer …`
#[derive(Clone, Debug, Parser)]
#[command(name = "peer", version, override_help = HELP, disable_help_subcommand = true, subcommand_required = true)]
pub struct Cli {
    /// One JSON object on stdout instead of text
    #[arg(long, global = true)]
    pub json: bool,
    /// HTTP door of the peer to ask
    #[arg(long, global = true, env = "PEER_ADDRESS", default_value = ADDRESS_DEFAULT, value_name = "HOST:PORT")]
    pub address: String,
    /// What to do.
    #[command(subcommand)]
    pub command: CliCommand,
}

/// The subcommands.
#[derive(Clone, Debug, Subcommand)]
pub enum CliCommand {
    /// Make the key that lets peers trust each other
    #[command(after_help = "Example: peer keygen --out cluster.key")]
    Keygen {
        /// File to write; refused when it exists
        #[arg(long, default_value = "cluster.key")]
        out: PathBuf,
    },
    /// Start the first peer of a cluster, in the foreground
    #[command(after_help = "Example: peer start --name sh-1 --datacenter shanghai --data-dir data/sh-1")]
    Start(NodeFlags),
    /// Start this peer and join through any member
    #[command(after_help = "Example: peer join --seed 10.0.0.1:7420 --name bj-1 --datacenter beijing --key-file cluster.key")]
    Join {
        /// A member to join through; may be repeated
        #[arg(long = "seed", required = true, value_name = "HOST[:PORT]")]
        seeds: Vec<String>,
        /// The rest.
        #[command(flatten)]
        flags: NodeFlags,
    },
    /// Who is here, where, and what they run
    Members,
    /// One line per job
    Jobs,
    /// One screen about a job
    Status(Job),
    /// Accept a job; --wait follows it until it streams
    #[command(after_help = "Example: peer submit orders.toml --wait")]
    Submit(SubmitFlags),
    /// Change what can change while a job runs
    #[command(
        after_help = "Example: peer set orders link.rate=\"10 MB/s\" apply.group_transactions=500\n\n\
        Keys: link.rate, link.batch_bytes, link.batch_delay, apply.group_transactions, apply.group_bytes,\n\
        apply.check, sink.on_conflict"
    )]
    Set {
        /// Name of the job
        job: String,
        /// What to set
        #[arg(required = true, value_name = "KEY=VALUE")]
        settings: Vec<String>,
    },
    /// What happened to a job, and what each version changed
    History(Job),
    /// Rows of the target that did not fit, with both images
    Conflicts(Job),
    /// Pass over one transaction of the source; resume or restart gets the job going
    #[command(after_help = SKIP_HELP)]
    Skip {
        /// Name of the job
        job: String,
        /// The transaction, UUID:NUMBER or UUID:TAG:NUMBER
        gtid: String,
        /// Why, for those who read the history later
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Make the next version of a job from an earlier one
    #[command(after_help = "Example: peer revert orders 2")]
    Revert {
        /// Name of the job
        job: String,
        /// One of those that `peer history` shows as kept
        version: u64,
    },
    /// Every prerequisite on both databases and in the cluster, each with its fix; changes nothing
    #[command(after_help = CHECK_HELP)]
    Check {
        /// The job.toml; - reads standard input
        file: PathBuf,
    },
    /// What submit --update would do; changes nothing
    #[command(after_help = PLAN_HELP)]
    Plan {
        /// The job.toml; - reads standard input
        file: PathBuf,
    },
    /// Hold a job for a while
    Pause(Job),
    /// Remove the holds people put on a job
    Resume(Job),
    /// Hold a job until resume
    #[command(after_help = "Example: peer stop orders --fence")]
    Stop {
        /// Name of the job
        job: String,
        /// End its owner in the target from the asked peer: it commits nothing more, also when it does not hear the stop
        #[arg(long)]
        fence: bool,
    },
    /// Start a job's tasks anew, a failed job's too
    Restart(Job),
    /// Forget a job and its progress
    Purge {
        /// Name of the job
        job: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        /// Delete the rows in the target from the asked peer, which need not have owned the job
        #[arg(long)]
        target: bool,
    },
    /// Move a peer's tasks to others; it takes no new ones until undrain
    #[command(after_help = "Example: peer drain sh-1")]
    Drain(PeerName),
    /// Let a drained peer take tasks again
    Undrain(PeerName),
    /// A peer moves its tasks away and ends
    #[command(after_help = "Example: peer leave sh-1 --restart")]
    Leave {
        /// Name or id of the peer; none: the one that is asked
        peer: Option<String>,
        /// It ends to start again: its sinks are not moved, they wait 90 s for it to come back
        #[arg(long)]
        restart: bool,
    },
    /// The admin shell of a peer
    Shell {
        /// Its address
        #[arg(long, env = "PEER_ADMIN", default_value = ADMIN_DEFAULT, value_name = "HOST:PORT")]
        admin: String,
    },
    /// The version of this program
    Version,
    /// Print a completion script
    #[command(after_help = "Example: peer completions bash > /etc/bash_completion.d/peer")]
    Completions {
        /// The shell it is for
        shell: Shell,
    },
    /// The commands, in groups, with an example each
    Help {
        /// One command
        command: Option<String>,
    },
    /// Anything else.
    #[command(external_subcommand)]
    Other(Vec<String>),
}

/// The job a command is about.
#[derive(Clone, Debug, Args)]
pub struct Job {
    /// Name of the job
    pub job: String,
}

/// The peer a command is about.
#[derive(Clone, Debug, Args)]
pub struct PeerName {
    /// Name or id of the peer
    pub peer: String,
}

/// Flags of `submit`.
#[derive(Clone, Debug, Args)]
pub struct SubmitFlags {
    /// The job.toml; - reads standard input
    pub file: PathBuf,
    /// Follow the job until it streams
    #[arg(long)]
    pub wait: bool,
    /// Longest wait; the job goes on after it
    #[arg(long, default_value = "10m", value_parser = duration, requires = "wait", value_name = "TIME")]
    pub timeout: Duration,
    /// Make the next version when the job exists with another content
    #[arg(long)]
    pub update: bool,
    /// Only when the present version is this one
    #[arg(long, requires = "update", value_name = "N")]
    pub expect_version: Option<u64>,
    /// Resume from progress that another cluster or an earlier life left in the target; ends its owner
    #[arg(long)]
    pub adopt: bool,
    /// Take a new job without looking at its databases first
    #[arg(long)]
    pub no_check: bool,
}

/// Flags of `start` and `join`. None: not given, so environment, cluster.toml or default decide.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct NodeFlags {
    /// The cluster.toml
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Name of this peer; default: the host name
    #[arg(long)]
    pub name: Option<String>,
    /// Its datacenter
    #[arg(long)]
    pub datacenter: Option<String>,
    /// Its class, for ${node.class}
    #[arg(long)]
    pub class: Option<String>,
    /// A tag, for ${meta.KEY}; may be repeated
    #[arg(long, value_parser = key_value, value_name = "KEY=VALUE")]
    pub meta: Vec<(String, String)>,
    /// Where it keeps its identity and the job table
    #[arg(long, value_name = "FOLDER")]
    pub data_dir: Option<PathBuf>,
    /// UDP address for other peers
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<String>,
    /// What other peers are told, when it differs
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub advertise: Option<String>,
    /// TCP address of the shell; loopback only
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub admin: Option<String>,
    /// TCP address of the HTTP door; loopback only
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub http: Option<String>,
    /// The cluster's key
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_time(text).ok_or_else(|| format!("`{text}` is not a time, expected one like `30 s` or `10m`"))
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("`{text}` is not KEY=VALUE, expected one like `rack=r1`")),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_flags_may_stand_anywhere() {
        for words in [["peer", "--json", "status", "orders"], ["peer", "status", "orders", "--json"]] {
            assert!(Cli::try_parse_from(words).expect("good").json);
        }
    }

    #[test]
    fn join_wants_a_seed_and_takes_several() {
        assert!(Cli::try_parse_from(["peer", "join"]).is_err());
        let cli = Cli::try_parse_from(["peer", "join", "--seed", "a", "--seed", "b:1", "--meta", "rack=r1"]).expect("good");
        let CliCommand::Join { seeds, flags } = cli.command else {
            panic!("not a join")
        };
        assert_eq!(seeds, ["a", "b:1"]);
        assert_eq!(flags.meta, [("rack".to_owned(), "r1".to_owned())]);
    }

    #[test]
    fn the_wait_has_a_time_people_write() {
        let cli = Cli::try_parse_from(["peer", "submit", "f", "--wait", "--timeout", "90s"]).expect("good");
        let CliCommand::Submit(flags) = cli.command else {
            panic!("not a submit")
        };
        assert_eq!(flags.timeout, Duration::from_secs(90));
        assert!(Cli::try_parse_from(["peer", "submit", "f", "--wait", "--timeout", "soon"]).is_err());
    }
}
