//! Runs one command of the command line and ends with its exit code.
//!
//! Fed by `main`; asks a peer through `client`, prints through `admin::render`. Data on stdout, talk on stderr.

use std::io::{BufRead, IsTerminal, Read, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use serde::de::DeserializeOwned;

use crate::admin::cluster::JOB_TEXT_BYTES_MAX;
use crate::admin::command::Answer;
use crate::admin::parse::{NOT_YET, job_name, peer_name};
use crate::admin::refusal::Refusal;
use crate::admin::render;
use crate::admin::views::{ChangeView, CheckView, PeerChangeView, PlanView, StatusView, SubmitView, VersionView};
use crate::cli::args::{Cli, CliCommand, SubmitFlags};
use crate::cli::client::{Answered, Client};
use crate::cli::failure::{EXIT_FAILED, Failure};
use crate::cli::out;
use crate::cli::{help, shell, watch};
use crate::core::fault::Faults;
use crate::node::{self, Mode, NodeOptions};
use crate::transport::key::{ClusterKey, KeyError};

/// Reads the arguments, runs the command, prints what failed. Wrong usage ends in clap with exit code 2.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match command(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print(cli.json);
            ExitCode::from(failure.exit)
        }
    }
}

fn command(cli: &Cli) -> Result<(), Failure> {
    let asker = Asker {
        client: Client::new(&cli.address),
        is_json: cli.json,
    };
    match &cli.command {
        CliCommand::Members => asker.get("/v1/members", Answer::Members),
        CliCommand::Jobs => asker.get("/v1/jobs", Answer::Jobs),
        CliCommand::Status(job) => asker.get(&job_path(&job.job, "")?, |view: StatusView| Answer::Status(Box::new(view))),
        CliCommand::Submit(flags) => submit(&asker, flags),
        CliCommand::Set { job, settings } => asker.write(&job_path(job, "/set")?, &settings.join("\n")),
        CliCommand::History(job) => asker.get(&job_path(&job.job, "/history")?, Answer::History),
        CliCommand::Conflicts(job) => asker.get(&job_path(&job.job, "/conflicts")?, Answer::Conflicts),
        CliCommand::Skip { job, gtid, reason } => {
            let body = serde_json::json!({ "gtid": gtid, "reason": reason }).to_string();
            asker.tell(&job_path(job, "/skip")?, &body)
        }
        CliCommand::Revert { job, version } => asker.write(&job_path(job, &format!("/revert?version={version}"))?, ""),
        CliCommand::Plan { file } => plan(&asker, file),
        CliCommand::Check { file } => check(&asker, file),
        CliCommand::Pause(job) => asker.act(&job_path(&job.job, "/pause")?),
        CliCommand::Resume(job) => asker.act(&job_path(&job.job, "/resume")?),
        CliCommand::Stop { job, fence: false } => asker.act(&job_path(job, "/stop")?),
        CliCommand::Stop { job, fence: true } => asker.act(&job_path(job, "/stop?fence=true")?),
        CliCommand::Restart(job) => asker.act(&job_path(&job.job, "/restart")?),
        CliCommand::Purge { job, yes, target } => purge(&asker, job, *yes, *target),
        CliCommand::Drain(named) => asker.act_on_peer(&format!("/v1/members/{}/drain", peer_name(&named.peer)?)),
        CliCommand::Undrain(named) => asker.act_on_peer(&format!("/v1/members/{}/undrain", peer_name(&named.peer)?)),
        CliCommand::Leave { peer, restart } => asker.act_on_peer(&leave_path(peer.as_deref(), *restart)?),
        CliCommand::Shell { admin } => shell::run(admin),
        CliCommand::Keygen { out } => keygen(out, cli.json),
        CliCommand::Start(flags) => node::run(NodeOptions {
            mode: Mode::Start,
            flags: flags.clone(),
        }),
        CliCommand::Join { seeds, flags } => node::run(NodeOptions {
            mode: Mode::Join { seeds: seeds.clone() },
            flags: flags.clone(),
        }),
        CliCommand::Version => {
            let version = env!("CARGO_PKG_VERSION").to_owned();
            version_of(
                VersionView {
                    version,
                    name: None,
                    id: None,
                    cluster: None,
                },
                cli.json,
            );
            Ok(())
        }
        CliCommand::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "peer", &mut text);
            out::put(&String::from_utf8_lossy(&text));
            Ok(())
        }
        CliCommand::Help { command } => help_on(command.as_deref()),
        CliCommand::Other(words) => Err(other(words)),
    }
}

fn leave_path(peer: Option<&str>, is_restart: bool) -> Result<String, Failure> {
    let query = if is_restart { "?restart=true" } else { "" };
    Ok(match peer {
        Some(name) => format!("/v1/members/{}/leave{query}", peer_name(name)?),
        None => format!("/v1/leave{query}"),
    })
}

/// Asks and prints.
struct Asker {
    client: Client,
    is_json: bool,
}

impl Asker {
    fn get<T: DeserializeOwned>(&self, path: &str, wrap: impl FnOnce(T) -> Answer) -> Result<(), Failure> {
        let answered = self.client.get(path)?;
        self.print(answered, wrap);
        Ok(())
    }

    fn act(&self, path: &str) -> Result<(), Failure> {
        self.tell(path, "")
    }

    fn tell(&self, path: &str, body: &str) -> Result<(), Failure> {
        let answered = self.client.post::<ChangeView>(path, body)?;
        self.print(answered, Answer::Change);
        Ok(())
    }

    fn write(&self, path: &str, body: &str) -> Result<(), Failure> {
        let answered = self.client.post::<SubmitView>(path, body)?;
        self.print(answered, Answer::Submit);
        Ok(())
    }

    fn act_on_peer(&self, path: &str) -> Result<(), Failure> {
        let answered = self.client.post::<PeerChangeView>(path, "")?;
        self.print(answered, Answer::Peer);
        Ok(())
    }

    /// JSON goes out as it came: a newer peer's fields are kept.
    fn print<T>(&self, answered: Answered<T>, wrap: impl FnOnce(T) -> Answer) {
        if self.is_json {
            out::line(answered.text.trim_end());
        } else {
            out::put(&render::answer(&wrap(answered.view), render::WIDTH_DEFAULT));
        }
    }
}

fn job_path(name: &str, action: &str) -> Result<String, Failure> {
    Ok(format!("/v1/jobs/{}{action}", job_name(name)?))
}

fn submit(asker: &Asker, flags: &SubmitFlags) -> Result<(), Failure> {
    let text = job_text(&flags.file)?;
    let mut path = format!("/v1/jobs?update={}", flags.update);
    if let Some(version) = flags.expect_version {
        path.push_str(&format!("&expect_version={version}"));
    }
    if flags.adopt {
        path.push_str("&adopt=true");
    }
    if flags.no_check {
        path.push_str("&check=false");
    }
    let answered = asker.client.post_checked::<SubmitView>(&path, &text)?;
    if !flags.wait {
        asker.print(answered, Answer::Submit);
        return Ok(());
    }
    let submitted = answered.view;
    eprint!(
        "{}",
        render::answer(&Answer::Submit(submitted.clone()), render::WIDTH_DEFAULT)
    );
    watch::follow(&asker.client, &submitted, flags.timeout, asker.is_json)
}

/// An update that would be refused is a failure, and its plan is shown all the same.
fn plan(asker: &Asker, file: &Path) -> Result<(), Failure> {
    let answered = asker.client.post::<PlanView>("/v1/plan", &job_text(file)?)?;
    let faults = answered.view.faults.clone();
    asker.print(answered, |view| Answer::Plan(Box::new(view)));
    if faults.is_empty() {
        return Ok(());
    }
    let mut failure = Failure::new(EXIT_FAILED, Faults(faults));
    failure.is_answered = true;
    Err(failure)
}

/// The answer tells what fails; the exit code says that something does.
fn check(asker: &Asker, file: &Path) -> Result<(), Failure> {
    let answered = asker.client.post_checked::<CheckView>("/v1/check", &job_text(file)?)?;
    let is_ok = answered.view.ok;
    asker.print(answered, Answer::Check);
    if is_ok {
        return Ok(());
    }
    let mut failure = Failure::new(EXIT_FAILED, Faults::default());
    failure.is_answered = true;
    Err(failure)
}

/// Reads at most one byte more than a job may have: the size is then refused here, with the file's name.
fn job_text(path: &Path) -> Result<String, Failure> {
    let what = format!("file `{}`", path.display());
    let refuse = |found: &str| {
        Failure::local(
            &what,
            found,
            "a job.toml of at most 256 KiB that can be read",
            "check the path: peer submit FILE",
        )
    };
    let mut bytes = Vec::new();
    let limit = JOB_TEXT_BYTES_MAX as u64 + 1;
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(limit).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes))
    };
    read.map_err(|error| refuse(&error.to_string()))?;
    if bytes.len() > JOB_TEXT_BYTES_MAX {
        return Err(refuse(&format!("more than {JOB_TEXT_BYTES_MAX} bytes")));
    }
    String::from_utf8(bytes).map_err(|error| refuse(&error.to_string()))
}

fn purge(asker: &Asker, job: &str, is_confirmed: bool, is_target: bool) -> Result<(), Failure> {
    let path = job_path(job, if is_target { "?target=true" } else { "" })?;
    if !is_confirmed && !asks_yes(&format!("forget job `{job}` and its progress on the target? [y/N] "))? {
        return Err(Failure::local(
            &format!("purge of `{job}`"),
            "not confirmed; nothing was changed",
            "y",
            "answer y, or add --yes",
        ));
    }
    let answered = asker.client.delete::<ChangeView>(&path)?;
    asker.print(answered, Answer::Change);
    Ok(())
}

fn asks_yes(question: &str) -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage(
            "purge",
            "nobody to ask: standard input is not a terminal",
            "`peer purge JOB --yes`",
            "add --yes",
        ));
    }
    eprint!("{question}");
    let mut line = String::new();
    let read = std::io::stderr()
        .flush()
        .and_then(|()| std::io::stdin().lock().read_line(&mut line));
    read.map_err(|error| Failure::local("answer", &error.to_string(), "y or n", "add --yes"))?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}

fn keygen(path: &Path, is_json: bool) -> Result<(), Failure> {
    let fault = |error: KeyError| Failure::new(EXIT_FAILED, error.fault());
    let key = ClusterKey::generate().map_err(fault)?;
    key.save(path).map_err(fault)?;
    if is_json {
        out::line(&serde_json::json!({ "key_file": path, "cluster_id": key.cluster_id() }).to_string());
    } else {
        out::line(&path.display().to_string());
        eprintln!("copy it to every peer of the cluster; whoever has it can join and read everything");
    }
    Ok(())
}

fn version_of(view: VersionView, is_json: bool) {
    if is_json {
        out::line(&serde_json::to_string(&view).expect("strings always serialize"));
    } else {
        out::line(&format!("peer {}", view.version));
    }
}

fn help_on(command: Option<&str>) -> Result<(), Failure> {
    let Some(name) = command else {
        out::put(help::HELP);
        return Ok(());
    };
    let mut root = Cli::command();
    root.build();
    let found = root.find_subcommand_mut(name);
    let mut text = found
        .map(|sub| sub.render_long_help())
        .ok_or_else(|| other(&[name.to_owned()]))?
        .to_string();
    text.push('\n');
    out::put(&text.to_string());
    Ok(())
}

fn other(words: &[String]) -> Failure {
    let name = words.first().map(String::as_str).unwrap_or_default();
    if NOT_YET.contains(&name) {
        return Refusal::not_yet(name).into();
    }
    Failure::usage(
        &format!("`{name}`"),
        "no such command",
        "a command of peer",
        "`peer help` lists them",
    )
}
