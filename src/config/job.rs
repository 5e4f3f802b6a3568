//! job.toml to a valid JobSpec.
