//! Bytes of a binlog stream: table maps, rows, statements, in any order and damaged in any way, for a table of any columns.
#![no_main]

use libfuzzer_sys::fuzz_target;
use peer::core::key::key_of;
use peer::core::row::RowLayout;
use peer::core::shape::{Column, ColumnKind, RowKey, TableName, TableShape};
use peer::core::value::Value;
use peer::mysql::source::fuzz_door::changes_in;

/// A column kind of two bytes.
fn kind(word: u8, size: u8) -> ColumnKind {
    let wide = u32::from(size) * 7;
    let fsp = size % 7;
    let members = || (0..=u32::from(size)).map(|label| label.to_string()).collect();
    match word % 22 {
        0 => ColumnKind::Int {
            bytes: [1, 2, 3, 4, 8][usize::from(size) % 5],
            unsigned: size > 127,
        },
        1 => ColumnKind::Decimal {
            precision: size % 65 + 1,
            scale: (size / 3 % 31).min(size % 65 + 1),
        },
        2 => ColumnKind::Float,
        3 => ColumnKind::Double,
        4 => ColumnKind::Bit { bits: size % 64 + 1 },
        5 => ColumnKind::Year,
        6 => ColumnKind::Date,
        7 => ColumnKind::Time { fsp },
        8 => ColumnKind::DateTime { fsp },
        9 => ColumnKind::Timestamp { fsp },
        10 => ColumnKind::Char { bytes_max: wide },
        11 => ColumnKind::VarChar { bytes_max: wide },
        12 => ColumnKind::Binary { bytes: wide.min(255) },
        13 => ColumnKind::VarBinary { bytes_max: wide },
        14 => ColumnKind::Blob {
            length_bytes: size % 4 + 1,
        },
        15 => ColumnKind::Text {
            length_bytes: size % 4 + 1,
        },
        16 => ColumnKind::Json,
        17 => ColumnKind::Geometry,
        18 => ColumnKind::Vector,
        19 => ColumnKind::Enum { members: members() },
        20 => ColumnKind::Set {
            members: (0..=size % 64).map(|label| label.to_string()).collect(),
        },
        _ => ColumnKind::Enum {
            members: (0..300).map(|label: u32| label.to_string()).collect(),
        },
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((&count, rest)) = data.split_first() else { return };
    let count = usize::from(count % 9) + 1;
    if rest.len() < 2 * count {
        return;
    }
    let (kinds, stream) = rest.split_at(2 * count);
    let columns = kinds.chunks(2).enumerate().map(|(at, pair)| Column {
        name: format!("c{at}"),
        kind: kind(pair[0], pair[1]),
        is_nullable: true,
        is_generated: false,
        charset: None,
        collation: None,
    });
    let shape = TableShape {
        cascades: Vec::new(),
        name: TableName {
            schema: "s".into(),
            table: "t".into(),
        },
        columns: columns.collect(),
        key: Some(RowKey {
            index: "PRIMARY".into(),
            columns: vec![0],
        }),
        has_secondary_unique: false,
        create_sql: String::new(),
        map: None,
        defaults: Default::default(),
    };
    let layout = RowLayout::new(&shape);
    for row in changes_in(&shape, stream) {
        let mut values = Vec::new();
        layout.split(&row.0, &mut values).expect("a row that was read can be split");
        for (column, value) in shape.columns.iter().zip(&values) {
            if let Some(raw) = value {
                let _ = Value::decode(&column.kind, raw);
            }
        }
        // Not the same bytes: a damaged row may set bits of the bitmap that no column has.
        let rebuilt = layout.build(&values).expect("a row that was split can be built");
        let mut again = Vec::new();
        layout
            .split(&rebuilt.0, &mut again)
            .expect("a row that was built can be split");
        assert_eq!(again, values, "split and build are inverse");
        let _ = key_of(&shape, &layout, &row);
    }
});
