//! run.json.
