//! What an account may do, from SHOW GRANTS.
//!
//! Used by preflight. Reads grants on everything, on schemas (patterns too) and on tables, those of active roles included, and takes
//! off what partial revokes take off. Grants on columns and routines are passed over.

use crate::core::shape::TableName;
use crate::mysql::error::Error;
use crate::mysql::session::Session;

/// One line of SHOW GRANTS about an object.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    is_revoked: bool,
    /// In upper case.
    privileges: Vec<String>,
    /// As the server writes it: `` *.* ``, `` `s`.* ``, `` `s`.`t` ``.
    object: String,
}

/// The grants of the session's account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    account: String,
    lines: Vec<Line>,
}

impl Grants {
    /// Asks the server.
    ///
    /// # Errors
    /// The query failed.
    pub async fn read(session: &mut Session) -> Result<Self, Error> {
        let who = session
            .first::<(String, String)>("SELECT CURRENT_ROLE(), CURRENT_USER()")
            .await?;
        let (roles, account) = who.unwrap_or_default();
        let with = if roles.is_empty() || roles == "NONE" {
            String::new()
        } else {
            format!(" USING {roles}")
        };
        let lines = session
            .rows::<String>(format!("SHOW GRANTS FOR CURRENT_USER(){with}"))
            .await?;
        Ok(Self::of(&account, lines.iter().map(String::as_str)))
    }

    fn of<'a>(account: &str, lines: impl IntoIterator<Item = &'a str>) -> Self {
        let quoted = |part: &str| format!("'{}'", part.replace('\'', "''"));
        let account = match account.rsplit_once('@') {
            Some((user, host)) => format!("{}@{}", quoted(user), quoted(host)),
            None => quoted(account),
        };
        Self {
            account,
            lines: lines.into_iter().filter_map(parse).collect(),
        }
    }

    /// The account as GRANT names it, `'user'@'host'`.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.account
    }

    /// The privilege is granted on everything.
    #[must_use]
    pub fn has_global(&self, privilege: &str) -> bool {
        self.grants(privilege, |object| object == "*.*")
    }

    /// The privilege is granted on all of this schema.
    #[must_use]
    pub fn has(&self, privilege: &str, schema: &str) -> bool {
        let revoked = format!("{}.*", quoted_name(schema));
        let is_revoked = self
            .lines
            .iter()
            .any(|line| line.is_revoked && line.object == revoked && line.names(privilege));
        if self.has_global(privilege) && !is_revoked {
            return true;
        }
        self.grants(privilege, |object| is_schema(object, schema))
    }

    /// The privilege is granted on this table.
    #[must_use]
    pub fn has_on_table(&self, privilege: &str, table: &TableName) -> bool {
        let name = format!("{}.{}", quoted_name(&table.schema), quoted_name(&table.table));
        self.has(privilege, &table.schema) || self.grants(privilege, |object| object == name)
    }

    /// Something is granted on single tables of this schema.
    #[must_use]
    pub fn has_any_on_tables(&self, schema: &str) -> bool {
        let of_schema = format!("{}.`", quoted_name(schema));
        self.lines
            .iter()
            .any(|line| !line.is_revoked && line.object.starts_with(&of_schema))
    }

    fn grants(&self, privilege: &str, is_on: impl Fn(&str) -> bool) -> bool {
        self.lines
            .iter()
            .any(|line| !line.is_revoked && line.names(privilege) && is_on(&line.object))
    }
}

impl Line {
    fn names(&self, privilege: &str) -> bool {
        self.privileges
            .iter()
            .any(|known| known == privilege || known == "ALL PRIVILEGES")
    }
}

fn quoted_name(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// The object is all of a schema of this name, or a pattern that takes it.
fn is_schema(object: &str, schema: &str) -> bool {
    let pattern = object
        .strip_suffix(".*")
        .and_then(|name| name.strip_prefix('`')?.strip_suffix('`'));
    pattern.is_some_and(|pattern| {
        let pattern: Vec<char> = pattern.replace("``", "`").chars().collect();
        let name: Vec<char> = schema.chars().collect();
        matches(&pattern, &name)
    })
}

/// `_` is one character, `%` any number, `\` takes their meaning away. Names have at most 64 characters.
fn matches(pattern: &[char], name: &[char]) -> bool {
    match pattern {
        [] => name.is_empty(),
        ['%', rest @ ..] => (0..=name.len()).any(|at| matches(rest, &name[at..])),
        ['\\', exact, rest @ ..] => name.first() == Some(exact) && matches(rest, &name[1..]),
        ['_', rest @ ..] => !name.is_empty() && matches(rest, &name[1..]),
        [exact, rest @ ..] => name.first() == Some(exact) && matches(rest, &name[1..]),
    }
}

/// `GRANT a, b ON x TO …`, `REVOKE a ON x FROM …`; None for role grants.
fn parse(line: &str) -> Option<Line> {
    let (is_revoked, rest, end) = match line.strip_prefix("GRANT ") {
        Some(rest) => (false, rest, " TO "),
        None => (true, line.strip_prefix("REVOKE ")?, " FROM "),
    };
    let (privileges, rest) = rest.split_once(" ON ")?;
    let (object, _) = rest.split_once(end)?;
    Some(Line {
        is_revoked,
        privileges: privileges
            .split(',')
            .map(|privilege| privilege.trim().to_uppercase())
            .collect(),
        object: object.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn global_and_schema_grants_are_told_apart() {
        let grants = Grants::of(
            "peer@%",
            [
                "GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO `peer`@`%`",
                "GRANT SELECT, INSERT ON `my\\_shop`.* TO `peer`@`%`",
                "GRANT `reader`@`%` TO `peer`@`%`",
            ],
        );
        assert!(grants.has_global("REPLICATION SLAVE") && grants.has("INSERT", "my_shop"));
        assert!(!grants.has_global("SELECT") && !grants.has("INSERT", "other") && !grants.has("INSERT", "myxshop"));
        assert_eq!(grants.account(), "'peer'@'%'");
    }

    #[test]
    fn a_pattern_grants_every_schema_it_takes_and_a_table_only_itself() {
        let grants = Grants::of(
            "p@h",
            ["GRANT SELECT ON `shop%`.* TO `p`@`h`", "GRANT INSERT ON `a`.`t` TO `p`@`h`"],
        );
        let table = |table: &str| TableName {
            schema: "a".into(),
            table: table.into(),
        };
        assert!(grants.has("SELECT", "shop_eu") && grants.has("SELECT", "shop") && !grants.has("SELECT", "sho"));
        assert!(grants.has_on_table("INSERT", &table("t")) && !grants.has_on_table("INSERT", &table("u")));
        assert!(grants.has_any_on_tables("a") && !grants.has_any_on_tables("shop"));
    }

    #[test]
    fn a_partial_revoke_takes_a_schema_out_of_what_is_granted_on_everything() {
        let grants = Grants::of(
            "p@h",
            [
                "GRANT SELECT, INSERT ON *.* TO `p`@`h`",
                "REVOKE INSERT ON `pay`.* FROM `p`@`h`",
            ],
        );
        assert!(grants.has("SELECT", "pay") && !grants.has("INSERT", "pay") && grants.has("INSERT", "shop"));
    }
}
