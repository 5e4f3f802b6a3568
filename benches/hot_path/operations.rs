//! What is measured: the work a peer does for each row, one operation per stage.

use std::hint::black_box;
use std::sync::Arc;

use peer::core::change::{Item, Row, TxnPart};
use peer::core::conflict::Check;
use peer::core::group::{Group, GroupLimits, Grouper, Table};
use peer::core::gtid_set::GtidSet;
use peer::core::minimal_image::MinimalImages;
use peer::core::row::RowLayout;
use peer::core::row_filter::RowFilter;
use peer::core::shape::{ShapeId, TableShape};
use peer::mysql::source::offline::OfflineReader;
use peer::mysql::source::reader::{ReaderEvent, Scope};
use peer::mysql::target::row_events::RowEvents;
use peer::mysql::target::statement::{STATEMENT_ROWS_MAX, StatementLimits, TableSql};
use peer::wire::batch::{BatchEncoder, decode_batch, encode_batch};
use peer::wire::compress::{Compression, Compressor, unpack};

use crate::rows;

/// As an apply session has it with a packet of 4 MiB or more.
const LIMITS: StatementLimits = StatementLimits {
    rows: STATEMENT_ROWS_MAX,
    bytes: 1 << 20,
};

/// One stage.
pub struct Operation {
    /// What it does; the baseline has it under this name.
    pub name: &'static str,
    /// What the figures are divided by.
    pub count: u64,
    /// Does it `count` times.
    pub run: Box<dyn FnMut()>,
}

fn operation(name: &'static str, count: u64, run: impl FnMut() + 'static) -> Operation {
    let run = Box::new(run);
    Operation { name, count, run }
}

/// All of them, over this many transactions, in the order in which a row meets them.
pub fn all(transactions: u64) -> Vec<Operation> {
    let shape = rows::shape();
    let layout = RowLayout::new(&shape);
    let items = rows::items(&layout, transactions);
    let count = transactions * rows::ROWS;
    let mut all = on_the_source(&shape, &items, count);
    all.extend(on_the_wire(&items, count));
    all.extend(on_the_target(&shape, &items, count));
    all.extend(of_gtid_sets(transactions));
    all
}

fn on_the_source(shape: &TableShape, items: &[Item], count: u64) -> Vec<Operation> {
    let layout = RowLayout::new(shape);
    let one = rows::row(&layout, 42, "one");
    let packets = rows::packets(items);
    let mut other = shape.clone();
    other.name.table = "others".into();
    let reader = |table: &TableShape| {
        let mut reader = OfflineReader::new(Scope::new(vec![(ShapeId(0), table.clone())]));
        reader.take(&rows::first_packet(), drop).expect("it begins a dump");
        reader
    };
    let decode = |name, table: &TableShape, expected: u64| {
        let (mut reader, packets) = (reader(table), packets.clone());
        operation(name, count, move || {
            let mut found = 0;
            let count_rows = |event: ReaderEvent| {
                if let ReaderEvent::Changes(changes) = black_box(event) {
                    found += changes.len() as u64;
                }
            };
            reader.take(black_box(&packets), count_rows).expect("a dump");
            assert_eq!(found, expected, "updates that were read");
        })
    };
    let filter = RowFilter::of("c1 > 100 AND c3 IN (7, 265) AND c9 IS NOT NULL", shape).expect("it is understood");
    let (filtered, split) = (one.clone(), one);
    vec![
        decode("decode an update", shape, count),
        decode("pass over an update of another table", &other, 0),
        operation("decide a row by its filter", count, move || {
            for _ in 0..count {
                let decided = filter.decides(black_box(&filtered)).expect("a row of the table");
                assert_eq!(decided, Some(true));
            }
        }),
        operation("split a row into its values", count, move || {
            let mut values = Vec::new();
            for _ in 0..count {
                layout.split(black_box(&split.0), &mut values).expect("a row of the table");
                black_box(&values);
            }
        }),
    ]
}

fn on_the_wire(items: &[Item], count: u64) -> Vec<Operation> {
    let mut encoder = BatchEncoder::default();
    let plain = encode_batch(items, Compression::None, &mut encoder).expect("it is not too long");
    // Without the byte that says how it is packed.
    let body = plain.slice(1..);
    let mut compressor = Compressor::default();
    let packed = compressor.pack(&body, Compression::Lz4);
    assert!(packed.len() < body.len() / 2, "{} of {} bytes", packed.len(), body.len());
    let items = items.to_vec();
    vec![
        operation("encode an update in a batch", count, move || {
            drop(black_box(
                encode_batch(&items, Compression::None, &mut encoder).expect("as before"),
            ));
        }),
        operation("decode an update of a batch", count, move || {
            drop(black_box(decode_batch(plain.clone()).expect("it was encoded")));
        }),
        operation("pack an update with LZ4", count, move || {
            drop(black_box(compressor.pack(&body, Compression::Lz4)));
        }),
        operation("unpack an update with LZ4", count, move || {
            drop(black_box(unpack(packed.clone()).expect("it was packed")));
        }),
    ]
}

fn parts(items: &[Item]) -> impl Iterator<Item = &TxnPart> {
    items.iter().filter_map(|item| match item {
        Item::Txn(part) => Some(part),
        _ => None,
    })
}

fn group(shape: &TableShape, items: &[Item]) -> Group {
    let mut grouper = Grouper::new(GroupLimits {
        transactions: u64::MAX,
        bytes: u64::MAX,
    });
    grouper.set_shape(ShapeId(0), shape.clone());
    grouper.set_folded(&[ShapeId(0)]);
    for part in parts(items) {
        grouper.push(part.clone()).expect("the updates follow each other");
    }
    grouper.take()
}

fn minimal_items(images: &MinimalImages, items: &[Item]) -> Vec<Item> {
    let cut = |item: &Item| {
        let Item::Txn(part) = item else { return item.clone() };
        let mut part = part.clone();
        part.changes
            .iter_mut()
            .for_each(|change| *change = images.cut(change.clone()).expect("a row of the table"));
        Item::Txn(part)
    };
    items.iter().map(cut).collect()
}

fn on_the_target(shape: &TableShape, items: &[Item], count: u64) -> Vec<Operation> {
    let sql = Arc::new(TableSql::new(Arc::new(Table::new(shape.clone()))));
    let effect = group(shape, items).tables.remove(0);
    let afters: Vec<Row> = effect.updates.iter().map(|update| update.1.clone()).collect();
    assert_eq!(afters.len() as u64, count);
    let events = RowEvents::of(&sql).expect("its columns go this way");
    let mut inserts = effect.clone();
    (inserts.inserts, inserts.updates) = (afters.clone(), Vec::new());
    let minimal = MinimalImages::of(shape).expect("its rows can be cut");
    let cut = minimal_items(&minimal, items);
    let cut_effect = group(shape, &cut).tables.remove(0);
    assert_eq!(cut_effect.partials.len() as u64, count);
    let cut_events = RowEvents::of(&sql).expect("its columns go this way");
    let (cut_shape, whole) = (shape.clone(), items.to_vec());
    let (shape, items) = (shape.clone(), items.to_vec());
    let insert = Arc::clone(&sql);
    vec![
        operation("fold an update into a group", count, move || {
            black_box(group(&shape, &items));
        }),
        operation("write an update as SQL", count, move || {
            drop(black_box(sql.effect(&effect, LIMITS, Check::Key).expect("rows of the table")));
        }),
        operation("write an insert as SQL", count, move || {
            drop(black_box(insert.insert(afters.iter(), LIMITS).expect("rows of the table")));
        }),
        operation("write an insert as a row event", count, move || {
            drop(black_box(events.statements(&inserts, LIMITS).expect("rows of the table")));
        }),
        operation("cut an update to minimal images", count, move || {
            drop(black_box(minimal_items(&minimal, &whole)));
        }),
        operation("fold minimal images into a group", count, move || {
            black_box(group(&cut_shape, &cut));
        }),
        operation("write minimal images as a row event", count, move || {
            drop(black_box(
                cut_events.statements(&cut_effect, LIMITS).expect("rows of the table"),
            ));
        }),
    ]
}

fn of_gtid_sets(transactions: u64) -> Vec<Operation> {
    let gtids: Vec<_> = (1..=transactions).map(rows::gtid).collect();
    // Every second one: as many intervals as members.
    let holes: GtidSet = gtids.iter().step_by(2).fold(GtidSet::default(), |mut set, gtid| {
        set.add(gtid);
        set
    });
    let (asked, with_holes, merged) = (gtids.clone(), holes.clone(), gtids.clone());
    vec![
        operation("add a GTID to a set", transactions, move || {
            let mut set = GtidSet::default();
            for gtid in &gtids {
                set.add(black_box(gtid));
            }
            black_box(set);
        }),
        operation("find a GTID in a set with holes", transactions, move || {
            let found = asked.iter().filter(|gtid| with_holes.contains(black_box(gtid))).count();
            assert_eq!(found, asked.len().div_ceil(2));
        }),
        operation("close a hole of a set", transactions / 2, move || {
            let mut set = holes.clone();
            for gtid in merged.iter().skip(1).step_by(2) {
                set.add(black_box(gtid));
            }
            black_box(set);
        }),
    ]
}
