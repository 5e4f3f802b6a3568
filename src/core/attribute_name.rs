//! The names that may stand in `${…}`: ours, and Nomad's for the same facts.
//!
//! `config` refuses a name that no peer publishes; `core::constraint` reads a name as the one it stands for. A peer that
//! evaluates does not refuse: a newer peer may publish a fact that this one has never heard of.

/// Facts that a peer publishes, each under its one full name.
const KNOWN: [&str; 14] = [
    "node.unique.id",
    "node.unique.name",
    "node.datacenter",
    "node.class",
    "attr.cpu.arch",
    "attr.cpu.numcores",
    "attr.kernel.arch",
    "attr.kernel.name",
    "attr.kernel.version",
    "attr.memory.totalbytes",
    "attr.os.name",
    "attr.os.version",
    "attr.peer.version",
    "attr.unique.hostname",
];

/// Other spellings, each with the name it stands for.
const ALIASES: [(&str, &str); 4] = [
    ("node.id", "node.unique.id"),
    ("node.name", "node.unique.name"),
    ("node.region", "node.datacenter"),
    ("attr.hostname", "attr.unique.hostname"),
];

/// Names that mean nothing here, Nomad's and one of the design's that nobody publishes, by their beginning, with what to write instead.
const FOREIGN: [(&str, &str); 4] = [
    ("attr.nomad.", "${attr.peer.version}"),
    (
        "attr.rtt.",
        "${node.datacenter}, or ${attr.reach.HOST:PORT} for a peer that reaches a database",
    ),
    ("node.pool", "${node.class}"),
    ("attr.unique.network.", "${attr.unique.hostname}"),
];

/// What a name may be; the `expected` of a fault.
pub const EXPECTED: &str = "node.unique.id, node.unique.name, node.datacenter, node.class, attr.cpu.arch, attr.cpu.numcores, \
     attr.kernel.arch, attr.kernel.name, attr.kernel.version, attr.memory.totalbytes, attr.os.name, attr.os.version, \
     attr.peer.version, attr.unique.hostname, attr.reach.HOST:PORT or meta.KEY";

/// Returns the one name that a name stands for; a name nobody knows stands for itself.
#[must_use]
pub fn canonical(name: &str) -> &str {
    ALIASES
        .iter()
        .find(|(alias, _)| *alias == name)
        .map_or(name, |(_, known)| *known)
}

/// Ok for a name that some peer may publish, else what to write instead.
pub fn check(name: &str) -> Result<(), &'static str> {
    let rest = |prefix: &str| name.strip_prefix(prefix).filter(|rest| !rest.is_empty());
    let is_known = KNOWN.contains(&canonical(name)) || rest("meta.").is_some() || rest("attr.reach.").is_some_and(is_address);
    if is_known {
        return Ok(());
    }
    let foreign = FOREIGN.iter().find(|(prefix, _)| name.starts_with(prefix));
    let fix = match foreign {
        Some((_, instead)) => instead,
        None if name.starts_with("attr.reach.") => "${attr.reach.10.0.0.9:3306}",
        None if name.starts_with("attr.") || name.starts_with("device.") => {
            "${meta.KEY}, with KEY under [peer.meta] in the cluster.toml of the peers that have it"
        }
        None => "${node.datacenter}",
    };
    Err(fix)
}

/// The address in `${attr.reach.<host:port>}`; None for any other text.
#[must_use]
pub fn reach_of(side: &str) -> Option<&str> {
    side.strip_prefix("${attr.reach.")?.strip_suffix('}')
}

/// `host:port`.
fn is_address(text: &str) -> bool {
    text.rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_alias_stands_for_a_known_name() {
        for (alias, known) in ALIASES {
            assert!(KNOWN.contains(&known), "{alias} stands for {known}");
            assert_eq!(canonical(alias), known);
            assert_eq!(check(alias), Ok(()));
        }
        for known in KNOWN {
            assert_eq!((canonical(known), check(known)), (known, Ok(())));
            assert!(EXPECTED.contains(known), "{known} is not told");
        }
    }

    #[test]
    fn families_of_names_need_their_last_part() {
        let good = ["meta.rack", "meta.a.b", "attr.reach.10.0.0.1:3306", "attr.reach.[::1]:3306"];
        let bad = [
            "meta.",
            "meta",
            "attr.rtt.",
            "attr.rtt.beijing",
            "attr.reach.",
            "attr.reach.host",
            "attr.reach.:1",
            "attr.reach.h:0",
            "attr.reach.h:x",
        ];
        for name in good {
            assert_eq!(check(name), Ok(()), "{name}");
        }
        for name in bad {
            assert!(check(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_name_of_nomad_without_meaning_here_is_refused_with_ours() {
        assert_eq!(check("attr.nomad.version"), Err("${attr.peer.version}"));
        assert_eq!(check("node.pool"), Err("${node.class}"));
        assert!(check("attr.driver.docker").is_err_and(|fix| fix.contains("meta.KEY")));
        assert_eq!(check("node.planet"), Err("${node.datacenter}"));
    }
}
