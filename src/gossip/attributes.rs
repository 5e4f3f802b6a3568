//! What this machine is: the fingerprinted attributes that constraints ask about as `attr.<key>`.
//!
//! Read once at start by `node`, from /proc, /etc/os-release and the standard library; published by `membership`. A fact that
//! cannot be read is left out, and a constraint on it does not hold.

use std::collections::BTreeMap;
use std::fs;

/// Returns the attributes of this machine and program, without `attr.` before them.
#[must_use]
pub fn fingerprint() -> BTreeMap<String, String> {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let cores = std::thread::available_parallelism().ok().map(|cores| cores.to_string());
    let facts = [
        ("cpu.arch", Some(cpu_arch(std::env::consts::ARCH).to_owned())),
        ("cpu.numcores", cores),
        ("kernel.arch", Some(std::env::consts::ARCH.to_owned())),
        ("kernel.name", kernel_fact("ostype").map(|name| name.to_lowercase())),
        ("kernel.version", kernel_fact("osrelease")),
        ("memory.totalbytes", total_bytes(&memory)),
        ("os.name", release_field(&release, "ID")),
        ("os.version", release_field(&release, "VERSION_ID")),
        ("peer.version", Some(env!("CARGO_PKG_VERSION").to_owned())),
        ("unique.hostname", kernel_fact("hostname")),
    ];
    let known = facts.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    known.filter(|(_, value)| !value.is_empty()).collect()
}

fn kernel_fact(name: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/sys/kernel/{name}")).ok()?;
    Some(text.trim().to_owned())
}

/// Returns the word that Nomad job files use for a processor.
fn cpu_arch(rust_name: &str) -> &str {
    match rust_name {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    }
}

/// Reads `MemTotal:  8123456 kB`.
fn total_bytes(meminfo: &str) -> Option<String> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some((kib * 1024).to_string())
}

/// Reads `ID=ubuntu` or `VERSION_ID="22.04"`.
fn release_field(release: &str, field: &str) -> Option<String> {
    let value = release.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix('='))?;
    Some(value.trim().trim_matches(['"', '\'']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linux_machine_has_all_its_facts() {
        let found = fingerprint();
        for key in [
            "cpu.arch",
            "cpu.numcores",
            "kernel.version",
            "memory.totalbytes",
            "unique.hostname",
        ] {
            assert!(found.contains_key(key), "{key} is missing in {found:?}");
        }
        assert_eq!(found["kernel.name"], "linux");
        assert_eq!(found["peer.version"], env!("CARGO_PKG_VERSION"));
    }

    #[test]
    fn odd_files_give_no_fact_instead_of_a_wrong_one() {
        assert_eq!(total_bytes("MemFree: 1 kB\nMemTotal:       8 kB\n"), Some("8192".into()));
        assert_eq!(total_bytes("MemTotal: many kB"), None);
        let release = "PRETTY_NAME=\"x\"\nID_LIKE=debian\nID=ubuntu\nVERSION_ID=\"22.04\"\n";
        assert_eq!(release_field(release, "ID"), Some("ubuntu".into()));
        assert_eq!(release_field(release, "VERSION_ID"), Some("22.04".into()));
        assert_eq!(release_field("", "ID"), None);
    }
}
