//! Real `peer` processes: started on free ports, asked through the command line, killed by their id.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::Value;

use super::guard;
use super::wait::until;

/// Peers that share one key; the first one starts the cluster, the others join through it.
pub struct TestCluster {
    folder: PathBuf,
    pub peers: Vec<TestPeer>,
}

pub struct TestPeer {
    pub name: String,
    args: Vec<String>,
    folder: PathBuf,
    variables: Vec<(String, String)>,
    child: Option<Child>,
}

impl TestCluster {
    /// A cluster with a fresh key and no peers.
    pub fn new(word: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let folder = guard::folder().join(format!("{word}-{}", COUNT.fetch_add(1, Ordering::Relaxed)));
        fs::create_dir_all(&folder).expect("folder of the cluster");
        let output = peer_command()
            .args(["keygen", "--out"])
            .arg(folder.join("cluster.key"))
            .output()
            .expect("keygen runs");
        assert!(
            output.status.success(),
            "keygen failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Self {
            folder,
            peers: Vec::new(),
        }
    }

    /// Three peers in two sites, as the demo has them.
    pub fn two_sites(word: &str) -> Self {
        let mut cluster = Self::new(word);
        cluster.add("sh-1", "shanghai", &[]);
        cluster.add("bj-1", "beijing", &[]);
        cluster.add("bj-2", "beijing", &[]);
        cluster.await_members(3);
        cluster
    }

    /// Two peers in each of the sites, so that either end of a job has where to go.
    pub fn two_by_two(word: &str) -> Self {
        let mut cluster = Self::new(word);
        for (name, site) in [
            ("sh-1", "shanghai"),
            ("sh-2", "shanghai"),
            ("bj-1", "beijing"),
            ("bj-2", "beijing"),
        ] {
            cluster.add(name, site, &[]);
        }
        cluster.await_members(4);
        cluster
    }

    pub fn key_file(&self) -> PathBuf {
        self.folder.join("cluster.key")
    }

    /// Starts one more peer and waits until it is ready.
    pub fn add(&mut self, name: &str, datacenter: &str, extra: &[&str]) -> &TestPeer {
        self.add_peer(name, datacenter, extra, &[])
    }

    /// The same for a peer that has these environment variables, which the others lack.
    pub fn add_knowing(&mut self, name: &str, datacenter: &str, variables: &[(&str, &str)]) -> &TestPeer {
        self.add_peer(name, datacenter, &[], variables)
    }

    fn add_peer(&mut self, name: &str, datacenter: &str, extra: &[&str], variables: &[(&str, &str)]) -> &TestPeer {
        let folder = self.folder.join(name);
        fs::create_dir_all(&folder).expect("folder of the peer");
        let mut args: Vec<String> = match self.peers.iter().find(|peer| peer.is_running()) {
            None => vec!["start".into()],
            Some(seed) => vec!["join".into(), "--seed".into(), seed.run_field("peer")],
        };
        let fixed = [
            ["--listen", "127.0.0.1:0"],
            ["--admin", "127.0.0.1:0"],
            ["--http", "127.0.0.1:0"],
        ];
        let wanted = fixed.iter().filter(|[flag, _]| !extra.contains(flag)).flatten();
        args.extend(
            wanted
                .chain(&["--name", name, "--datacenter", datacenter])
                .chain(extra)
                .map(|arg| (*arg).to_owned()),
        );
        args.extend(["--data-dir".into(), folder.join("data").display().to_string()]);
        args.extend(["--key-file".into(), self.key_file().display().to_string()]);
        let mut peer = TestPeer {
            name: name.to_owned(),
            args,
            folder,
            variables: variables
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            child: None,
        };
        peer.spawn();
        peer.await_ready();
        self.peers.push(peer);
        self.peers.last().expect("just pushed")
    }

    pub fn peer(&self, name: &str) -> &TestPeer {
        self.peers
            .iter()
            .find(|peer| peer.name == name)
            .unwrap_or_else(|| panic!("no peer {name}"))
    }

    pub fn peer_mut(&mut self, name: &str) -> &mut TestPeer {
        self.peers
            .iter_mut()
            .find(|peer| peer.name == name)
            .unwrap_or_else(|| panic!("no peer {name}"))
    }

    /// Any peer that runs.
    pub fn any(&self) -> &TestPeer {
        self.peers.iter().find(|peer| peer.is_running()).expect("a running peer")
    }

    /// SIGKILL to every peer.
    pub fn kill_all(&mut self) {
        self.peers.iter_mut().for_each(TestPeer::kill);
    }

    /// SIGKILL to every peer, then all start again; the first one needs nobody, the others join through it.
    pub fn restart_all(&mut self) {
        self.kill_all();
        let mut seed = None;
        for peer in &mut self.peers {
            peer.restart(seed.as_deref());
            seed.get_or_insert_with(|| peer.run_field("peer"));
        }
    }

    /// Waits until each running peer sees `count` live members.
    pub fn await_members(&self, count: usize) {
        for peer in self.peers.iter().filter(|peer| peer.is_running()) {
            until(
                &format!("{} sees {count} live members", peer.name),
                Duration::from_secs(15),
                || {
                    let seen = peer.json(&["members"]).ok()?;
                    let live = seen["members"]
                        .as_array()?
                        .iter()
                        .filter(|member| member["state"] == "alive")
                        .count();
                    (live == count).then_some(())
                },
            );
        }
    }
}

impl TestPeer {
    fn spawn(&mut self) {
        let _ = fs::remove_file(self.run_file());
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_file())
            .expect("log file");
        let child = peer_command()
            .args(&self.args)
            .envs(self.variables.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the peer starts");
        fs::write(pid_file(child.id()), child.id().to_string()).expect("pid file");
        self.child = Some(child);
    }

    fn await_ready(&mut self) {
        let run_file = self.run_file();
        let name = self.name.clone();
        let log = self.log_file();
        let child = self.child.as_mut().expect("spawned");
        until(&format!("{name} is ready"), Duration::from_secs(20), || {
            if let Some(status) = child.try_wait().expect("wait") {
                panic!("{name} ended with {status}: {}", fs::read_to_string(&log).unwrap_or_default());
            }
            fs::read_to_string(&run_file)
                .ok()
                .and_then(|text| serde_json::from_str::<Value>(&text).ok())
                .map(|_| ())
        });
    }

    pub fn run_file(&self) -> PathBuf {
        self.folder.join("data/run.json")
    }

    pub fn log_file(&self) -> PathBuf {
        self.folder.join("log")
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    pub fn is_running(&self) -> bool {
        self.child.is_some()
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("running").id()
    }

    /// A field of run.json: `peer`, `admin` or `http`.
    pub fn run_field(&self, field: &str) -> String {
        let text = fs::read_to_string(self.run_file()).expect("run.json");
        let run: Value = serde_json::from_str(&text).expect("run.json is JSON");
        run[field]
            .as_str()
            .unwrap_or_else(|| panic!("run.json has no {field}: {text}"))
            .to_owned()
    }

    /// Runs a command against this peer.
    pub fn cli(&self, args: &[&str]) -> Output {
        peer_command()
            .arg("--address")
            .arg(self.run_field("http"))
            .args(args)
            .output()
            .expect("the command runs")
    }

    /// Runs it with `--json`; Err holds exit code and both outputs.
    pub fn json(&self, args: &[&str]) -> Result<Value, String> {
        let output = self.cli(&[args, &["--json"]].concat());
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        let talk = || {
            format!(
                "{:?} {stdout} {}",
                output.status.code(),
                String::from_utf8_lossy(&output.stderr)
            )
        };
        if !output.status.success() {
            return Err(talk());
        }
        serde_json::from_str(&stdout).map_err(|e| format!("{e}: {}", talk()))
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
            forget(child.id());
        }
    }

    /// TERM, STOP or CONT.
    pub fn signal(&self, signal: &str) {
        let status = Command::new("kill")
            .arg(format!("-{signal}"))
            .arg(self.pid().to_string())
            .status()
            .expect("kill runs");
        assert!(status.success(), "kill -{signal} {} failed", self.pid());
    }

    /// SIGTERM, then waits for the end.
    pub fn terminate(&mut self) -> std::process::ExitStatus {
        self.signal("TERM");
        self.await_end()
    }

    /// Waits for the end of a peer that was told to end.
    pub fn await_end(&mut self) -> std::process::ExitStatus {
        let mut child = self.child.take().expect("running");
        let status = until(&format!("{} ends as it was told", self.name), Duration::from_secs(20), || {
            child.try_wait().expect("wait")
        });
        forget(child.id());
        status
    }

    /// Starts it again with the same arguments and data_dir (ports differ).
    pub fn restart(&mut self, seed: Option<&str>) {
        self.kill();
        if let Some(seed) = seed {
            self.args[0] = "join".into();
            match self.args.iter().position(|arg| arg == "--seed") {
                Some(at) => self.args[at + 1] = seed.into(),
                None => self.args.splice(1..1, ["--seed".into(), seed.into()]).for_each(drop),
            }
        }
        self.spawn();
        self.await_ready();
    }

    /// Resident memory in MiB.
    pub fn resident_mib(&self) -> u64 {
        self.memory_mib("VmRSS:")
    }

    /// The most it ever had.
    pub fn peak_mib(&self) -> u64 {
        self.memory_mib("VmHWM:")
    }

    fn memory_mib(&self, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("proc status");
        let line = status.lines().find(|line| line.starts_with(field)).expect(field);
        line.split_whitespace()
            .nth(1)
            .and_then(|kib| kib.parse::<u64>().ok())
            .expect("a number")
            / 1024
    }
}

fn pid_file(pid: u32) -> PathBuf {
    guard::folder().join(format!("{pid}.pid"))
}

/// The process is gone: its id may become another's, which the guard must not end.
fn forget(pid: u32) {
    let _ = fs::remove_file(pid_file(pid));
}

impl Drop for TestPeer {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!(
                "--- {} ---\n{}",
                self.name,
                lines[lines.len().saturating_sub(40)..].join("\n")
            );
        }
        self.kill();
    }
}

/// The binary under test; `PEER_TEST_BINARY` names another build of it.
pub fn peer_command() -> Command {
    let built = Path::new(env!("CARGO_BIN_EXE_peer")).to_owned();
    let mut command = Command::new(std::env::var_os("PEER_TEST_BINARY").map_or(built, PathBuf::from));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PEER_")) {
        command.env_remove(name);
    }
    command.env("PEER_LOG", "peer=debug,info");
    command
}
