//! Decides whether a statement from the binlog can touch a replicated table.
//!
//! Fed by the reader with the text of Query events. Conservative: what it cannot read and what names a replicated table or
//! schema is refused; only statements that surely concern something else are passed over. No SQL parser: a tokenizer that
//! knows quotes, comments, versioned comments and which words decide. A change of rows in statement format is judged by the
//! schemas that the server says it wrote to: views, triggers and functions hide the table from the text.

use std::collections::{HashMap, HashSet};

use crate::core::shape::TableName;
use crate::core::sql_token::{Token, tokens};

/// What a statement can do to the replicated tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touch {
    /// Nothing.
    No,
    /// It may change the definition of one, or remove it.
    Definition,
    /// It may change rows of one, in statement format.
    Rows,
    /// The statement was not understood.
    Unclear,
}

/// Names of the replicated tables, folded to lower case.
#[derive(Clone, Debug, Default)]
pub struct ReplicatedNames {
    schemas: HashMap<String, HashSet<String>>,
}

impl ReplicatedNames {
    /// The names of these tables.
    pub fn new<'a>(tables: impl IntoIterator<Item = &'a TableName>) -> Self {
        let mut schemas: HashMap<String, HashSet<String>> = HashMap::new();
        for name in tables {
            schemas
                .entry(name.schema.to_lowercase())
                .or_default()
                .insert(name.table.to_lowercase());
        }
        Self { schemas }
    }

    /// What a change of rows in statement format can do to the tables, when it wrote to these schemas; None: nobody knows.
    #[must_use]
    pub fn touched_by_rows(&self, updated_schemas: Option<&[String]>) -> Touch {
        let is_replicated = |schema: &String| self.schemas.contains_key(&schema.to_lowercase());
        match updated_schemas {
            Some(schemas) if !schemas.iter().any(is_replicated) => Touch::No,
            Some(_) | None => Touch::Rows,
        }
    }

    /// What the statement, run with this default schema, can do to the tables.
    #[must_use]
    pub fn touched_by(&self, statement: &[u8], default_schema: &str) -> Touch {
        let Ok(text) = std::str::from_utf8(statement) else {
            return self.unreadable(statement, default_schema);
        };
        let touch = self.decide(&tokens(text, true), default_schema);
        // Under NO_BACKSLASH_ESCAPES strings end elsewhere: both readings must be harmless.
        if touch == Touch::No && text.contains('\\') {
            self.decide(&tokens(text, false), default_schema)
        } else {
            touch
        }
    }

    fn decide(&self, tokens: &[Token], default_schema: &str) -> Touch {
        let class = Class::of(tokens);
        let is_hit = match class {
            Class::Harmless => false,
            Class::Unclear => return Touch::Unclear,
            Class::DropSchema => tokens
                .iter()
                .any(|token| name_of(token).is_some_and(|name| self.schemas.contains_key(&name))),
            Class::Table | Class::Rows => self.mentioned(tokens, default_schema),
            // Only the table that is created counts: LIKE, SELECT and REFERENCES read.
            Class::CreateTable(at) => self.mentioned(&tokens[at..(at + 3).min(tokens.len())], default_schema),
        };
        match (is_hit, class) {
            (false, _) => Touch::No,
            (true, Class::Rows) => Touch::Rows,
            (true, _) => Touch::Definition,
        }
    }

    /// Any name among the tokens is a replicated table, or could be one in the default schema.
    fn mentioned(&self, tokens: &[Token], default_schema: &str) -> bool {
        let in_default = self.schemas.get(&default_schema.to_lowercase());
        tokens.iter().enumerate().any(|(at, token)| {
            let Some(name) = name_of(token) else { return false };
            let is_dot = |at: usize| tokens.get(at).is_some_and(|token| *token == Token::Other('.'));
            let qualified = || {
                let tables = self.schemas.get(&name)?;
                let table = name_of(tokens.get(at + 2).filter(|_| is_dot(at + 1))?)?;
                Some(tables.contains(&table))
            };
            let is_part = at > 0 && is_dot(at - 1);
            qualified() == Some(true) || (!is_part && in_default.is_some_and(|tables| tables.contains(&name)))
        })
    }

    /// Text in another character set than UTF-8: its quotes cannot be trusted (0x60 may be the end of a GBK character).
    /// Account statements carry raw hash bytes and are told by their first words.
    fn unreadable(&self, statement: &[u8], default_schema: &str) -> Touch {
        let text = String::from_utf8_lossy(statement).to_lowercase();
        let is_account = matches!(Class::of(&tokens(&text, true)), Class::Harmless);
        let is_near = self.schemas.contains_key(&default_schema.to_lowercase())
            || self
                .schemas
                .keys()
                .any(|schema| !schema.is_ascii() || text.contains(schema.as_str()));
        if is_near && !is_account { Touch::Unclear } else { Touch::No }
    }
}

/// The statement changes rows, or calls what may.
#[must_use]
pub fn changes_rows(statement: &[u8]) -> bool {
    let text = String::from_utf8_lossy(statement);
    Class::of(&tokens(&text, true)) == Class::Rows
}

/// What kind of statement it is, as far as that decides.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Cannot touch rows or definitions of base tables.
    Harmless,
    /// CREATE TABLE whose name begins at this token.
    CreateTable(usize),
    /// Any other statement about tables or indexes.
    Table,
    /// DROP DATABASE.
    DropSchema,
    /// A change of rows in statement format.
    Rows,
    /// Something unknown.
    Unclear,
}

impl Class {
    fn of(tokens: &[Token]) -> Self {
        let words: Vec<String> = tokens.iter().map(first_word).take(24).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.first().copied().unwrap_or_default() {
            "grant" | "revoke" | "set" | "flush" | "analyze" | "optimize" | "repair" | "check" | "install" | "uninstall"
            | "savepoint" | "release" | "use" | "show" | "reset" | "kill" | "lock" | "unlock" => Self::Harmless,
            "create" | "alter" | "drop" => Self::of_object(tokens, &words),
            "rename" if words.get(1) == Some(&"user") => Self::Harmless,
            "rename" | "truncate" => Self::Table,
            "insert" | "update" | "delete" | "replace" | "load" | "call" | "do" | "with" | "select" | "(" | "values"
            | "table" => Self::Rows,
            _ => Self::Unclear,
        }
    }

    /// CREATE, ALTER or DROP of what.
    fn of_object(tokens: &[Token], words: &[&str]) -> Self {
        let is_temporary = words.contains(&"temporary");
        for (at, word) in words.iter().enumerate().skip(1) {
            match *word {
                "table" | "tables" if is_temporary => return Self::Harmless,
                "table" if words[0] == "create" => {
                    let name_at = if words.get(at + 1) == Some(&"if") { at + 4 } else { at + 1 };
                    return Self::CreateTable(name_at.min(tokens.len()));
                }
                "table" | "tables" | "index" => return Self::Table,
                "database" | "schema" if words[0] == "drop" => return Self::DropSchema,
                "database" | "schema" | "view" | "procedure" | "function" | "event" | "trigger" | "user" | "role" | "server"
                | "tablespace" | "instance" | "library" | "logfile" | "resource" | "spatial"
                    if words.get(at + 1) != Some(&"index") =>
                {
                    return Self::Harmless;
                }
                _ => {}
            }
        }
        Self::Unclear
    }
}

/// A name in lower case; strings between `"` count, whatever the mode.
fn name_of(token: &Token) -> Option<String> {
    token.any_name().map(str::to_lowercase)
}

/// The word for the search of what the statement is about; quoted things are no keywords but do not end the search.
fn first_word(token: &Token) -> String {
    match token {
        Token::Word(word) => word.to_lowercase(),
        Token::Other('(') => "(".into(),
        Token::Other(_) | Token::Text | Token::Quoted(_) | Token::DoubleQuoted(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn touch(statement: &str, default_schema: &str) -> Touch {
        let tables = [("Shop", "orders"), ("shop", "客户"), ("crm", "people")];
        let tables = tables.map(|(schema, table)| TableName {
            schema: schema.into(),
            table: table.into(),
        });
        ReplicatedNames::new(&tables).touched_by(statement.as_bytes(), default_schema)
    }

    #[test]
    fn definition_changes_of_replicated_tables_are_found_however_they_are_written() {
        for statement in [
            "ALTER TABLE shop.orders ADD c INT",
            "alter table `SHOP` . `Orders` add c int",
            "DROP TABLE IF EXISTS other.x, shop.orders /* generated by server */",
            "RENAME TABLE other.x TO shop.`orders`",
            "TRUNCATE shop.orders",
            "CREATE UNIQUE INDEX i ON shop.orders (a)",
            "CREATE SPATIAL INDEX i ON shop.orders (a)",
            "DROP INDEX i ON shop.orders",
            "/* x */ ALTER -- y\n TABLE #z\n shop./*!50000 orders */ ENGINE=InnoDB",
            "/*!40000 ALTER TABLE shop.orders DISABLE KEYS */",
            "CREATE TABLE IF NOT EXISTS shop.orders (a INT)",
            "ALTER TABLE other.x EXCHANGE PARTITION p WITH TABLE shop.orders",
            "DROP DATABASE shop",
            "DROP SCHEMA IF EXISTS `Crm`",
            "ALTER TABLE other.x COMMENT 'a\\' , RENAME shop.orders , COMMENT '",
            "DROP TABLE \"shop\".\"orders\"",
            "ALTER TABLE shop.客户 ADD c INT",
        ] {
            assert_eq!(touch(statement, "other"), Touch::Definition, "{statement}");
        }
        assert_eq!(touch("ALTER TABLE orders ADD c INT", "SHOP"), Touch::Definition);
        assert_eq!(touch("DROP TABLE a, orders", "shop"), Touch::Definition);
    }

    #[test]
    fn what_concerns_something_else_is_passed_over() {
        for statement in [
            "ALTER TABLE orders ADD c INT",
            "ALTER TABLE other.orders COMMENT 'shop.orders'",
            "CREATE TABLE other.x LIKE shop.orders",
            "CREATE TABLE x (a INT, FOREIGN KEY (a) REFERENCES shop.orders (id)) START TRANSACTION",
            "DROP TABLE other.people",
            "DROP DATABASE other",
            "CREATE DATABASE shop2",
            "CREATE USER 'shop'@'%' IDENTIFIED BY 'x'",
            "GRANT ALL ON shop.orders TO 'a'@'%'",
            "ANALYZE TABLE shop.orders",
            "FLUSH TABLES",
            "CREATE DEFINER=`root`@`%` VIEW shop.v AS SELECT * FROM shop.orders",
            "CREATE DEFINER=`root`@`%` TRIGGER shop.tr BEFORE INSERT ON shop.orders FOR EACH ROW SET NEW.a = 1",
            "DROP /*!40005 TEMPORARY */ TABLE IF EXISTS `shop`.`orders`",
            "CREATE TEMPORARY TABLE shop.orders (a INT)",
            "/* shop.orders */ DROP TABLE other.x",
            "INSERT INTO other.x VALUES ('shop.orders')",
        ] {
            assert_eq!(touch(statement, "other"), Touch::No, "{statement}");
        }
    }

    #[test]
    fn statement_format_changes_and_unknown_statements_are_told_apart() {
        assert_eq!(touch("UPDATE shop.orders SET a = 1", "other"), Touch::Rows);
        assert_eq!(touch("INSERT INTO other.x SELECT * FROM orders", "shop"), Touch::Rows);
        assert_eq!(touch("FROBNICATE EVERYTHING", "other"), Touch::Unclear);
        assert_eq!(touch("IMPORT TABLE FROM 'x.sdi'", "other"), Touch::Unclear);
        assert_eq!(touch("", "other"), Touch::Unclear);
    }

    #[test]
    fn a_change_of_rows_is_judged_by_the_schemas_it_wrote_to() {
        let names = ReplicatedNames::new(&[TableName {
            schema: "Shop".into(),
            table: "orders".into(),
        }]);
        let touch = |schemas: Option<&[&str]>| {
            let schemas: Option<Vec<String>> = schemas.map(|schemas| schemas.iter().map(|name| (*name).into()).collect());
            names.touched_by_rows(schemas.as_deref())
        };
        assert_eq!(touch(Some(&["other", "crm"])), Touch::No);
        assert_eq!(touch(Some(&["other", "shop"])), Touch::Rows);
        assert_eq!(touch(Some(&[])), Touch::No);
        assert_eq!(touch(None), Touch::Rows);
        for text in [
            "insert into v values (1)",
            "/* x */ SELECT `c`.`f`(4)",
            "LOAD DATA INFILE 'x' INTO TABLE t",
            "UPDATE \u{fffd} SET a = 1",
        ] {
            assert!(changes_rows(text.as_bytes()), "{text}");
        }
        assert!(!changes_rows(b"ALTER TABLE t ADD c INT") && !changes_rows(b"GRANT INSERT ON t TO u"));
    }

    #[test]
    fn text_that_is_not_utf8_is_refused_near_replicated_tables_only() {
        let names = ReplicatedNames::new(&[TableName {
            schema: "shop".into(),
            table: "orders".into(),
        }]);
        assert_eq!(
            names.touched_by(b"ALTER TABLE shop.\xb0\x60 ADD c INT", "other"),
            Touch::Unclear
        );
        assert_eq!(names.touched_by(b"ALTER TABLE x.\xb0\x60 ADD c INT", "other"), Touch::No);
        assert_eq!(
            names.touched_by(b"CREATE USER 'a'@'%' IDENTIFIED WITH x AS '\xff\x60shop'", "shop"),
            Touch::No
        );
    }

    proptest! {
        #[test]
        fn any_text_is_decided(text in "[-#/*!'\"`\\\\.a-z (]{0,40}|\\PC{0,40}") {
            let _ = touch(&text, "shop");
        }

        #[test]
        fn no_comment_hides_a_replicated_table(comment in "[a-z ']{0,10}") {
            let statement = format!("DROP /* {comment} */ TABLE -- {comment}\n shop.orders");
            prop_assert_eq!(touch(&statement, "other"), Touch::Definition);
        }
    }
}
