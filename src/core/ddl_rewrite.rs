//! The text of a statement turned to another table, and what it does to columns by name.
//!
//! Used by `mysql::target::ddl_mapped` for tables that are not on the target as they are on the source: the source's own text runs on
//! an empty table of the same name in another schema, and tells which definition comes out. Which column of before a column of
//! after is cannot be told from definitions alone: a column may go and another of its name come in one statement.

use std::ops::Range;

use crate::core::ddl_statement::clauses;
use crate::core::shape::TableName;
use crate::core::sql_token::{FOREIGN, Reading, Token, bytes_of_characters, characters, spanned};

/// Begins of clauses that move or empty partitions: rows go without a row event, or the definition stays.
const PARTITION_WORK: [&str; 11] = [
    "add",
    "drop",
    "truncate",
    "coalesce",
    "reorganize",
    "rebuild",
    "optimize",
    "analyze",
    "check",
    "repair",
    "exchange",
];

/// What an ALTER TABLE says about columns, in the source's names as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ColumnChanges {
    /// Columns that go.
    pub dropped: Vec<String>,
    /// Old and new name.
    pub renamed: Vec<(String, String)>,
    /// It works on partitions by name.
    pub is_partition_work: bool,
}

/// The text about the table of the same name in `schema`; None: not surely understood.
#[must_use]
pub fn in_schema(text: &[u8], reading: Reading, schema: &str) -> Option<Vec<u8>> {
    let read = Read::of(text, reading)?;
    let first = read.name_at()?;
    let schema = read.written(schema)?;
    let (span, inserted) = if read.is_dot(first + 1) {
        (read.tokens[first].1.clone(), schema)
    } else {
        let start = read.tokens[first].1.start;
        (start..start, format!("{schema}."))
    };
    Some(read.with(span, &inserted))
}

/// The text about this table; None: not surely understood, or the name cannot be written in the client's character set.
#[must_use]
pub fn about(text: &[u8], reading: Reading, table: &TableName) -> Option<Vec<u8>> {
    let read = Read::of(text, reading)?;
    let first = read.name_at()?;
    let last = if read.is_dot(first + 1) { first + 2 } else { first };
    let span = read.tokens[first].1.start..read.tokens.get(last)?.1.end;
    let name = format!("{}.{}", read.written(&table.schema)?, read.written(&table.table)?);
    Some(read.with(span, &name))
}

/// What it does to columns; None: a name in it is not known.
#[must_use]
pub fn column_changes(text: &[u8], reading: Reading) -> Option<ColumnChanges> {
    let read = Read::of(text, reading)?;
    let mut changes = ColumnChanges::default();
    if !read.word(0, "alter") {
        return Some(changes);
    }
    let first = read.name_at()?;
    let from = first + if read.is_dot(first + 1) { 3 } else { 1 };
    let tokens: Vec<Token> = read.tokens.get(from..)?.iter().map(|(token, _)| token.clone()).collect();
    for clause in clauses(&tokens) {
        let begins = |words: &[&str]| words.iter().enumerate().all(|(at, word)| is_word(clause, at, word));
        let name = |at: usize| column_name(clause.get(at)?, reading);
        let behind = |at: usize| at + usize::from(is_word(clause, at, "column"));
        changes.is_partition_work |= PARTITION_WORK.iter().any(|word| begins(&[word, "partition"]));
        if begins(&["rename", "column"]) {
            changes.renamed.push((name(2)?, name(4)?));
        } else if begins(&["change"]) {
            let at = behind(1);
            changes.renamed.push((name(at)?, name(at + 1)?));
        } else if begins(&["drop"]) {
            let others = ["index", "key", "primary", "foreign", "check", "constraint", "partition"];
            if !others.iter().any(|word| is_word(clause, 1, word)) {
                changes.dropped.push(name(behind(1))?);
            }
        }
    }
    Some(changes)
}

fn is_word(tokens: &[Token], at: usize, word: &str) -> bool {
    tokens.get(at).is_some_and(|token| token.is_word(word))
}

fn column_name(token: &Token, reading: Reading) -> Option<String> {
    let name = match token {
        Token::Word(name) | Token::Quoted(name) => name,
        Token::DoubleQuoted(name) if reading.has_ansi_quotes() => name,
        _ => return None,
    };
    (!name.contains(FOREIGN)).then(|| name.clone())
}

/// A statement, read.
struct Read<'a> {
    text: &'a [u8],
    characters: String,
    tokens: Vec<(Token, Range<usize>)>,
    reading: Reading,
}

impl<'a> Read<'a> {
    fn of(text: &'a [u8], reading: Reading) -> Option<Self> {
        let characters = characters(text, reading.client_collation)?;
        let tokens = spanned(&characters, reading.has_backslash_escapes());
        Some(Self {
            text,
            characters,
            tokens,
            reading,
        })
    }

    fn word(&self, at: usize, word: &str) -> bool {
        self.tokens.get(at).is_some_and(|(token, _)| token.is_word(word))
    }

    fn is_dot(&self, at: usize) -> bool {
        self.tokens.get(at).is_some_and(|(token, _)| *token == Token::Other('.'))
    }

    /// Where the name of the table begins, in ALTER TABLE, CREATE INDEX and DROP INDEX.
    fn name_at(&self) -> Option<usize> {
        if self.word(0, "alter") && self.word(1, "table") {
            return (self.tokens.len() > 2).then_some(2);
        }
        let kind = ["unique", "fulltext", "spatial"].iter().any(|word| self.word(1, word));
        let index = 1 + usize::from(kind);
        let has_type = self.word(index + 2, "using") || self.word(index + 2, "type");
        let on = index + if has_type { 4 } else { 2 };
        let is_index = (self.word(0, "create") || self.word(0, "drop")) && self.word(index, "index");
        (is_index && self.word(on, "on") && self.tokens.len() > on + 1).then_some(on + 1)
    }

    /// A name in the client's character set, where that is known here.
    fn written(&self, name: &str) -> Option<String> {
        let quoted = format!("`{}`", name.replace('`', "``"));
        let is_same = name.is_ascii() || characters(name.as_bytes(), self.reading.client_collation).as_deref() == Some(name);
        is_same.then_some(quoted)
    }

    /// The text with other bytes in place of these of its characters.
    fn with(&self, span: Range<usize>, written: &str) -> Vec<u8> {
        let bytes = bytes_of_characters(self.text, self.reading.client_collation, &self.characters, span);
        [&self.text[..bytes.start], written.as_bytes(), &self.text[bytes.end..]].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Reading = Reading {
        sql_mode: 0,
        client_collation: 255,
    };
    const GBK: Reading = Reading {
        sql_mode: 0,
        client_collation: 28,
    };

    fn moved(text: &str) -> Option<String> {
        in_schema(text.as_bytes(), PLAIN, "sh`ape").map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn only_the_schema_of_the_table_is_another() {
        for (text, expected) in [
            ("ALTER TABLE t ADD t INT", "ALTER TABLE `sh``ape`.t ADD t INT"),
            ("ALTER TABLE é.`t x` ADD c INT", "ALTER TABLE `sh``ape`.`t x` ADD c INT"),
            (
                "/* a.t */ alter table s . t DROP c",
                "/* a.t */ alter table `sh``ape` . t DROP c",
            ),
            (
                "CREATE UNIQUE INDEX i USING BTREE ON t (a)",
                "CREATE UNIQUE INDEX i USING BTREE ON `sh``ape`.t (a)",
            ),
            ("DROP INDEX i ON s.t", "DROP INDEX i ON `sh``ape`.t"),
            (
                "ALTER TABLE /*!50000 s.t */ FORCE",
                "ALTER TABLE /*!50000 `sh``ape`.t */ FORCE",
            ),
        ] {
            assert_eq!(moved(text).as_deref(), Some(expected));
        }
        assert_eq!(moved("DROP TABLE t"), None);
        assert_eq!(moved("ALTER TABLE"), None);
    }

    #[test]
    fn bytes_of_another_character_set_stay_as_they_are() {
        let text = b"ALTER TABLE s.t COMMENT '\xb0\x5c', ADD `\xb0\x60` INT";
        let expected = b"ALTER TABLE `x`.t COMMENT '\xb0\x5c', ADD `\xb0\x60` INT";
        assert_eq!(in_schema(text, GBK, "x").as_deref(), Some(&expected[..]));
        let name = |table: &str| TableName {
            schema: "x".into(),
            table: table.into(),
        };
        let behind = b"/* \xb0\x5c */ ALTER TABLE s.t FORCE";
        let expected = b"/* \xb0\x5c */ ALTER TABLE `x`.`u` FORCE";
        assert_eq!(about(behind, GBK, &name("u")).as_deref(), Some(&expected[..]));
        assert_eq!(about(behind, GBK, &name("é")), None, "not written in GBK here");
    }

    #[test]
    fn columns_that_go_or_change_their_names_are_told() {
        let text = "ALTER TABLE s.t DROP a, DROP COLUMN `b`, DROP INDEX c, CHANGE d e INT, CHANGE COLUMN f f BIGINT, \
                    RENAME COLUMN g TO h, ADD x DECIMAL(3,1), MODIFY y INT";
        let found = column_changes(text.as_bytes(), PLAIN).unwrap();
        let pair = |old: &str, new: &str| (old.to_owned(), new.to_owned());
        assert_eq!(found.dropped, ["a", "b"]);
        assert_eq!(found.renamed, [pair("d", "e"), pair("f", "f"), pair("g", "h")]);
        assert!(!found.is_partition_work);
        for text in ["ALTER TABLE t DROP PARTITION p, q", "ALTER TABLE s.t TRUNCATE PARTITION ALL"] {
            assert!(column_changes(text.as_bytes(), PLAIN).unwrap().is_partition_work, "{text}");
        }
        assert_eq!(column_changes(b"DROP INDEX a ON t", PLAIN), Some(ColumnChanges::default()));
        assert_eq!(
            column_changes(b"ALTER TABLE t DROP `\xb0\x60`", GBK),
            None,
            "a name that is not known"
        );
    }
}
