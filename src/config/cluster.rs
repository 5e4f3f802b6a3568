//! cluster.toml to a valid Config.
