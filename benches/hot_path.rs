//! What one row costs between the binlog and the SQL text, stage by stage: `cargo bench`.
//!
//! Times are of this machine and noisy; compare stages with each other and runs with the same machine. Each stage works on
//! the same 200 transactions of 50 rows in 10 columns; the median of 9 rounds is printed.

#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;
use std::time::Instant;

use peer::core::change::{BinlogPosition, Change, Item, Row, TxnPart};
use peer::core::group::{GroupLimits, Grouper};
use peer::core::gtid_set::{Gtid, GtidSet, SourceId};
use peer::core::row::RowLayout;
use peer::core::shape::{Column, ColumnKind, RowKey, ShapeId, TableName, TableShape};
use peer::wire::batch::{BatchEncoder, decode_batch, encode_batch};
use peer::wire::compress::Compression;

const TRANSACTIONS: u64 = 200;
const ROWS: u64 = 50;
const ROUNDS: usize = 9;

fn column(name: &str, kind: ColumnKind) -> Column {
    let is_text = matches!(kind, ColumnKind::VarChar { .. });
    let text = |value: &str| is_text.then(|| value.to_owned());
    Column {
        name: name.to_owned(),
        kind,
        is_nullable: true,
        is_generated: false,
        charset: text("utf8mb4"),
        collation: text("utf8mb4_0900_ai_ci"),
    }
}

fn shape() -> TableShape {
    let int = |bytes| ColumnKind::Int { bytes, unsigned: false };
    let kinds = [
        int(8),
        int(4),
        int(4),
        int(2),
        ColumnKind::Decimal { precision: 12, scale: 2 },
        ColumnKind::VarChar { bytes_max: 200 },
        ColumnKind::VarChar { bytes_max: 200 },
        ColumnKind::DateTime { fsp: 3 },
        ColumnKind::Double,
        ColumnKind::Year,
    ];
    TableShape {
        name: TableName {
            schema: "shop".into(),
            table: "orders".into(),
        },
        columns: kinds
            .into_iter()
            .enumerate()
            .map(|(at, kind)| column(&format!("c{at}"), kind))
            .collect(),
        key: Some(RowKey {
            index: "PRIMARY".into(),
            columns: vec![0],
        }),
        map: None,
        has_secondary_unique: false,
        create_sql: String::new(),
        defaults: None,
        cascades: Vec::new(),
    }
}

fn row(layout: &RowLayout, key: u64, word: &str) -> Row {
    let name = format!("customer {word} {}", key % 5000);
    let values: [&[u8]; 10] = [
        &key.to_le_bytes(),
        &[1, 2, 3, 4],
        &[5, 6, 7, 8],
        &[9, 1],
        &[0x80, 0, 0, 1, 0x22, 10],
        name.as_bytes(),
        b"a note of middle length, as notes are",
        &[0x99, 0xb2, 0x76, 0x00, 0x00, 0x03, 0xe8],
        &1.5f64.to_le_bytes(),
        &[124],
    ];
    layout.build(&values.map(Some)).unwrap()
}

fn items(layout: &RowLayout) -> Vec<Item> {
    let source = SourceId {
        uuid: [7; 16],
        tag: String::new(),
    };
    let shape = ShapeId(0);
    let part = |number: u64| {
        let changes = (0..ROWS).map(|at| {
            let key = number * ROWS + at;
            Change::Update {
                shape,
                before: row(layout, key, "before"),
                after: row(layout, key, "after"),
            }
        });
        Item::Txn(TxnPart {
            gtid: Gtid {
                source: source.clone(),
                number: number + 1,
            },
            is_first: true,
            is_last: true,
            last_committed: 0,
            sequence_number: 0,
            prepared: None,
            commit_us: 0,
            position: BinlogPosition::default(),
            changes: changes.collect(),
        })
    };
    (0..TRANSACTIONS).map(part).collect()
}

/// Prints the median time of `stage` per `count` things.
fn time(name: &str, count: u64, mut stage: impl FnMut()) {
    let mut rounds: Vec<u128> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            stage();
            start.elapsed().as_nanos()
        })
        .collect();
    rounds.sort_unstable();
    println!("{name:<28} {:>8.1} ns", rounds[ROUNDS / 2] as f64 / count as f64);
}

fn main() {
    let shape = shape();
    let layout = RowLayout::new(&shape);
    let items = items(&layout);
    let rows = TRANSACTIONS * ROWS;
    let one = row(&layout, 42, "one");

    println!(
        "{TRANSACTIONS} transactions, {ROWS} updates each, {} bytes a row; per row or as named",
        one.0.len()
    );
    let mut values = Vec::new();
    time("split a row", rows, || {
        for _ in 0..rows {
            layout.split(black_box(&one.0), &mut values).unwrap();
        }
    });
    let mut encoder = BatchEncoder::default();
    for compression in [Compression::None, Compression::Lz4] {
        let packed = encode_batch(&items, compression, &mut encoder).unwrap();
        println!("batch with {compression:?}: {} bytes", packed.len());
        time("  encode", rows, || {
            drop(black_box(encode_batch(&items, compression, &mut encoder).unwrap()))
        });
        time("  decode", rows, || drop(black_box(decode_batch(packed.clone()).unwrap())));
    }
    time("fold into a group", rows, || {
        let mut grouper = Grouper::new(GroupLimits {
            transactions: u64::MAX,
            bytes: u64::MAX,
        });
        grouper.set_shape(ShapeId(0), shape.clone());
        for item in &items {
            let Item::Txn(part) = item else { continue };
            grouper.push(part.clone()).unwrap();
        }
        black_box(grouper.take());
    });
    let mut set = GtidSet::default();
    time("add a GTID to a set", TRANSACTIONS, || {
        for item in &items {
            let Item::Txn(part) = item else { continue };
            set.add(&part.gtid);
        }
    });
}
