//! What turns one definition of a table into another: the clauses of an ALTER TABLE.
//!
//! Used by `mysql::target::ddl_mapped` for tables whose definition on the target is made from the source's. Works on the lines that
//! `SHOW CREATE TABLE` prints, as `table_definition` does. Which column of before a column of after is must be told: a column
//! that goes while another of its name comes looks like one that changes. The caller tries the outcome on empty tables first.

use crate::core::table_definition::{Columns, identifier_bytes, renamed, split_definition, text_bytes, unquoted};

/// A column of the new definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnFate {
    /// Its name in the old one; None: it comes.
    pub before: Option<String>,
    /// Its name in the new one.
    pub name: String,
}

/// A definition in its parts.
struct Definition<'a> {
    /// Name and what follows it.
    columns: Vec<(String, &'a str)>,
    /// Indexes and constraints.
    others: Vec<&'a str>,
    options: &'a str,
    /// ` PARTITION BY …` with its comment marks; empty: none.
    partitions: &'a str,
}

impl<'a> Definition<'a> {
    fn of(create_sql: &'a str) -> Result<Self, String> {
        let (lines, options) = split_definition(create_sql).ok_or("a definition of another form than the server prints")?;
        let (mut columns, mut others) = (Vec::new(), Vec::new());
        for line in lines {
            let line = line.trim_start();
            match identifier_bytes(line) {
                Some(bytes) => columns.push((unquoted(&line[..bytes]), line[bytes..].trim_start())),
                None => others.push(line),
            }
        }
        let options = options.strip_prefix("\n)").unwrap_or(options);
        let (options, partitions) = options.split_once('\n').unwrap_or((options, ""));
        Ok(Self {
            columns,
            others,
            options: options.trim(),
            partitions: partitions.trim(),
        })
    }

    fn column(&self, name: &str) -> Option<&'a str> {
        let found = self.columns.iter().find(|(known, _)| known == name);
        found.map(|(_, definition)| *definition)
    }
}

/// The clauses; None: the definitions are the same.
///
/// # Errors
/// Says what it cannot express.
pub fn clauses(before: &str, after: &str, columns: &[ColumnFate]) -> Result<Option<String>, String> {
    let (before, after) = (Definition::of(before)?, Definition::of(after)?);
    let names: Vec<(&str, &str)> = columns
        .iter()
        .filter_map(|column| Some((column.before.as_deref()?, column.name.as_str())))
        .collect();
    let names = Columns {
        all: Vec::new(),
        chosen: names,
    };
    let old_others: Vec<String> = before
        .others
        .iter()
        .map(|line| renamed(line, &names))
        .collect::<Result<_, _>>()?;
    let mut found = Vec::new();
    for (line, old) in before.others.iter().zip(&old_others) {
        if !after.others.contains(&old.as_str()) {
            found.push(drop_clause(line)?);
        }
    }
    found.extend(column_clauses(&before, &after, columns, &names)?);
    let is_new = |line: &&&str| !old_others.iter().any(|old| old == **line);
    found.extend(after.others.iter().filter(is_new).map(|line| format!("ADD {line}")));
    if before.options != after.options {
        found.push(option_clause(before.options, after.options)?);
    }
    let partitions = match (before.partitions, after.partitions) {
        (old, new) if old == new => "",
        (_, "") => "REMOVE PARTITIONING",
        (_, new) => new,
    };
    let clauses = [found.join(", "), partitions.to_owned()];
    let clauses: Vec<String> = clauses.into_iter().filter(|text| !text.is_empty()).collect();
    Ok((!clauses.is_empty()).then(|| clauses.join(" ")))
}

fn column_clauses(
    before: &Definition<'_>,
    after: &Definition<'_>,
    columns: &[ColumnFate],
    names: &Columns<'_>,
) -> Result<Vec<String>, String> {
    let place = |name: &str| before.columns.iter().position(|(known, _)| known == name);
    let kept: Vec<Option<usize>> = columns.iter().map(|column| place(column.before.as_deref()?)).collect();
    let is_moved = !kept.iter().flatten().is_sorted();
    // What is not said in a column's own line.
    let has_other_charset = charset(before.options) != charset(after.options);
    let mut found = Vec::new();
    for (at, (old, _)) in before.columns.iter().enumerate() {
        if !kept.contains(&Some(at)) {
            found.push(format!("DROP COLUMN {}", quoted(old)));
        }
    }
    for (at, column) in columns.iter().enumerate() {
        let definition = after.column(&column.name);
        let definition = definition.ok_or_else(|| format!("no definition of column `{}`", column.name))?;
        let name = quoted(&column.name);
        let position = match at.checked_sub(1) {
            None => " FIRST".to_owned(),
            Some(left) => format!(" AFTER {}", quoted(&columns[left].name)),
        };
        let is_behind_all = kept[at..].iter().all(Option::is_none);
        let Some(old_at) = kept[at] else {
            let position = if is_behind_all { "" } else { &position };
            found.push(format!("ADD COLUMN {name} {definition}{position}"));
            continue;
        };
        let (old, old_definition) = &before.columns[old_at];
        if is_moved || has_other_charset || renamed(old_definition, names)? != definition {
            let position = if is_moved { &position } else { "" };
            found.push(format!("CHANGE COLUMN {} {name} {definition}{position}", quoted(old)));
        } else if *old != column.name {
            found.push(format!("RENAME COLUMN {} TO {name}", quoted(old)));
        }
    }
    Ok(found)
}

/// Drops the index or constraint of this line.
fn drop_clause(line: &str) -> Result<String, String> {
    if line.starts_with("PRIMARY KEY") {
        return Ok("DROP PRIMARY KEY".into());
    }
    let unknown = || format!("a definition it does not know: `{line}`");
    let name_at = line.find('`').ok_or_else(unknown)?;
    let bytes = identifier_bytes(&line[name_at..]).ok_or_else(unknown)?;
    let (name, rest) = line[name_at..].split_at(bytes);
    let kind = match line[..name_at].trim_end() {
        "CONSTRAINT" if rest.trim_start().starts_with("FOREIGN KEY") => "FOREIGN KEY",
        "CONSTRAINT" if rest.trim_start().starts_with("CHECK") => "CHECK",
        "KEY" | "UNIQUE KEY" | "FULLTEXT KEY" | "SPATIAL KEY" => "INDEX",
        _ => return Err(unknown()),
    };
    Ok(format!("DROP {kind} {name}"))
}

/// All options of after, and the defaults of those that only before has.
fn option_clause(before: &str, after: &str) -> Result<String, String> {
    let mut found = Vec::new();
    let new = options(after);
    for (key, text) in options(before) {
        if new.iter().any(|(known, _)| *known == key) || key == "COLLATE" {
            continue;
        }
        found.push(match key {
            "COMMENT" | "COMPRESSION" | "CONNECTION" => format!("{key}=''"),
            "ROW_FORMAT" | "STATS_PERSISTENT" | "STATS_AUTO_RECALC" | "STATS_SAMPLE_PAGES" | "PACK_KEYS" => {
                format!("{key}=DEFAULT")
            }
            "KEY_BLOCK_SIZE" | "MIN_ROWS" | "MAX_ROWS" | "AVG_ROW_LENGTH" | "CHECKSUM" | "DELAY_KEY_WRITE" => format!("{key}=0"),
            _ => return Err(format!("the end of the table's option `{text}`")),
        });
    }
    found.push(after.to_owned());
    Ok(found.join(" "))
}

/// Key and text of each option; what stands in a comment is its own key.
fn options(text: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let key_bytes = if rest.starts_with("/*") {
            0
        } else {
            rest.find('=').unwrap_or(rest.len())
        };
        let value = &rest[key_bytes..];
        let value_bytes = if value.starts_with("/*") {
            value.find("*/").map_or(value.len(), |at| at + 2)
        } else if value.starts_with("='") {
            1 + text_bytes(&value[1..]).unwrap_or(value.len() - 1)
        } else {
            value.find(' ').unwrap_or(value.len())
        };
        let option = &rest[..key_bytes + value_bytes];
        found.push((if key_bytes == 0 { option } else { &rest[..key_bytes] }, option));
        rest = rest[option.len()..].trim_start();
    }
    found
}

fn charset(text: &str) -> Vec<&str> {
    let is_about = |key: &str| key == "DEFAULT CHARSET" || key == "COLLATE";
    let all = options(text).into_iter().filter(|(key, _)| is_about(key));
    all.map(|(_, option)| option).collect()
}

fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// The same definition, whatever the order of its indexes and constraints.
#[must_use]
pub fn is_same(one: &str, other: &str) -> bool {
    let (Ok(mut one), Ok(mut other)) = (Definition::of(one), Definition::of(other)) else {
        return false;
    };
    one.others.sort_unstable();
    other.others.sort_unstable();
    one.columns == other.columns
        && one.others == other.others
        && one.options == other.options
        && one.partitions == other.partitions
}

/// `now` shows what makes `after` of `before`: what came is there as it came, what went is not, the columns are those of `after`. What
/// only `now` has does not matter. False when the two are the same: then nothing shows.
#[must_use]
pub fn shows_effect(before: &str, after: &str, now: &str) -> bool {
    let (Ok(before), Ok(after), Ok(now)) = (Definition::of(before), Definition::of(after), Definition::of(now)) else {
        return false;
    };
    let names = |of: &Definition<'_>| of.columns.iter().map(|(name, _)| name.to_lowercase()).collect::<Vec<_>>();
    let is_changed = before.columns != after.columns
        || before.others.iter().any(|line| !after.others.contains(line))
        || after.others.iter().any(|line| !before.others.contains(line))
        || before.options != after.options
        || before.partitions != after.partitions;
    let new_columns = after.columns.iter().filter(|column| !before.columns.contains(column));
    let came = after.others.iter().filter(|line| !before.others.contains(line));
    let went = before.others.iter().filter(|line| !after.others.contains(line));
    is_changed
        && names(&after) == names(&now)
        && new_columns.into_iter().all(|column| now.columns.contains(column))
        && came.into_iter().all(|line| now.others.contains(line))
        && !went.into_iter().any(|line| now.others.contains(line))
        && (before.options == after.options || now.options == after.options)
        && (before.partitions == after.partitions || now.partitions == after.partitions)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "CREATE TABLE `t` (\n  `id` int NOT NULL,\n  `a` varchar(9) DEFAULT 'a`, b',\n  `b` int DEFAULT NULL,\n  \
        `g` int GENERATED ALWAYS AS ((`b` * 2)) VIRTUAL,\n  PRIMARY KEY (`id`),\n  UNIQUE KEY `ua` (`a`),\n  KEY `kb` (`b`),\n  \
        CONSTRAINT `c` CHECK ((`b` > 0)),\n  CONSTRAINT `f` FOREIGN KEY (`b`) REFERENCES `t` (`id`)\n) \
        ENGINE=InnoDB DEFAULT CHARSET=latin1 COMMENT='x = y'";

    fn fates(all: &[(&str, &str)]) -> Vec<ColumnFate> {
        let fate = |(before, name): &(&str, &str)| ColumnFate {
            before: (!before.is_empty()).then(|| (*before).to_owned()),
            name: (*name).to_owned(),
        };
        all.iter().map(fate).collect()
    }

    fn same() -> Vec<ColumnFate> {
        fates(&[("id", "id"), ("a", "a"), ("b", "b"), ("g", "g")])
    }

    #[test]
    fn equal_definitions_need_nothing() {
        assert_eq!(clauses(BEFORE, BEFORE, &same()), Ok(None));
        assert!(is_same(BEFORE, BEFORE));
    }

    #[test]
    fn the_work_of_a_statement_is_seen_beside_what_only_the_target_has() {
        let with = |line: &str| BEFORE.replace("  KEY `kb`", &format!("  {line},\n  KEY `kb`"));
        let after = with("KEY `new` (`a`)");
        assert!(shows_effect(BEFORE, &after, &after));
        let own = "KEY `own` (`a`)";
        assert!(shows_effect(
            BEFORE,
            &after,
            &after.replace("  KEY `kb`", &format!("  {own},\n  KEY `kb`"))
        ));
        assert!(!shows_effect(BEFORE, &after, &with(own)), "another index came");
        assert!(!shows_effect(BEFORE, &after, BEFORE));
        assert!(!shows_effect(BEFORE, BEFORE, BEFORE), "nothing to be seen");
        let gone = BEFORE.replace("  UNIQUE KEY `ua` (`a`),\n", "");
        assert!(shows_effect(BEFORE, &gone, &gone) && !shows_effect(BEFORE, &gone, BEFORE));
        let wider = BEFORE.replace("`b` int", "`b` bigint");
        assert!(shows_effect(BEFORE, &wider, &wider) && !shows_effect(BEFORE, &wider, &gone));
        let more = wider.replace("  PRIMARY KEY", "  `z` int,\n  PRIMARY KEY");
        assert!(!shows_effect(BEFORE, &wider, &more), "a column that rows do not have");
        let commented = BEFORE.replace("x = y", "z");
        assert!(shows_effect(BEFORE, &commented, &commented) && !shows_effect(BEFORE, &commented, &gone));
    }

    #[test]
    fn a_renamed_column_takes_its_indexes_along() {
        let after = BEFORE.replace("`b`", "`n`").replace("'a`, n'", "'a`, b'");
        let columns = fates(&[("id", "id"), ("a", "a"), ("b", "n"), ("g", "g")]);
        assert_eq!(clauses(BEFORE, &after, &columns), Ok(Some("RENAME COLUMN `b` TO `n`".into())));
    }

    #[test]
    fn columns_and_indexes_come_go_and_change() {
        let after = BEFORE
            .replace("  `a` varchar(9) DEFAULT 'a`, b',\n", "  `a` text,\n  `m` int,\n")
            .replace("  KEY `kb` (`b`),\n", "  KEY `km` (`m`),\n")
            .replace("  CONSTRAINT `c` CHECK ((`b` > 0)),\n", "")
            .replace("VIRTUAL,\n", "VIRTUAL,\n  `z` int,\n")
            .replace(",\n  CONSTRAINT `f` FOREIGN KEY (`b`) REFERENCES `t` (`id`)", "");
        let columns = fates(&[("id", "id"), ("", "a"), ("", "m"), ("b", "b"), ("g", "g"), ("", "z")]);
        let expected = "DROP INDEX `kb`, DROP CHECK `c`, DROP FOREIGN KEY `f`, DROP COLUMN `a`, ADD COLUMN `a` text AFTER `id`, \
                        ADD COLUMN `m` int AFTER `a`, ADD COLUMN `z` int, ADD KEY `km` (`m`)";
        assert_eq!(clauses(BEFORE, &after, &columns), Ok(Some(expected.into())));
        let columns = fates(&[("id", "id"), ("a", "a"), ("", "m"), ("b", "b"), ("g", "g"), ("", "z")]);
        let found = clauses(BEFORE, &after, &columns).unwrap().unwrap();
        assert!(
            found.contains("CHANGE COLUMN `a` `a` text") && !found.contains("DROP COLUMN"),
            "{found}"
        );
    }

    #[test]
    fn another_order_places_every_column() {
        let line = "  `b` int DEFAULT NULL,\n";
        let after = BEFORE.replace(line, "").replace("(\n", &format!("(\n{line}"));
        let columns = fates(&[("b", "b"), ("id", "id"), ("a", "a"), ("g", "g")]);
        let found = clauses(BEFORE, &after, &columns).unwrap().unwrap();
        let begins = "CHANGE COLUMN `b` `b` int DEFAULT NULL FIRST, CHANGE COLUMN `id` `id` int NOT NULL AFTER `b`, ";
        assert!(found.starts_with(begins), "{found}");
    }

    #[test]
    fn options_end_and_partitions_change_last() {
        let part = "\n/*!50100 PARTITION BY HASH (`id`)\nPARTITIONS 2 */";
        let after = BEFORE.replace(" COMMENT='x = y'", " STATS_PERSISTENT=1") + part;
        let found = clauses(BEFORE, &after, &same()).unwrap().unwrap();
        let expected = format!(
            "COMMENT='' ENGINE=InnoDB DEFAULT CHARSET=latin1 STATS_PERSISTENT=1 {}",
            part.trim()
        );
        assert_eq!(found, expected);
        let found = clauses(&after, &BEFORE.replace(" COMMENT='x = y'", " STATS_PERSISTENT=1"), &same());
        assert_eq!(found, Ok(Some("REMOVE PARTITIONING".into())));
        let utf8 = BEFORE.replace("latin1", "utf8mb4");
        let found = clauses(BEFORE, &utf8, &same()).unwrap().unwrap();
        assert!(
            found.contains("CHANGE COLUMN `a` `a` varchar(9) DEFAULT 'a`, b', "),
            "{found}"
        );
        let crypt = BEFORE.replace(" COMMENT", " /*!80016 ENCRYPTION='Y' */ COMMENT");
        assert!(clauses(&crypt, BEFORE, &same()).unwrap_err().contains("ENCRYPTION"));
    }

    #[test]
    fn the_order_of_indexes_does_not_make_a_definition_another() {
        let swapped = BEFORE
            .replace("  UNIQUE KEY `ua` (`a`),\n", "")
            .replace("  CONSTRAINT `c`", "  UNIQUE KEY `ua` (`a`),\n  CONSTRAINT `c`");
        assert!(is_same(BEFORE, &swapped));
        assert!(!is_same(BEFORE, &swapped.replace("`ua` (`a`)", "`ua` (`b`)")));
    }
}
