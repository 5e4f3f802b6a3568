//! Tables of random columns and keys, and random statements about their rows.

use rand::Rng;
use rand::rngs::StdRng;

use crate::column::{Column, Kind, pick};

#[derive(Debug)]
pub struct Table {
    pub name: String,
    columns: Vec<Column>,
    /// Definitions of columns and keys, in order.
    parts: Vec<String>,
}

const NAMES: [&str; 8] = ["c", "Case", "with space", "ünï", "a.b", "d$", "order", "q'"];

impl Table {
    pub fn draw(at: usize, random: &mut StdRng) -> Self {
        let count = random.random_range(1..=8);
        let columns: Vec<Column> = (0..count)
            .map(|column| Column::draw(format!("{}{column}", pick(random, &NAMES)), random))
            .collect();
        let keys = keys(&columns, random);
        let is_keyed = |column: &Column| {
            keys.iter()
                .any(|key| key.starts_with("PRIMARY") && key.contains(&format!("`{}`", column.name)))
        };
        let mut parts = Vec::new();
        for column in &columns {
            // An empty VECTOR, which IGNORE makes of NULL, is a value no statement can write: the job says so and stops.
            let is_required = is_keyed(column) || random.random_bool(0.2) && !matches!(column.kind, Kind::Vector);
            let null = if is_required { "NOT NULL" } else { "NULL" };
            let hidden = if count > 2 && random.random_bool(0.08) {
                " INVISIBLE"
            } else {
                ""
            };
            parts.push(format!("`{}` {} {null}{hidden}", column.name, column.sql));
        }
        // What a session's zone or mode changes is left out: the target computes it again (docs/tables.md).
        let is_sure = |column: &&Column| {
            matches!(
                column.kind,
                Kind::Int { .. } | Kind::Text { .. } | Kind::Bytes { .. } | Kind::Date
            )
        };
        if let Some(base) = columns.iter().find(is_sure)
            && random.random_bool(0.4)
        {
            let stored = pick(random, &["VIRTUAL", "STORED"]);
            let at = random.random_range(0..=parts.len());
            parts.insert(
                at,
                format!("`made` VARCHAR(200) AS (LEFT(HEX(`{}`), 150)) {stored}", base.name),
            );
        }
        parts.extend(keys);
        Self {
            name: format!("t{at}"),
            columns,
            parts,
        }
    }

    pub fn definition(&self) -> String {
        format!("CREATE TABLE `{}` ({})", self.name, self.parts.join(", "))
    }

    /// INSERT, REPLACE, UPDATE or DELETE.
    pub fn statement(&self, random: &mut StdRng) -> String {
        let table = &self.name;
        match random.random_range(0..12) {
            0..=5 => format!("INSERT IGNORE INTO `{table}` {}", self.rows(random)),
            6 => format!("REPLACE INTO `{table}` {}", self.rows(random)),
            7 => {
                let set = self.assignments(random);
                format!("INSERT INTO `{table}` {} ON DUPLICATE KEY UPDATE {set}", self.rows(random))
            }
            8..=10 => format!(
                "UPDATE IGNORE `{table}` SET {} {}",
                self.assignments(random),
                self.some(random)
            ),
            _ => format!("DELETE FROM `{table}` {}", self.some(random)),
        }
    }

    fn rows(&self, random: &mut StdRng) -> String {
        let names: Vec<String> = self.columns.iter().map(|column| format!("`{}`", column.name)).collect();
        let row = |random: &mut StdRng| {
            let values: Vec<String> = self.columns.iter().map(|column| column.value(random)).collect();
            format!("({})", values.join(", "))
        };
        let mut rows: Vec<String> = (0..random.random_range(1..6)).map(|_| row(random)).collect();
        // Duplicates, for tables without a key.
        if random.random_bool(0.3) {
            rows.push(rows[0].clone());
        }
        format!("({}) VALUES {}", names.join(", "), rows.join(", "))
    }

    fn assignments(&self, random: &mut StdRng) -> String {
        let count = random.random_range(1..=self.columns.len().min(3));
        let set: Vec<String> = (0..count)
            .map(|_| {
                let column = pick(random, &self.columns);
                match column.kind {
                    Kind::Int { .. } if random.random_bool(0.5) => format!("`{0}` = `{0}` + 1", column.name),
                    _ => format!("`{}` = {}", column.name, column.value(random)),
                }
            })
            .collect();
        set.join(", ")
    }

    /// Which rows: some by a value, some by number.
    fn some(&self, random: &mut StdRng) -> String {
        let column = pick(random, &self.columns);
        let limit = random.random_range(1..5);
        match column.kind {
            Kind::Json | Kind::Geometry | Kind::Vector => format!("LIMIT {limit}"),
            _ if random.random_bool(0.5) => format!("WHERE `{}` >= {} LIMIT {limit}", column.name, column.value(random)),
            _ => format!("LIMIT {limit}"),
        }
    }
}

/// A row key of some kind or none, and more keys sometimes.
fn keys(columns: &[Column], random: &mut StdRng) -> Vec<String> {
    let parts = |random: &mut StdRng| {
        let count = random.random_range(1..=3);
        let mut parts: Vec<String> = Vec::new();
        for _ in 0..count {
            let column = pick(random, columns);
            let is_new = !parts.iter().any(|part| part.starts_with(&format!("`{}`", column.name)));
            if let Some(part) = column.key_part(random)
                && is_new
            {
                parts.push(part);
            }
        }
        parts.join(", ")
    };
    let mut keys = Vec::new();
    for (chance, head) in [(0.6, "PRIMARY KEY"), (0.35, "UNIQUE KEY"), (0.15, "UNIQUE KEY"), (0.2, "KEY")] {
        let parts = parts(random);
        if random.random_bool(chance) && !parts.is_empty() {
            keys.push(format!("{head} ({parts})"));
        }
    }
    keys
}
