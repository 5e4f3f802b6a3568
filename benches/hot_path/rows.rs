//! What the operations work on: transactions of updates in a table of ten columns, as items and as the packets of a binlog dump.

use peer::core::change::{BinlogPosition, Change, Item, Row, TxnPart};
use peer::core::gtid_set::{Gtid, SourceId};
use peer::core::row::RowLayout;
use peer::core::shape::{Column, ColumnKind, RowKey, ShapeId, TableName, TableShape};

/// Changes in each transaction.
pub const ROWS: u64 = 50;
/// The source of all of them.
const UUID: [u8; 16] = [7; 16];

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

/// `shop.orders`.
pub fn shape() -> TableShape {
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

/// The row of a key, in the state that `word` names.
pub fn row(layout: &RowLayout, key: u64, word: &str) -> Row {
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
    layout.build(&values.map(Some)).expect("the values are those of the columns")
}

/// The `number`th transaction of the source.
pub fn gtid(number: u64) -> Gtid {
    let source = SourceId {
        uuid: UUID,
        tag: String::new(),
    };
    Gtid { source, number }
}

/// `transactions` of `ROWS` updates each, every one of another key.
pub fn items(layout: &RowLayout, transactions: u64) -> Vec<Item> {
    let part = |number: u64| {
        let changes = (0..ROWS).map(|at| {
            let key = number * ROWS + at;
            Change::Update {
                shape: ShapeId(0),
                before: row(layout, key, "before"),
                after: row(layout, key, "after"),
            }
        });
        Item::Txn(TxnPart {
            gtid: gtid(number + 1),
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
    (0..transactions).map(part).collect()
}

/// The same as a server sends them, with checksums.
pub fn packets(items: &[Item]) -> Vec<u8> {
    let mut packets = Vec::new();
    let columns = [8u8, 3, 3, 2, 246, 15, 15, 18, 5, 13];
    // Precision and scale, two lengths, digits of a second, bytes.
    let metadata = [12u8, 2, 200, 0, 200, 0, 3, 8];
    let mut map = vec![1, 0, 0, 0, 0, 0, 1, 0];
    for name in ["shop", "orders"] {
        map.push(u8::try_from(name.len()).expect("it is short"));
        map.extend_from_slice(name.as_bytes());
        map.push(0);
    }
    map.push(10);
    map.extend_from_slice(&columns);
    map.push(8);
    map.extend_from_slice(&metadata);
    map.extend_from_slice(&[0xff, 3]);
    for item in items {
        let Item::Txn(part) = item else { continue };
        let mut begin = vec![0];
        begin.extend_from_slice(&UUID);
        begin.extend_from_slice(&part.gtid.number.to_le_bytes());
        begin.push(2);
        begin.extend_from_slice(&[0; 16]);
        push_event(&mut packets, 33, &begin);
        push_event(&mut packets, 2, &[&[0; 13][..], b"\0BEGIN"].concat());
        push_event(&mut packets, 19, &map);
        // The table, the end of the statement, no extra data, ten columns before and after.
        let mut rows = vec![1, 0, 0, 0, 0, 0, 1, 0, 2, 0, 10, 0xff, 3, 0xff, 3];
        for change in &part.changes {
            change.rows().for_each(|row| rows.extend_from_slice(&row.0));
        }
        push_event(&mut packets, 31, &rows);
        push_event(&mut packets, 16, &[0; 8]);
    }
    packets
}

/// The event every dump begins with: it says that the others have checksums.
pub fn first_packet() -> Vec<u8> {
    let mut body = vec![4, 0];
    body.extend_from_slice(b"8.4.0");
    body.resize(56, 0);
    body.push(19);
    // Bytes behind the header of each kind of event, as `peer::mysql::target::row_events` has them.
    body.extend_from_slice(&[
        56, 13, 0, 8, 0, 0, 0, 0, 4, 0, 4, 0, 0, 0, 98, 0, 4, 26, 8, 0, 0, 0, 8, 8, 8, 2, 0, 0, 0, 10, 10, 10, 42, 42, 0, 18, 52,
        0, 10, 40,
    ]);
    body.push(1);
    let mut packet = Vec::new();
    push_event(&mut packet, 15, &body);
    packet
}

/// A packet with an event and its checksum.
fn push_event(packets: &mut Vec<u8>, kind: u8, body: &[u8]) {
    let size = 19 + body.len() + 4;
    let length = u32::try_from(1 + size).expect("below the size of a packet");
    packets.extend_from_slice(&length.to_le_bytes()[..3]);
    // The number of the packet, and what says that an event follows.
    packets.extend_from_slice(&[0, 0]);
    let from = packets.len();
    packets.extend_from_slice(&[0, 0, 0, 0, kind, 1, 0, 0, 0]);
    packets.extend_from_slice(&u32::try_from(size).expect("as before").to_le_bytes());
    packets.extend_from_slice(&[100, 0, 0, 0, 0, 0]);
    packets.extend_from_slice(body);
    let checksum = crc32fast::hash(&packets[from..]);
    packets.extend_from_slice(&checksum.to_le_bytes());
}
