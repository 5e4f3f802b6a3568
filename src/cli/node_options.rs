//! What the command line says about the peer to run: from `start` or `join` to `node::run`.
//!
//! Flags stand over PEER_* variables here; `config::load_cluster` puts both over cluster.toml and checks everything.

use std::path::PathBuf;

use crate::cli::args::NodeFlags;
use crate::config::flags::{Override, Overrides};

/// How a peer is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// `peer start`: makes a key in data_dir when there is none.
    Start,
    /// `peer join`: needs a key; the overrides hold at least one seed.
    Join,
}

/// The peer to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeOptions {
    /// Start or join.
    pub mode: Mode,
    /// `--config`, or PEER_CONFIG.
    pub config: Option<PathBuf>,
    /// Flags over environment.
    pub overrides: Overrides,
}

impl NodeOptions {
    /// Joins flags and environment; `lookup` reads the environment.
    pub fn new(mode: Mode, flags: &NodeFlags, seeds: &[String], lookup: impl Fn(&str) -> Option<String>) -> Self {
        let config = flags
            .config
            .clone()
            .or_else(|| lookup("PEER_CONFIG").filter(|text| !text.is_empty()).map(PathBuf::from));
        Self {
            mode,
            config,
            overrides: overrides(flags, seeds).over(Overrides::from_env(lookup)),
        }
    }
}

fn overrides(flags: &NodeFlags, seeds: &[String]) -> Overrides {
    let one = |name: &str, text: &Option<String>| text.as_ref().map(|text| Override::flag(name, text.as_str()));
    let path = |name: &str, path: &Option<PathBuf>| path.as_ref().map(|path| Override::flag(name, path.to_string_lossy()));
    Overrides {
        name: one("name", &flags.name),
        datacenter: one("datacenter", &flags.datacenter),
        class: one("class", &flags.class),
        meta: flags.meta.iter().map(|text| Override::flag("meta", text.as_str())).collect(),
        data_dir: path("data-dir", &flags.data_dir),
        listen: one("listen", &flags.listen),
        advertise: one("advertise", &flags.advertise),
        admin: one("admin", &flags.admin),
        http: one("http", &flags.http),
        key_file: path("key-file", &flags.key_file),
        seeds: seeds.iter().map(|text| Override::flag("seed", text.as_str())).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_stands_over_its_variable() {
        let flags = NodeFlags {
            name: Some("sh-1".into()),
            ..NodeFlags::default()
        };
        let lookup = |name: &str| match name {
            "PEER_NAME" => Some("from-env".into()),
            "PEER_DATACENTER" => Some("shanghai".into()),
            "PEER_CONFIG" => Some("cluster.toml".into()),
            _ => None,
        };
        let options = NodeOptions::new(Mode::Join, &flags, &["10.0.0.1".into()], lookup);
        assert_eq!(options.config, Some(PathBuf::from("cluster.toml")));
        let text = |o: &Option<Override>| o.as_ref().map(|o| (o.origin.clone(), o.text.clone()));
        assert_eq!(text(&options.overrides.name), Some(("--name".into(), "sh-1".into())));
        assert_eq!(
            text(&options.overrides.datacenter),
            Some(("PEER_DATACENTER".into(), "shanghai".into()))
        );
        assert_eq!(options.overrides.seeds, [Override::flag("seed", "10.0.0.1")]);
    }
}
