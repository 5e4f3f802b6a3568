//! What flags and PEER_* variables say over cluster.toml.
//!
//! The command line fills one `Overrides` from its flags; `from_env` makes another from the environment; `over` joins them,
//! flags first. `config::cluster` checks the texts as it checks the file's.

/// Texts that replace what the file says; None leaves it. Lists are added to the file's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--name`, PEER_NAME.
    pub name: Option<Override>,
    /// `--datacenter`, PEER_DATACENTER.
    pub datacenter: Option<Override>,
    /// `--class`, PEER_CLASS.
    pub class: Option<Override>,
    /// `--meta k=v`, repeatable; PEER_META separates them by commas. Same key: this one wins.
    pub meta: Vec<Override>,
    /// `--data-dir`, PEER_DATA_DIR.
    pub data_dir: Option<Override>,
    /// `--listen`, PEER_LISTEN.
    pub listen: Option<Override>,
    /// `--advertise`, PEER_ADVERTISE.
    pub advertise: Option<Override>,
    /// `--admin`, PEER_ADMIN.
    pub admin: Option<Override>,
    /// `--http`, PEER_HTTP.
    pub http: Option<Override>,
    /// `--key-file`, PEER_KEY_FILE.
    pub key_file: Option<Override>,
    /// `--seed`, repeatable; PEER_SEED separates them by commas.
    pub seeds: Vec<Override>,
}

/// A text and who says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// `--name` or `PEER_NAME`, named in a fault.
    pub origin: String,
    /// The text.
    pub text: String,
}

impl Override {
    /// Returns the text of a flag, `--name`.
    #[must_use]
    pub fn flag(name: &str, text: impl Into<String>) -> Self {
        Self {
            origin: format!("--{name}"),
            text: text.into(),
        }
    }
}

impl Overrides {
    /// Reads PEER_* through `lookup`, so that a test needs no process environment.
    pub fn from_env(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let one = |name: &str| {
            let text = lookup(name).filter(|text| !text.is_empty())?;
            Some(Override {
                origin: name.to_owned(),
                text,
            })
        };
        let list = |name: &str| -> Vec<Override> {
            let Some(whole) = one(name) else { return Vec::new() };
            let parts = whole.text.split(',').map(str::trim).filter(|part| !part.is_empty());
            parts
                .map(|part| Override {
                    origin: name.to_owned(),
                    text: part.to_owned(),
                })
                .collect()
        };
        Self {
            name: one("PEER_NAME"),
            datacenter: one("PEER_DATACENTER"),
            class: one("PEER_CLASS"),
            meta: list("PEER_META"),
            data_dir: one("PEER_DATA_DIR"),
            listen: one("PEER_LISTEN"),
            advertise: one("PEER_ADVERTISE"),
            admin: one("PEER_ADMIN"),
            http: one("PEER_HTTP"),
            key_file: one("PEER_KEY_FILE"),
            seeds: list("PEER_SEED"),
        }
    }

    /// Returns these over `lower`: a text of `lower` counts only where there is none here; lists are joined, `lower` first.
    #[must_use]
    pub fn over(self, lower: Self) -> Self {
        Self {
            name: self.name.or(lower.name),
            datacenter: self.datacenter.or(lower.datacenter),
            class: self.class.or(lower.class),
            meta: lower.meta.into_iter().chain(self.meta).collect(),
            data_dir: self.data_dir.or(lower.data_dir),
            listen: self.listen.or(lower.listen),
            advertise: self.advertise.or(lower.advertise),
            admin: self.admin.or(lower.admin),
            http: self.http.or(lower.http),
            key_file: self.key_file.or(lower.key_file),
            seeds: lower.seeds.into_iter().chain(self.seeds).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_wins_over_a_variable_and_lists_add_up() {
        let env = Overrides::from_env(|name| match name {
            "PEER_NAME" => Some("from-env".into()),
            "PEER_CLASS" => Some("big".into()),
            "PEER_SEED" => Some("a:1, b:2".into()),
            "PEER_HTTP" => Some(String::new()),
            _ => None,
        });
        let flags = Overrides {
            name: Some(Override::flag("name", "from-flag")),
            seeds: vec![Override::flag("seed", "c:3")],
            ..Overrides::default()
        };
        let both = flags.over(env);
        assert_eq!(
            both.name.map(|o| (o.origin, o.text)),
            Some(("--name".into(), "from-flag".into()))
        );
        assert_eq!(both.class.map(|o| o.origin), Some("PEER_CLASS".into()));
        assert_eq!(both.http, None, "an empty variable is as good as none");
        let seeds: Vec<_> = both.seeds.iter().map(|seed| seed.text.as_str()).collect();
        assert_eq!(seeds, ["a:1", "b:2", "c:3"]);
    }
}
