//! cluster.toml, with flags and PEER_* over it, to a valid `Config`.
//!
//! Read once by `node.rs` at start. The order is flags, environment, file, defaults; every fault of every layer is
//! reported at once. The only IO is reading the file and the host's name.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::config::cluster_rules as rules;
use crate::config::document::{Found, Section, parse};
use crate::config::fault_list::{CLUSTER, FaultList};
use crate::config::flags::{Override, Overrides};
use crate::core::fault::{Fault, Faults};
use crate::core::size::{RATE_FORM, SIZE_FORM, parse_rate, parse_size, show_size};

/// Bounds of `limits.memory`. Below, one data frame (16 MiB) would not fit; above is a slip of the unit.
const MEMORY_BYTES: (u64, u64) = (16 << 20, 1 << 40);
/// Bounds of `peer.capacity`. The upper one is a guess.
const CAPACITY: (u64, u64) = (1, 10_000);

/// How this peer is set up. Every value is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Peers of a cluster of another name are refused.
    pub cluster_name: String,
    /// `HOST:PORT` each, contacted for ever.
    pub seeds: Vec<String>,
    /// Where `cluster.key` is.
    pub key_file: PathBuf,
    /// Nobody named the key file: `start` may make it.
    pub is_key_file_default: bool,
    /// Label of this peer.
    pub name: String,
    /// Its site.
    pub datacenter: String,
    /// Free word; empty: none.
    pub class: String,
    /// Free tags.
    pub meta: BTreeMap<String, String>,
    /// Identity, job table, spill.
    pub data_dir: PathBuf,
    /// Most tasks it takes.
    pub capacity: u32,
    /// UDP address of the QUIC endpoint.
    pub listen_peer: SocketAddr,
    /// TCP address of the admin shell; loopback.
    pub listen_admin: SocketAddr,
    /// TCP address of the HTTP door; loopback.
    pub listen_http: SocketAddr,
    /// Where others reach the endpoint when it differs from `listen_peer`.
    pub advertise_peer: Option<SocketAddr>,
    /// Bytes of changes in flight in this process.
    pub memory_bytes: u64,
    /// Bytes per second to each other datacenter; 0: no limit.
    pub link_rate_bytes: u64,
    /// Congestion control keeps `link_rate_bytes` whatever single packets are lost; else Cubic.
    pub is_link_capped: bool,
}

/// Reads the file, if any, and puts the overrides on top. `overrides` is flags over environment.
pub fn load_cluster(path: Option<&Path>, overrides: &Overrides) -> Result<Config, Faults> {
    let text = match path {
        None => String::new(),
        Some(path) => std::fs::read_to_string(path).map_err(|error| {
            let object = format!("`{}`", path.display());
            let fix = "name the file with --config, or leave it out";
            Faults::from(Fault::new(
                "PEER1007",
                object,
                error.to_string(),
                "a readable file in UTF-8",
                fix,
            ))
        })?,
    };
    // An empty parent is the working directory.
    let folder = path.and_then(Path::parent);
    parse_cluster(&text, folder, overrides, &host_name())
}

/// The same from a text; `folder` is where the file is, `host_name` the default name.
pub fn parse_cluster(text: &str, folder: Option<&Path>, overrides: &Overrides, host_name: &str) -> Result<Config, Faults> {
    let (table, mut faults) = parse(text, CLUSTER);
    let root = Section::root(&table, &["cluster", "peer", "listen", "advertise", "limits"], &mut faults);
    let mut reader = Reader {
        folder,
        overrides,
        faults,
    };
    let config = reader.config(&root, host_name);
    reader.faults.finish(config)
}

/// The kernel's name of this host; `peer` when it has none.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "peer".to_owned() } else { name.to_owned() }
}

struct Reader<'o> {
    folder: Option<&'o Path>,
    overrides: &'o Overrides,
    faults: FaultList,
}

impl Reader<'_> {
    fn config(&mut self, root: &Section<'_, '_>, host_name: &str) -> Option<Config> {
        let overrides = self.overrides;
        let cluster = root.section("cluster", &["name", "seeds", "key_file"], &mut self.faults);
        let known = ["name", "datacenter", "class", "meta", "data_dir", "capacity"];
        let peer = root.section("peer", &known, &mut self.faults);
        let listen = root.section("listen", &["peer", "admin", "http"], &mut self.faults);
        let advertise = root.section("advertise", &["peer"], &mut self.faults);
        let limits = root.section("limits", &["memory", "link_rate", "congestion"], &mut self.faults);

        let cluster_name = self.label(&cluster, "name", None, "default");
        let name = self.label(&peer, "name", overrides.name.as_ref(), host_name);
        let datacenter = self.label(&peer, "datacenter", overrides.datacenter.as_ref(), "dc1");
        let class = self.label(&peer, "class", overrides.class.as_ref(), "");
        let data_dir = self
            .path(&peer, "data_dir", overrides.data_dir.as_ref())
            .unwrap_or_else(|| self.beside_file("data".into()));
        let key_file = self.path(&cluster, "key_file", overrides.key_file.as_ref());
        let listen_peer = self.address(&listen, "peer", overrides.listen.as_ref(), "0.0.0.0:7420");
        let listen_admin = self.address(&listen, "admin", overrides.admin.as_ref(), "127.0.0.1:7421");
        let listen_http = self.address(&listen, "http", overrides.http.as_ref(), "127.0.0.1:7422");
        let advertise_peer = self.advertise(&advertise);
        self.loopback(&listen, "admin", overrides.admin.as_ref(), listen_admin);
        self.loopback(&listen, "http", overrides.http.as_ref(), listen_http);
        self.two_doors(&listen, listen_admin, listen_http);
        let (seeds, meta, capacity) = (self.seeds(&cluster), self.meta(&peer), self.capacity(&peer));
        let memory_bytes = self.memory(&limits);
        let link_rate = limits.unit("link_rate", parse_rate, RATE_FORM, "20 MB/s", &mut self.faults);
        let link_rate_bytes = link_rate.map_or(0, |found| found.value);
        let is_link_capped = self.is_link_capped(&limits, link_rate_bytes);
        Some(Config {
            cluster_name: cluster_name?,
            seeds,
            is_key_file_default: key_file.is_none(),
            key_file: key_file.unwrap_or_else(|| data_dir.join("cluster.key")),
            name: name?,
            datacenter: datacenter?,
            class: class?,
            meta,
            data_dir,
            capacity,
            listen_peer: listen_peer?,
            listen_admin: listen_admin?,
            listen_http: listen_http?,
            advertise_peer,
            memory_bytes,
            link_rate_bytes,
            is_link_capped,
        })
    }

    fn is_link_capped(&mut self, limits: &Section<'_, '_>, rate: u64) -> bool {
        let found = limits.word("congestion", &["cubic", "capped"], &mut self.faults);
        let capped = found.filter(|found| found.value == "capped");
        if let Some(place) = capped.as_ref().filter(|_| rate == 0) {
            let expected = "`cubic`, or a link_rate: it is the rate that is kept";
            self.faults.value(
                place,
                "`capped` without a link_rate",
                expected,
                "write link_rate = \"20 MB/s\", the rate of the line",
            );
        }
        capped.is_some()
    }

    /// Takes the override, else the file's text, each with its place for faults.
    fn text(&mut self, section: &Section<'_, '_>, key: &str, over: Option<&Override>, example: &str) -> Option<Found<String>> {
        let of_file = section.text(key, example, &mut self.faults);
        match over {
            Some(over) => Some(Found {
                value: over.text.clone(),
                key: over.origin.clone(),
                at: FaultList::OUTSIDE,
            }),
            None => of_file,
        }
    }

    fn label(&mut self, section: &Section<'_, '_>, key: &str, over: Option<&Override>, default: &str) -> Option<String> {
        let example = if default.is_empty() { "big" } else { default };
        let Some(found) = self.text(section, key, over, example) else {
            return Some(default.to_owned())
                .filter(|_| rules::is_label(default) || default.is_empty())
                .or_else(|| {
                    let place = Found {
                        value: (),
                        key: format!("the host name as {}", section.full(key)),
                        at: FaultList::OUTSIDE,
                    };
                    self.faults
                        .value(&place, &format!("`{default}`"), rules::LABEL_FORM, "give --name");
                    None
                });
        };
        let may_be_empty = default.is_empty() && found.value.is_empty();
        if !rules::is_label(&found.value) && !may_be_empty {
            let fix = format!("{key} = \"{example}\"");
            self.faults
                .value(&found, &format!("`{}`", found.value), rules::LABEL_FORM, &fix);
        }
        Some(found.value)
    }

    fn path(&mut self, section: &Section<'_, '_>, key: &str, over: Option<&Override>) -> Option<PathBuf> {
        let found = self.text(section, key, over, key)?;
        if found.value.is_empty() {
            self.faults
                .value(&found, "an empty string", "a path", &format!("{key} = \"/var/lib/peer\""));
        }
        let path = PathBuf::from(&found.value);
        // What the file says is relative to the file; what is typed, to where it is typed.
        Some(if over.is_some() { path } else { self.beside_file(path) })
    }

    fn beside_file(&self, path: PathBuf) -> PathBuf {
        match self.folder {
            Some(folder) => folder.join(path),
            None => path,
        }
    }

    fn address(&mut self, section: &Section<'_, '_>, key: &str, over: Option<&Override>, default: &str) -> Option<SocketAddr> {
        let Some(found) = self.text(section, key, over, default) else {
            return Some(default.parse().expect("the default is an address"));
        };
        let address = rules::address(&found.value);
        if address.is_none() {
            let fix = format!("{key} = \"{default}\"");
            self.faults
                .value(&found, &format!("`{}`", found.value), "an address and port, IP:PORT", &fix);
        }
        address
    }

    fn advertise(&mut self, section: &Section<'_, '_>) -> Option<SocketAddr> {
        let over = self.overrides.advertise.as_ref();
        let found = self.text(section, "peer", over, "203.0.113.7:7420")?;
        let address = rules::address(&found.value).filter(|address| !address.ip().is_unspecified() && address.port() != 0);
        if address.is_none() {
            let expected = "an address that others can reach, with a port";
            self.faults
                .value(&found, &format!("`{}`", found.value), expected, "peer = \"203.0.113.7:7420\"");
        }
        address
    }

    /// Until tokens exist, whoever reaches these doors may do everything.
    fn loopback(&mut self, section: &Section<'_, '_>, key: &str, over: Option<&Override>, address: Option<SocketAddr>) {
        let Some(address) = address.filter(|address| !address.ip().is_loopback()) else {
            return;
        };
        if let Some(place) = self.text(section, key, over, "") {
            let expected = "a loopback address; other doors need tokens: not yet in this version";
            let fix = format!("{key} = \"127.0.0.1:{}\"", address.port());
            self.faults.value(&place, &format!("`{address}`"), expected, &fix);
        }
    }

    fn two_doors(&mut self, listen: &Section<'_, '_>, admin: Option<SocketAddr>, http: Option<SocketAddr>) {
        if admin.is_some() && admin == http && admin.is_some_and(|address| address.port() != 0) {
            let at = listen.key_at("http").or(listen.key_at("admin")).unwrap_or(FaultList::OUTSIDE);
            let place = Found {
                value: (),
                key: "listen.http".into(),
                at,
            };
            self.faults.value(
                &place,
                "the address of listen.admin",
                "an address of its own",
                "http = \"127.0.0.1:7422\"",
            );
        }
    }

    fn seeds(&mut self, section: &Section<'_, '_>) -> Vec<String> {
        let mut all = section.texts("seeds", "10.0.0.1:7420", &mut self.faults).unwrap_or_default();
        let typed = self.overrides.seeds.iter();
        all.extend(typed.map(|over| Found {
            value: over.text.clone(),
            key: over.origin.clone(),
            at: FaultList::OUTSIDE,
        }));
        let mut seeds = Vec::new();
        for found in all {
            match rules::seed(&found.value) {
                Some(seed) if seeds.contains(&seed) => {}
                Some(seed) => seeds.push(seed),
                None => {
                    let shown = format!("`{}`", found.value);
                    self.faults
                        .value(&found, &shown, "HOST or HOST:PORT", "seeds = [\"10.0.0.1:7420\"]");
                }
            }
        }
        seeds
    }

    fn meta(&mut self, section: &Section<'_, '_>) -> BTreeMap<String, String> {
        let mut all = section
            .text_map("meta", "{ rack = \"r1\" }", &mut self.faults)
            .unwrap_or_default();
        for over in &self.overrides.meta {
            let found = |value: &str| Found {
                value: value.to_owned(),
                key: over.origin.clone(),
                at: FaultList::OUTSIDE,
            };
            match over.text.split_once('=') {
                Some((key, value)) => drop(all.insert(key.to_owned(), found(value))),
                None => self
                    .faults
                    .value(&found(""), &format!("`{}`", over.text), "KEY=VALUE", "--meta rack=r1"),
            }
        }
        let total: usize = all.iter().map(|(key, found)| key.len() + found.value.len()).sum();
        if let Some(found) = all.values().next().filter(|_| total > rules::META_BYTES_MAX) {
            let expected = format!(
                "at most {} together: they travel in each gossip round",
                show_size(rules::META_BYTES_MAX as u64)
            );
            self.faults
                .value(found, &format!("tags of {total} bytes"), &expected, "shorten the tags");
        }
        for (key, found) in &all {
            if !rules::is_meta_key(key) || found.value.chars().any(char::is_control) {
                let expected = "a key of letters, digits, ., _ and -, a value without control characters";
                self.faults.value(
                    found,
                    &format!("`{}`", key.escape_debug()),
                    expected,
                    "meta = { rack = \"r1\" }",
                );
            }
        }
        all.into_iter().map(|(key, found)| (key, found.value)).collect()
    }

    fn capacity(&mut self, section: &Section<'_, '_>) -> u32 {
        let found = section.number("capacity", CAPACITY, 64, &mut self.faults);
        found.map_or(64, |found| u32::try_from(found.value).expect("the bounds were checked"))
    }

    fn memory(&mut self, section: &Section<'_, '_>) -> u64 {
        let expected = format!(
            "{SIZE_FORM}, from {} to {}",
            show_size(MEMORY_BYTES.0),
            show_size(MEMORY_BYTES.1)
        );
        let parse = |text: &str| parse_size(text).filter(|bytes| (MEMORY_BYTES.0..=MEMORY_BYTES.1).contains(bytes));
        section
            .unit("memory", parse, &expected, "64 MiB", &mut self.faults)
            .map_or(64 << 20, |found| found.value)
    }
}

#[cfg(test)]
#[path = "cluster_tests.rs"]
mod tests;
