//! Reads a statement that defines tables: which kind it is and which tables it names, exactly or not at all.
//!
//! Fed by `mysql::source::assembler` with the text of Query events and how the session read it; feeds `ddl_plan`. It knows the
//! heads of a few statements and the clauses of ALTER TABLE that are about other tables or rows from elsewhere. Whatever it
//! does not surely understand it leaves to `ddl_scope`, which refuses what may concern a replicated table.

use crate::core::ddl_policy::DdlKind;
use crate::core::shape::TableName;
use crate::core::sql_token::{FOREIGN, Reading, Token, characters, tokens};
use crate::core::sql_version::depends_on_version;

/// A statement and its tables, as written: case is not folded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// CREATE TABLE in any of its forms.
    CreateTable(TableName),
    /// ALTER TABLE that gives the same rows another form.
    AlterTable {
        /// The table.
        table: TableName,
        /// A column goes.
        drops_column: bool,
    },
    /// ALTER TABLE whose outcome is not a function of the table's rows: partitions exchanged with another table, numbers given in
    /// the order of the disk. These tables have other rows then.
    ReplaceRows(Vec<TableName>),
    /// CREATE INDEX.
    CreateIndex(TableName),
    /// DROP INDEX.
    DropIndex(TableName),
    /// DROP TABLE.
    DropTable(Vec<TableName>),
    /// RENAME TABLE, or ALTER TABLE … RENAME and nothing else: from, to, one after the other.
    RenameTable(Vec<(TableName, TableName)>),
    /// ALTER TABLE that gives the rows another form and the table another name: from, to.
    AlterAndRename(TableName, TableName),
    /// TRUNCATE.
    Truncate(TableName),
    /// DROP DATABASE.
    DropDatabase(String),
}

impl Statement {
    /// Its kind, as `on_ddl` names it.
    #[must_use]
    pub fn kind(&self) -> DdlKind {
        match self {
            Self::CreateTable(_) => DdlKind::CreateTable,
            Self::AlterTable { drops_column: true, .. } => DdlKind::DropColumn,
            Self::AlterTable { .. } | Self::ReplaceRows(_) => DdlKind::AlterTable,
            Self::CreateIndex(_) => DdlKind::CreateIndex,
            Self::DropIndex(_) => DdlKind::DropIndex,
            Self::DropTable(_) => DdlKind::DropTable,
            Self::RenameTable(_) | Self::AlterAndRename(..) => DdlKind::RenameTable,
            Self::Truncate(_) => DdlKind::Truncate,
            Self::DropDatabase(_) => DdlKind::DropDatabase,
        }
    }

    /// The same with every name of a table as `spelled` gives it.
    #[must_use]
    pub fn with_names(self, spelled: &impl Fn(TableName) -> TableName) -> Self {
        let all = |tables: Vec<TableName>| tables.into_iter().map(spelled).collect();
        match self {
            Self::CreateTable(table) => Self::CreateTable(spelled(table)),
            Self::AlterTable { table, drops_column } => Self::AlterTable {
                table: spelled(table),
                drops_column,
            },
            Self::ReplaceRows(tables) => Self::ReplaceRows(all(tables)),
            Self::CreateIndex(table) => Self::CreateIndex(spelled(table)),
            Self::DropIndex(table) => Self::DropIndex(spelled(table)),
            Self::DropTable(tables) => Self::DropTable(all(tables)),
            Self::RenameTable(pairs) => {
                let both = |(from, to)| (spelled(from), spelled(to));
                Self::RenameTable(pairs.into_iter().map(both).collect())
            }
            Self::AlterAndRename(from, to) => Self::AlterAndRename(spelled(from), spelled(to)),
            Self::Truncate(table) => Self::Truncate(spelled(table)),
            Self::DropDatabase(schema) => Self::DropDatabase(schema),
        }
    }
}

/// Reads a statement; None: it is another one, or not surely understood.
#[must_use]
pub fn read(text: &[u8], reading: Reading, default_schema: &str) -> Option<Statement> {
    let text = characters(text, reading.client_collation)?;
    if depends_on_version(&text, reading.has_backslash_escapes()) {
        return None;
    }
    let tokens = tokens(&text, reading.has_backslash_escapes());
    let mut cursor = Cursor {
        tokens: &tokens,
        has_ansi_quotes: reading.has_ansi_quotes(),
        default_schema,
    };
    let statement = match cursor.word()?.as_str() {
        "create" => cursor.create(),
        "alter" => cursor.alter(),
        "drop" => cursor.drop(),
        "rename" => cursor.rename(),
        "truncate" => {
            cursor.skip("table");
            Some(Statement::Truncate(cursor.table()?))
        }
        _ => None,
    }?;
    // Behind these nothing may follow but words without a meaning; more would be something unknown.
    let is_open = matches!(
        statement,
        Statement::CreateTable(_)
            | Statement::AlterTable { .. }
            | Statement::ReplaceRows(_)
            | Statement::CreateIndex(_)
            | Statement::DropIndex(_)
            | Statement::RenameTable(_)
            | Statement::AlterAndRename(..)
    );
    (is_open || cursor.tokens.is_empty()).then_some(statement)
}

/// What is left of a statement. Every method takes from the front, or nothing.
struct Cursor<'a> {
    tokens: &'a [Token],
    has_ansi_quotes: bool,
    default_schema: &'a str,
}

impl<'a> Cursor<'a> {
    /// The next bare word, in lower case.
    fn word(&mut self) -> Option<String> {
        let (Token::Word(word), rest) = self.tokens.split_first()? else {
            return None;
        };
        self.tokens = rest;
        Some(word.to_lowercase())
    }

    /// Takes this word if it is next.
    fn skip(&mut self, word: &str) -> bool {
        let is_next = self.tokens.first().is_some_and(|token| token.is_word(word));
        if is_next {
            self.tokens = &self.tokens[1..];
        }
        is_next
    }

    fn skip_any(&mut self, words: &[&str]) -> bool {
        words.iter().any(|word| self.skip(word))
    }

    fn skip_sign(&mut self, sign: char) -> bool {
        let is_next = self.tokens.first() == Some(&Token::Other(sign));
        if is_next {
            self.tokens = &self.tokens[1..];
        }
        is_next
    }

    /// `IF EXISTS`, `IF NOT EXISTS`, or nothing.
    fn skip_if(&mut self) {
        if self.skip("if") {
            self.skip("not");
            self.skip("exists");
        }
    }

    fn name(&mut self) -> Option<String> {
        let (token, rest) = self.tokens.split_first()?;
        let name = match token {
            Token::Word(name) | Token::Quoted(name) => name,
            Token::DoubleQuoted(name) if self.has_ansi_quotes => name,
            _ => return None,
        };
        // Its characters are not known here: it may be any name.
        if name.contains(FOREIGN) || name.is_empty() {
            return None;
        }
        self.tokens = rest;
        Some(name.clone())
    }

    fn table(&mut self) -> Option<TableName> {
        let first = self.name()?;
        if self.skip_sign('.') {
            let table = self.name()?;
            return Some(TableName { schema: first, table });
        }
        (!self.default_schema.is_empty()).then(|| TableName {
            schema: self.default_schema.to_owned(),
            table: first,
        })
    }

    fn create(&mut self) -> Option<Statement> {
        if self.skip("table") {
            self.skip_if();
            return Some(Statement::CreateTable(self.table()?));
        }
        self.skip_any(&["unique", "fulltext", "spatial"]);
        Some(Statement::CreateIndex(self.table_of_index()?))
    }

    /// `INDEX name [USING type] ON table`.
    fn table_of_index(&mut self) -> Option<TableName> {
        if !self.skip("index") {
            return None;
        }
        self.name()?;
        if self.skip_any(&["using", "type"]) {
            self.word()?;
        }
        if self.skip("on") { self.table() } else { None }
    }

    fn drop(&mut self) -> Option<Statement> {
        if self.skip_any(&["table", "tables"]) {
            self.skip_if();
            let mut tables = vec![self.table()?];
            while self.skip_sign(',') {
                tables.push(self.table()?);
            }
            self.skip_any(&["restrict", "cascade"]);
            return Some(Statement::DropTable(tables));
        }
        if self.skip_any(&["database", "schema"]) {
            self.skip_if();
            return Some(Statement::DropDatabase(self.name()?));
        }
        Some(Statement::DropIndex(self.table_of_index()?))
    }

    fn rename(&mut self) -> Option<Statement> {
        if !self.skip_any(&["table", "tables"]) {
            return None;
        }
        let mut pairs = Vec::new();
        loop {
            let from = self.table()?;
            if !self.skip("to") {
                return None;
            }
            pairs.push((from, self.table()?));
            if !self.skip_sign(',') {
                break;
            }
        }
        self.tokens.is_empty().then_some(Statement::RenameTable(pairs))
    }

    fn alter(&mut self) -> Option<Statement> {
        if !self.skip("table") {
            return None;
        }
        let table = self.table()?;
        let clauses = clauses(self.tokens);
        let is_alone = clauses.len() == 1;
        let (mut replaced, mut renamed, mut drops_column) = (Vec::new(), None, false);
        for clause in clauses {
            let mut clause = Cursor {
                tokens: clause,
                has_ansi_quotes: self.has_ansi_quotes,
                default_schema: self.default_schema,
            };
            if clause.skip_any(&["import", "discard"]) {
                return None;
            } else if clause.skip("rename") {
                if !clause.skip_any(&["column", "index", "key"]) {
                    renamed = Some(clause.new_name()?);
                }
            } else if clause.skip("exchange") {
                replaced.extend([table.clone(), clause.exchanged()?]);
            } else if clause.depends_on_server() {
                replaced.push(table.clone());
            } else if clause.skip("drop") {
                // Anything but a column is named by its kind, a column may be.
                drops_column |= !clause.skip_any(&["index", "key", "primary", "foreign", "check", "constraint", "partition"]);
            }
        }
        Some(match renamed {
            Some(to) if is_alone => Statement::RenameTable(vec![(table, to)]),
            Some(to) if replaced.is_empty() => Statement::AlterAndRename(table, to),
            Some(_) => return None,
            None if replaced.is_empty() => Statement::AlterTable { table, drops_column },
            None => {
                replaced.dedup();
                Statement::ReplaceRows(replaced)
            }
        })
    }

    /// Numbers given to the rows that are there follow the order on the disk; `CONVERT TO CHARACTER SET DEFAULT` asks the schema.
    fn depends_on_server(&self) -> bool {
        let begins = |word: &str| self.tokens.first().is_some_and(|token| token.is_word(word));
        let holds = |word: &str| self.tokens.iter().any(|token| token.is_word(word));
        begins("add") && holds("auto_increment") || begins("convert") && holds("default")
    }

    fn new_name(&mut self) -> Option<TableName> {
        if !self.skip_any(&["to", "as"]) {
            self.skip_sign('=');
        }
        let name = self.table()?;
        self.tokens.is_empty().then_some(name)
    }

    /// `PARTITION p WITH TABLE t …`.
    fn exchanged(&mut self) -> Option<TableName> {
        let is_partition = self.skip("partition");
        self.name()?;
        (is_partition && self.skip("with") && self.skip("table"))
            .then(|| self.table())
            .flatten()
    }
}

/// Splits at commas outside of parentheses.
pub(super) fn clauses(tokens: &[Token]) -> Vec<&[Token]> {
    let mut depth = 0i32;
    tokens
        .split(|token| {
            match token {
                Token::Other('(') => depth += 1,
                Token::Other(')') => depth -= 1,
                _ => {}
            }
            depth == 0 && *token == Token::Other(',')
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ANSI: u64 = 4;
    const NO_ESCAPES: u64 = 1 << 20;

    fn table(text: &str) -> TableName {
        let (schema, table) = text.split_once('.').unwrap();
        TableName {
            schema: schema.into(),
            table: table.into(),
        }
    }

    fn alter(table: TableName) -> Statement {
        Statement::AlterTable {
            table,
            drops_column: false,
        }
    }

    fn read_as(text: &[u8], sql_mode: u64, client_collation: u16) -> Option<Statement> {
        let reading = Reading {
            sql_mode,
            client_collation,
        };
        read(text, reading, "shop")
    }

    fn read_plain(text: &str) -> Option<Statement> {
        read_as(text.as_bytes(), 0, 255)
    }

    #[test]
    fn every_kind_is_read_with_its_tables() {
        let t = || table("shop.t");
        let u = || table("crm.U");
        for (text, expected) in [
            ("CREATE TABLE t (a INT)", Statement::CreateTable(t())),
            ("create table if not exists crm.`U` LIKE t", Statement::CreateTable(u())),
            (
                "CREATE TABLE `crm` . `U` (a INT) START TRANSACTION",
                Statement::CreateTable(u()),
            ),
            (
                "ALTER TABLE t ADD c INT, DROP INDEX d, DROP PRIMARY KEY, DROP CHECK c, DROP PARTITION p",
                alter(t()),
            ),
            ("ALTER TABLE t RENAME COLUMN a TO b, RENAME INDEX i TO j", alter(t())),
            ("ALTER TABLE t AUTO_INCREMENT = 7", alter(t())),
            (
                "ALTER TABLE t ADD INDEX (a, b), ADD PARTITION (PARTITION p VALUES IN (1,2))",
                alter(t()),
            ),
            ("ALTER TABLE t RENAME TO crm.U", Statement::RenameTable(vec![(t(), u())])),
            ("ALTER TABLE t RENAME AS crm.U", Statement::RenameTable(vec![(t(), u())])),
            ("ALTER TABLE t RENAME crm.U", Statement::RenameTable(vec![(t(), u())])),
            (
                "ALTER TABLE t ADD c INT, RENAME TO crm.U",
                Statement::AlterAndRename(t(), u()),
            ),
            (
                "ALTER TABLE t ADD id INT AUTO_INCREMENT PRIMARY KEY",
                Statement::ReplaceRows(vec![t()]),
            ),
            (
                "ALTER TABLE t EXCHANGE PARTITION p WITH TABLE crm.U WITHOUT VALIDATION",
                Statement::ReplaceRows(vec![t(), u()]),
            ),
            ("CREATE UNIQUE INDEX i USING BTREE ON crm.U (a)", Statement::CreateIndex(u())),
            ("DROP INDEX `i` ON t ALGORITHM=INPLACE", Statement::DropIndex(t())),
            (
                "DROP TABLE IF EXISTS t, crm.U /* generated by server */",
                Statement::DropTable(vec![t(), u()]),
            ),
            ("DROP TABLES t CASCADE", Statement::DropTable(vec![t()])),
            (
                "RENAME TABLE t TO crm.U, crm.U TO t",
                Statement::RenameTable(vec![(t(), u()), (u(), t())]),
            ),
            ("TRUNCATE t", Statement::Truncate(t())),
            ("truncate TABLE crm.U", Statement::Truncate(u())),
            ("DROP SCHEMA IF EXISTS `crm`", Statement::DropDatabase("crm".into())),
            ("/* x */ ALTER -- y\n TABLE #z\n shop./*!50000 t */ ENGINE=InnoDB", alter(t())),
        ] {
            assert_eq!(read_plain(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn a_column_that_goes_is_a_kind_of_its_own() {
        for text in [
            "ALTER TABLE t DROP c",
            "ALTER TABLE t ADD c INT, DROP COLUMN `index`",
            "ALTER TABLE t DROP IF EXISTS c",
        ] {
            let kind = read_plain(text).map(|statement| statement.kind());
            assert_eq!(kind, Some(DdlKind::DropColumn), "{text}");
        }
    }

    #[test]
    fn what_is_not_surely_understood_is_not_read() {
        for text in [
            "CREATE TEMPORARY TABLE t (a INT)",
            "DROP TEMPORARY TABLE t",
            "ALTER TABLE t EXCHANGE PARTITION p WITH TABLE u, RENAME TO v",
            "ALTER TABLE t DISCARD TABLESPACE",
            "ALTER TABLE t IMPORT PARTITION p TABLESPACE",
            "ALTER TABLE t /*!90100 ADD c INT */",
            "ALTER IGNORE TABLE t ADD c INT",
            "CREATE VIEW t AS SELECT 1",
            "DROP TABLE t u",
            "TRUNCATE t u",
            "RENAME USER a TO b",
            "DROP TABLE 't'",
            "INSERT INTO t VALUES (1)",
            "",
        ] {
            assert_eq!(read_plain(text), None, "{text}");
        }
        assert_eq!(
            read(
                b"DROP TABLE t",
                Reading {
                    sql_mode: 0,
                    client_collation: 255
                },
                ""
            ),
            None,
            "no schema"
        );
    }

    #[test]
    fn double_quotes_are_names_under_ansi_quotes_only() {
        let text = b"DROP TABLE \"t\"";
        assert_eq!(read_as(text, ANSI, 255), Some(Statement::DropTable(vec![table("shop.t")])));
        assert_eq!(read_as(text, 0, 255), None);
    }

    #[test]
    fn a_backslash_ends_no_string_unless_the_mode_says_so() {
        // With escapes the whole rest is one string; without, the second clause renames.
        let text = b"ALTER TABLE t COMMENT 'a\\' , RENAME u , COMMENT 'b'";
        assert_eq!(read_as(text, 0, 255), Some(alter(table("shop.t"))));
        assert_eq!(
            read_as(text, NO_ESCAPES, 255),
            Some(Statement::AlterAndRename(table("shop.t"), table("shop.u")))
        );
    }

    #[test]
    fn a_statement_of_a_gbk_client_is_read_when_its_names_are_ascii() {
        let text = b"ALTER TABLE t COMMENT '\xb0\x5c', ADD `\xb0\x60` INT";
        assert_eq!(read_as(text, 0, 28), Some(alter(table("shop.t"))));
        assert_eq!(read_as(b"DROP TABLE `\xb0\x60`", 0, 28), None);
        assert_eq!(
            read_as("DROP TABLE `客户`".as_bytes(), 0, 255),
            Some(Statement::DropTable(vec![table("shop.客户")]))
        );
    }

    fn name() -> impl Strategy<Value = String> {
        "[a-zA-Z0-9_ .`'\"\\\\é-]{1,10}"
    }

    fn quoted(name: &str) -> String {
        format!("`{}`", name.replace('`', "``"))
    }

    proptest! {
        #[test]
        fn any_name_comes_back_from_behind_any_comment(schema in name(), one in name(), comment in "[a-z ';`]{0,8}") {
            let text = format!("DROP /* {comment} */ TABLE -- {comment}\n {} . {}", quoted(&schema), quoted(&one));
            let expected = Statement::DropTable(vec![TableName { schema, table: one }]);
            prop_assert_eq!(read_plain(&text), Some(expected));
        }

        #[test]
        fn any_text_ends(text in prop::collection::vec(any::<u8>(), 0..80), sql_mode in any::<u64>(), collation in 0..330u16) {
            let _ = read_as(&text, sql_mode, collation);
        }

        #[test]
        fn a_string_never_adds_a_clause(content in "[a-z,() ]{0,20}") {
            let text = format!("ALTER TABLE t COMMENT '{content}', COMMENT = \"{content}\", ADD `{content}x` INT");
            prop_assert_eq!(read_plain(&text), Some(alter(table("shop.t"))));
        }
    }
}
