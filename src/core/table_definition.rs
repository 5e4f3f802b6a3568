//! `SHOW CREATE TABLE` of the source as the definition of a mapped table on the target.
//!
//! Used by `core::table_map`. Works on the lines the server prints: one per column, index and constraint, names in backquotes,
//! no line break inside a quote. Does not read any other SQL.

use crate::core::shape::TableName;

/// The columns a target gets.
#[derive(Clone, Debug)]
pub struct Columns<'a> {
    /// Every column of the source.
    pub all: Vec<&'a str>,
    /// Old and new name, in the order of the target.
    pub chosen: Vec<(&'a str, &'a str)>,
}

impl Columns<'_> {
    fn new_name(&self, old: &str) -> Option<&str> {
        self.chosen.iter().find(|(name, _)| *name == old).map(|(_, new)| *new)
    }

    /// A column of the source that does not travel.
    fn is_left_out(&self, name: &str) -> bool {
        self.all.contains(&name) && self.new_name(name).is_none()
    }
}

/// The definition under the name `to`, with `columns` only (None: all). Indexes and checks over columns that are left out are
/// left out too. Foreign keys stay where their parent can be meant: the table has its own name and columns, and the parent is
/// in its schema.
///
/// # Errors
/// Says what of the definition cannot be kept: it speaks of a column that is left out.
pub fn rewritten(create_sql: &str, name: &TableName, to: &TableName, columns: Option<&Columns<'_>>) -> Result<String, String> {
    let head = format!("CREATE TABLE {}", quoted(&name.table));
    let Some((lines, options)) = create_sql.strip_prefix(&head).and_then(split_body) else {
        return Err(format!("a definition that does not begin with `{head} (`"));
    };
    let keeps_parents = to.table == name.table && columns.is_none();
    let lines = lines
        .into_iter()
        .filter(|line| !is_foreign_key(line) || (keeps_parents && is_parent_near(line)));
    let (lines, options) = match columns {
        None => (lines.map(str::to_owned).collect::<Vec<_>>(), options.to_owned()),
        Some(columns) => (chosen_lines(&lines.collect::<Vec<_>>(), columns)?, renamed(options, columns)?),
    };
    let lines: Vec<String> = lines.into_iter().map(|line| with_made_name(line, name, to)).collect();
    Ok(format!(
        "CREATE TABLE {} (\n{}{options}",
        quoted(&to.table),
        lines.join(",\n")
    ))
}

/// The lines of a whole definition without their commas, and what follows them from the closing bracket on.
pub(super) fn split_definition(create_sql: &str) -> Option<(Vec<&str>, &str)> {
    let rest = create_sql.strip_prefix("CREATE TABLE ")?;
    split_body(&rest[identifier_bytes(rest)?..])
}

/// The same of what follows the table's name.
fn split_body(body: &str) -> Option<(Vec<&str>, &str)> {
    let options_at = body.rfind("\n)")?;
    let (lines, options) = body.split_at(options_at);
    let lines = lines.strip_prefix(" (\n")?;
    Some((
        lines.lines().map(|line| line.strip_suffix(',').unwrap_or(line)).collect(),
        options,
    ))
}

/// The name that the server made for a check from the table's name, as it would make it for the other table: names of checks are
/// names of the whole schema, and follow a table that is renamed.
fn with_made_name(line: String, name: &TableName, to: &TableName) -> String {
    let quoted_inner = |name: &TableName| name.table.replace('`', "``");
    let (head, made) = ("  CONSTRAINT `", format!("{}_chk_", quoted_inner(name)));
    let rest = line.strip_prefix(head).and_then(|rest| rest.strip_prefix(&made));
    match rest.filter(|rest| {
        rest.split_once("` CHECK ")
            .is_some_and(|(number, _)| number.parse::<u32>().is_ok())
    }) {
        Some(rest) => format!("{head}{}_chk_{rest}", quoted_inner(to)),
        None => line,
    }
}

fn is_foreign_key(line: &str) -> bool {
    let rest = line.trim_start();
    let after_name = rest
        .strip_prefix("CONSTRAINT ")
        .and_then(|rest| Some(rest.get(identifier_bytes(rest)?..)?.trim_start()));
    after_name.unwrap_or(rest).starts_with("FOREIGN KEY")
}

/// Name and definition of each foreign key with CASCADE or SET NULL.
#[must_use]
pub fn cascading_keys(create_sql: &str) -> Vec<(&str, &str)> {
    let lines = split_definition(create_sql).map(|(lines, _)| lines).unwrap_or_default();
    fn key(line: &str) -> Option<(&str, &str)> {
        let (_, rest) = line.split_once("CONSTRAINT ")?;
        let (name, key) = rest.split_at_checked(identifier_bytes(rest)?)?;
        let rules = key.rsplit_once(')')?.1;
        let is_cascading = rules.contains(" CASCADE") || rules.contains(" SET NULL");
        (is_foreign_key(line) && is_cascading).then(|| (name.trim_matches('`'), key.trim_start()))
    }
    lines.into_iter().filter_map(key).collect()
}

/// The parent is named without a schema.
fn is_parent_near(line: &str) -> bool {
    let Some((_, parent)) = line.split_once(") REFERENCES ") else {
        return false;
    };
    identifier_bytes(parent).is_some_and(|bytes| !parent[bytes..].starts_with('.'))
}

/// Columns in their new order, then what else stands in the table.
fn chosen_lines(lines: &[&str], columns: &Columns<'_>) -> Result<Vec<String>, String> {
    let mut kept = Vec::new();
    for (old, new) in &columns.chosen {
        let head = format!("  {} ", quoted(old));
        let line = lines.iter().find_map(|line| line.strip_prefix(&head));
        let line = line.ok_or_else(|| format!("no definition of column `{old}`"))?;
        kept.push(format!(
            "  {} {}",
            quoted(new),
            renamed(line, columns).map_err(|left| format!("column `{old}` made from {left}"))?
        ));
    }
    for line in lines.iter().filter(|line| !line.starts_with("  `")) {
        // The names before the bracket are those of the index or the constraint.
        let (name, rest) = line.split_at(line.find('(').unwrap_or(0));
        if let Ok(rest) = renamed(rest, columns) {
            kept.push(format!("{name}{rest}"));
        }
    }
    Ok(kept)
}

/// The text with every backquoted column under its new name; texts in quotes stay.
pub(super) fn renamed(text: &str, columns: &Columns<'_>) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['`', '\'']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let bytes = if rest.starts_with('`') {
            identifier_bytes(rest)
        } else {
            text_bytes(rest)
        };
        let token = &rest[..bytes.unwrap_or(rest.len())];
        let name = unquoted(token);
        match columns.new_name(&name) {
            _ if token.starts_with('\'') => out.push_str(token),
            Some(new) => out.push_str(&quoted(new)),
            None if columns.is_left_out(&name) => return Err(format!("column `{name}`, which is left out")),
            None => out.push_str(token),
        }
        rest = &rest[token.len()..];
    }
    out.push_str(rest);
    Ok(out)
}

/// Bytes of the backquoted name at the front.
pub(super) fn identifier_bytes(text: &str) -> Option<usize> {
    let inner = text.strip_prefix('`')?;
    let mut at = 0;
    loop {
        at += inner[at..].find('`')? + 1;
        if !inner[at..].starts_with('`') {
            return Some(at + 1);
        }
        at += 1;
    }
}

/// Bytes of the text in single quotes at the front; a backslash takes the next character with it, as the server prints it.
pub(super) fn text_bytes(text: &str) -> Option<usize> {
    let mut characters = text.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => drop(characters.next()),
            '\'' if text[at + 1..].starts_with('\'') => drop(characters.next()),
            '\'' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// The name between backquotes.
pub(super) fn unquoted(token: &str) -> String {
    let inner = token.strip_prefix('`').and_then(|rest| rest.strip_suffix('`'));
    inner.unwrap_or(token).replace("``", "`")
}

fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SQL: &str = "CREATE TABLE `o``d` (\n  `id` int NOT NULL COMMENT 'the `note`, isn''t it',\n  `total` decimal(10,2) DEFAULT NULL,\n  \
        `twice` int GENERATED ALWAYS AS ((`total` * 2)) VIRTUAL,\n  `note` text,\n  PRIMARY KEY (`id`),\n  \
        UNIQUE KEY `total` (`total`,`note`(10)),\n  KEY `total_2` (`total`),\n  \
        CONSTRAINT `up` FOREIGN KEY (`id`) REFERENCES `parent` (`id`),\n  \
        CONSTRAINT `far` FOREIGN KEY (`id`) REFERENCES `x`.`parent` (`id`),\n  \
        CONSTRAINT `o``d_chk_1` CHECK ((`total` > 0)),\n  CONSTRAINT `c2` CHECK ((`note` <> _utf8mb4'`total`'))\n) ENGINE=InnoDB COMMENT='`total`'";

    fn name(table: &str) -> TableName {
        TableName {
            schema: "s".into(),
            table: table.into(),
        }
    }

    fn columns<'a>(chosen: &[(&'a str, &'a str)]) -> Columns<'a> {
        Columns {
            all: vec!["id", "total", "twice", "note"],
            chosen: chosen.to_vec(),
        }
    }

    #[test]
    fn another_schema_keeps_all_but_far_parents() {
        let found = rewritten(SQL, &name("o`d"), &name("o`d"), None).expect("rewrites");
        assert_eq!(
            found,
            SQL.replace("  CONSTRAINT `far` FOREIGN KEY (`id`) REFERENCES `x`.`parent` (`id`),\n", "")
        );
    }

    #[test]
    fn keys_that_cascade_are_told_by_their_rules() {
        let sql = "CREATE TABLE `t` (\n  `id` int NOT NULL,\n  CONSTRAINT `a` FOREIGN KEY (`id`) REFERENCES `p` (`id`) ON DELETE CASCADE,\n  \
                   CONSTRAINT `b` FOREIGN KEY (`id`) REFERENCES `s`.` SET NULL` (`id`) ON DELETE RESTRICT,\n  \
                   CONSTRAINT `c` FOREIGN KEY (`id`) REFERENCES `q` (`id`) ON UPDATE SET NULL\n) ENGINE=InnoDB";
        let expected = [
            ("a", "FOREIGN KEY (`id`) REFERENCES `p` (`id`) ON DELETE CASCADE"),
            ("c", "FOREIGN KEY (`id`) REFERENCES `q` (`id`) ON UPDATE SET NULL"),
        ];
        assert_eq!(cascading_keys(sql), expected);
    }

    #[test]
    fn another_name_leaves_the_foreign_keys_behind() {
        let found = rewritten(SQL, &name("o`d"), &name("n"), None).expect("rewrites");
        assert!(found.starts_with("CREATE TABLE `n` (\n  `id` int"), "{found}");
        assert!(!found.contains("FOREIGN") && found.contains("`n_chk_1`"), "{found}");
    }

    #[test]
    fn chosen_columns_take_indexes_and_checks_over_them_along() {
        let chosen = columns(&[("twice", "twice"), ("total", "to`t"), ("id", "id")]);
        let found = rewritten(SQL, &name("o`d"), &name("n"), Some(&chosen)).expect("rewrites");
        let expected = "CREATE TABLE `n` (\n  `twice` int GENERATED ALWAYS AS ((`to``t` * 2)) VIRTUAL,\n  \
            `to``t` decimal(10,2) DEFAULT NULL,\n  `id` int NOT NULL COMMENT 'the `note`, isn''t it',\n  PRIMARY KEY (`id`),\n  \
            KEY `total_2` (`to``t`),\n  CONSTRAINT `n_chk_1` CHECK ((`to``t` > 0))\n) ENGINE=InnoDB COMMENT='`total`'";
        assert_eq!(found, expected);
    }

    #[test]
    fn a_generated_column_needs_what_it_is_made_from() {
        let reason =
            rewritten(SQL, &name("o`d"), &name("n"), Some(&columns(&[("id", "id"), ("twice", "t")]))).expect_err("refused");
        assert!(reason.contains("`twice`") && reason.contains("`total`"), "{reason}");
    }
}
