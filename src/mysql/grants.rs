//! What an account may do, from SHOW GRANTS.
//!
//! Used by preflight. Reads global and schema grants, those of active roles included; a grant on single tables or by a pattern it
//! cannot read counts as missing, so what is missing here is a warning unless the statement itself was tried.

use crate::mysql::error::Error;
use crate::mysql::session::Session;

/// The grants of the session's account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// Privileges in upper case, and what they are on.
    lines: Vec<(Vec<String>, String)>,
}

impl Grants {
    /// Asks the server.
    ///
    /// # Errors
    /// The query failed.
    pub async fn read(session: &mut Session) -> Result<Self, Error> {
        let roles = session.first::<String>("SELECT CURRENT_ROLE()").await?.unwrap_or_default();
        let with = if roles.is_empty() || roles == "NONE" {
            String::new()
        } else {
            format!(" USING {roles}")
        };
        let lines = session
            .rows::<String>(format!("SHOW GRANTS FOR CURRENT_USER(){with}"))
            .await?;
        Ok(Self {
            lines: lines.iter().filter_map(|line| parse(line)).collect(),
        })
    }

    /// The privilege is granted on everything.
    #[must_use]
    pub fn has_global(&self, privilege: &str) -> bool {
        self.has_on(privilege, &["*.*".into()])
    }

    /// The privilege is granted on everything, or on all of this schema.
    #[must_use]
    pub fn has(&self, privilege: &str, schema: &str) -> bool {
        // In schema grants `_` and `%` are patterns, and a literal `_` is usually written escaped.
        self.has_on(
            privilege,
            &[
                "*.*".into(),
                format!("`{schema}`.*"),
                format!("`{}`.*", schema.replace('_', "\\_")),
            ],
        )
    }

    fn has_on(&self, privilege: &str, on: &[String]) -> bool {
        let grants = |(privileges, object): &(Vec<String>, String)| {
            on.contains(object) && privileges.iter().any(|known| known == privilege || known == "ALL PRIVILEGES")
        };
        self.lines.iter().any(grants)
    }
}

/// `GRANT a, b ON x TO …`; None for role grants.
fn parse(line: &str) -> Option<(Vec<String>, String)> {
    let (privileges, rest) = line.strip_prefix("GRANT ")?.split_once(" ON ")?;
    let (object, _) = rest.split_once(" TO ")?;
    Some((
        privileges
            .split(',')
            .map(|privilege| privilege.trim().to_uppercase())
            .collect(),
        object.to_owned(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn global_and_schema_grants_are_told_apart() {
        let lines = [
            "GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO `peer`@`%`",
            "GRANT SELECT, INSERT ON `my\\_shop`.* TO `peer`@`%`",
            "GRANT `reader`@`%` TO `peer`@`%`",
        ];
        let grants = Grants {
            lines: lines.iter().filter_map(|line| parse(line)).collect(),
        };
        assert!(grants.has_global("REPLICATION SLAVE") && grants.has("INSERT", "my_shop"));
        assert!(!grants.has_global("SELECT") && !grants.has("INSERT", "other"));
    }
}
