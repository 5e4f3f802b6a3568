//! `on_ddl`: what a job does with changes of definitions, by their kind.
//!
//! Made by `config::job_ddl`, asked by the applier. A change whose kind says pause is carried out only after a person asked for it with
//! a restart; one that says skip leaves the target as it is: rows then travel with the columns that both sides have.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A kind of change, as job.toml names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DdlKind {
    /// CREATE TABLE.
    CreateTable,
    /// ALTER TABLE.
    #[default]
    AlterTable,
    /// ALTER TABLE that drops a column.
    DropColumn,
    /// DROP TABLE.
    DropTable,
    /// RENAME TABLE, and ALTER TABLE … RENAME.
    RenameTable,
    /// TRUNCATE.
    Truncate,
    /// CREATE INDEX.
    CreateIndex,
    /// DROP INDEX.
    DropIndex,
    /// DROP DATABASE.
    DropDatabase,
}

impl DdlKind {
    /// All of them with their words.
    pub const ALL: [(&'static str, Self); 9] = [
        ("create-table", Self::CreateTable),
        ("alter-table", Self::AlterTable),
        ("drop-column", Self::DropColumn),
        ("drop-table", Self::DropTable),
        ("rename-table", Self::RenameTable),
        ("truncate", Self::Truncate),
        ("create-index", Self::CreateIndex),
        ("drop-index", Self::DropIndex),
        ("drop-database", Self::DropDatabase),
    ];

    /// The kind of this word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == word).map(|(_, kind)| *kind)
    }

    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(_, kind)| *kind == self)
            .map_or("alter-table", |(word, _)| word)
    }

    /// Leaving it out still leaves known which row belongs to which table.
    #[must_use]
    pub fn can_be_skipped(self) -> bool {
        self != Self::RenameTable
    }
}

/// What to do with a change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DdlAction {
    /// Carry it out.
    #[default]
    Apply,
    /// Wait until a person asks for it.
    Pause,
    /// Leave the target as it is.
    Skip,
}

/// `on_ddl` of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DdlPolicy {
    /// For kinds that are not named.
    pub default: DdlAction,
    /// For those that are.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub kinds: BTreeMap<DdlKind, DdlAction>,
}

impl DdlPolicy {
    /// Everything is carried out.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// What to do with a change of this kind. Dropping a column is altering a table unless it is named itself.
    #[must_use]
    pub fn action(&self, kind: DdlKind) -> DdlAction {
        let wider = if kind == DdlKind::DropColumn {
            DdlKind::AlterTable
        } else {
            kind
        };
        let named = self.kinds.get(&kind).or_else(|| self.kinds.get(&wider));
        named.copied().unwrap_or(self.default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrowest_name_decides() {
        let mut policy = DdlPolicy {
            default: DdlAction::Pause,
            ..DdlPolicy::default()
        };
        assert_eq!(policy.action(DdlKind::DropColumn), DdlAction::Pause);
        policy.kinds.insert(DdlKind::AlterTable, DdlAction::Apply);
        assert_eq!(policy.action(DdlKind::DropColumn), DdlAction::Apply);
        policy.kinds.insert(DdlKind::DropColumn, DdlAction::Pause);
        assert_eq!(policy.action(DdlKind::DropColumn), DdlAction::Pause);
        assert_eq!(policy.action(DdlKind::AlterTable), DdlAction::Apply);
        assert_eq!(policy.action(DdlKind::Truncate), DdlAction::Pause);
    }

    #[test]
    fn every_word_is_its_kind_in_text_and_json() {
        for (word, kind) in DdlKind::ALL {
            assert_eq!((DdlKind::of_word(word), kind.word()), (Some(kind), word));
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{word}\""));
        }
    }
}
