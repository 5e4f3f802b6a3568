//! Job files as tests need them.

use super::schema::TestSchema;
use super::servers::servers;

/// A foundation job over tables of one schema, source in `shanghai`, sink in `beijing`.
pub struct JobFile {
    pub name: String,
    pub start: &'static str,
    pub source_site: Option<&'static str>,
    pub sink_site: Option<&'static str>,
    /// More lines of `[sink]`.
    pub sink: String,
    pub extra: String,
}

impl JobFile {
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            start: "snapshot",
            source_site: Some("shanghai"),
            sink_site: Some("beijing"),
            sink: String::new(),
            extra: String::new(),
        }
    }

    /// The text of job.toml.
    pub fn text(&self, schema: &TestSchema, tables: &[&str]) -> String {
        let servers = servers();
        let end = |section: &str, port: u16, site: Option<&str>, more: String| {
            let constraint = site.map_or(String::new(), |site| {
                format!("[[{section}.constraint]]\nattribute = \"${{node.datacenter}}\"\nvalue = \"{site}\"\n")
            });
            format!(
                "[{section}]\nkind = \"mysql\"\nhost = \"127.0.0.1\"\nport = {port}\nuser = \"root\"\npassword = \"\"\n{more}{constraint}\n"
            )
        };
        let tables: String = tables
            .iter()
            .map(|table| format!("[[tables]]\nschema = \"{}\"\ntable = \"{table}\"\n", schema.base))
            .collect();
        let source = end(
            "source",
            servers.source.port,
            self.source_site,
            format!("start = \"{}\"\n", self.start),
        );
        let sink = end(
            "sink",
            servers.target.port,
            self.sink_site,
            format!("meta_schema = \"{}\"\n{}", schema.meta, self.sink),
        );
        format!("name = \"{}\"\n{source}{tables}{sink}{}", self.name, self.extra)
    }
}
