//! Items of the change sequence as bytes: one batch is the body of one data frame.
//!
//! Made by `flow::sender`, read by `flow::receiver`. Layout before packing: a bincode header (the items without their
//! rows, shapes as JSON text) and behind it the raw bytes of all rows in order. The whole is packed by `compress`. On
//! receipt length and checksum were checked by `frame`; here follow bounded unpacking, limited decoding of the header
//! and consumed == length. Rows are slices of the unpacked body. It does not cut: the sender keeps to `item_bytes`.

use bincode::{Decode, Encode};
use bytes::Bytes;

use crate::core::change::{Change, Chunk, CopyPlan, Item, Key, Row, TxnPart};
use crate::core::ddl::Ddl;
use crate::core::gtid_set::GtidSet;
use crate::core::image::Image;
use crate::core::shape::ShapeId;
use crate::wire::codec;
use crate::wire::compress::{Compression, Compressor, unpack};
use crate::wire::error::WireError;
use crate::wire::txn_head::{GtidHead, TxnHead};
pub use crate::wire::weight::{change_bytes, item_bytes};

/// Most bytes of a batch before packing: an UPDATE of the largest row that is carried. Bounds what a peer makes another hold; four
/// times a LONGBLOB of 64 MiB, before and after (guess: servers take 64 MiB by default).
pub const BATCH_BYTES_MAX: usize = 256 * 1024 * 1024;

/// An item without its rows. Append-only: variants are numbered by their place.
#[derive(Debug, Encode, Decode)]
enum Head {
    Start {
        executed: String,
        source_uuid: String,
        copy: Vec<PlanHead>,
    },
    Shape {
        id: u32,
        json: String,
    },
    Txn(TxnHead),
    Chunk(ChunkHead),
    Reset {
        shape: u32,
    },
    Ddl {
        json: String,
        statement: Vec<u8>,
    },
    /// A transaction that ends a prepared one.
    XaEnd(TxnHead, GtidHead),
}

#[derive(Debug, Encode, Decode)]
struct PlanHead {
    shape: u32,
    rows_estimate: Option<u64>,
}

/// A change: its table and the lengths of its rows.
#[derive(Debug, Encode, Decode)]
pub(super) enum ChangeHead {
    Insert {
        shape: u32,
        after: u32,
    },
    Update {
        shape: u32,
        before: u32,
        after: u32,
    },
    Delete {
        shape: u32,
        before: u32,
    },
    Partial {
        shape: u32,
        before: ImageHead,
        after: Option<ImageHead>,
    },
    /// A change that cascades, each kind by itself: a head inside of a head would let bytes decide how deep.
    CascadeDelete {
        shape: u32,
        before: u32,
    },
    CascadeUpdate {
        shape: u32,
        before: u32,
        after: u32,
    },
    CascadePartial {
        shape: u32,
        before: ImageHead,
        after: Option<ImageHead>,
    },
}

/// An image that lacks columns: the bitmap of those it has, and the length of its row.
#[derive(Debug, Encode, Decode)]
pub(super) struct ImageHead {
    present: Vec<u8>,
    row: u32,
}

#[derive(Debug, Encode, Decode)]
struct ChunkHead {
    shape: u32,
    low: Option<Vec<Vec<u8>>>,
    high: Option<Vec<Vec<u8>>>,
    is_last: bool,
    /// Lengths of the rows.
    rows: Vec<u32>,
}

/// What one link keeps from batch to batch: the compressor's table and the buffer before packing.
#[derive(Debug, Default)]
pub struct BatchEncoder {
    compressor: Compressor,
    plain: Vec<u8>,
}

impl BatchEncoder {
    /// Bytes of the last batch before packing.
    #[must_use]
    pub fn raw_bytes(&self) -> usize {
        self.plain.len()
    }
}

pub(super) fn ddl_json(ddl: &Ddl) -> String {
    serde_json::to_string(ddl).expect("a change of definitions has only text keys")
}

/// Encodes items, packed as `compression` says. Never longer than a data frame when the items' [`item_bytes`] are not; what is
/// longer goes through `pieces`.
///
/// # Errors
/// [`WireError::TooLong`] when the items exceed [`BATCH_BYTES_MAX`] before packing: the receiver would refuse them.
pub fn encode_batch(items: &[Item], compression: Compression, encoder: &mut BatchEncoder) -> Result<Bytes, WireError> {
    let heads: Vec<Head> = items.iter().map(head_of).collect();
    encoder.plain = codec::encode(&heads);
    for item in items {
        each_row(item, |row| encoder.plain.extend_from_slice(&row.0));
    }
    // One byte less: `compress` puts its codec byte before the body.
    let (found, max) = (encoder.plain.len(), BATCH_BYTES_MAX - 1);
    if found > max {
        return Err(WireError::TooLong {
            what: "a batch",
            found,
            max,
        });
    }
    Ok(encoder.compressor.pack(&encoder.plain, compression))
}

/// Decodes what [`encode_batch`] made.
///
/// # Errors
/// Any [`WireError`]; damaged or hostile bytes never panic and never claim more memory than the limits of `wire`.
pub fn decode_batch(packed: Bytes) -> Result<Vec<Item>, WireError> {
    let plain = unpack(packed)?;
    let (heads, consumed) = codec::decode_front::<Vec<Head>>(&plain, BATCH_BYTES_MAX)?;
    let mut body = Body {
        bytes: plain,
        at: consumed,
    };
    let items = heads
        .into_iter()
        .map(|head| item_of(head, &mut body))
        .collect::<Result<Vec<_>, _>>()?;
    if body.at != body.bytes.len() {
        return Err(WireError::Trailing {
            what: "a batch",
            consumed: body.at,
            found: body.bytes.len(),
        });
    }
    Ok(items)
}

fn head_of(item: &Item) -> Head {
    match item {
        Item::Start {
            executed,
            source_uuid,
            copy,
        } => Head::Start {
            executed: executed.to_string(),
            source_uuid: source_uuid.clone(),
            copy: copy.iter().map(plan_head_of).collect(),
        },
        Item::Shape { id, shape } => Head::Shape {
            id: id.0,
            json: serde_json::to_string(shape).expect("a shape has only text and number keys"),
        },
        Item::Txn(part) => {
            let head = TxnHead::of(part, part.changes.iter().map(change_head_of).collect());
            match &part.prepared {
                None => Head::Txn(head),
                Some(prepared) => Head::XaEnd(head, GtidHead::of(prepared)),
            }
        }
        Item::Chunk(chunk) => Head::Chunk(ChunkHead {
            shape: chunk.shape.0,
            low: chunk.low.as_ref().map(|key| key.0.clone()),
            high: chunk.high.as_ref().map(|key| key.0.clone()),
            is_last: chunk.is_last,
            rows: chunk.rows.iter().map(row_length).collect(),
        }),
        Item::Reset { shape } => Head::Reset { shape: shape.0 },
        Item::Ddl(ddl) => Head::Ddl {
            json: ddl_json(ddl),
            statement: ddl.statement.clone(),
        },
    }
}

fn plan_head_of(plan: &CopyPlan) -> PlanHead {
    PlanHead {
        shape: plan.shape.0,
        rows_estimate: plan.rows_estimate,
    }
}

fn change_head_of(change: &Change) -> ChangeHead {
    match change {
        Change::Insert { shape, after } => ChangeHead::Insert {
            shape: shape.0,
            after: row_length(after),
        },
        Change::Update { shape, before, after } => ChangeHead::Update {
            shape: shape.0,
            before: row_length(before),
            after: row_length(after),
        },
        Change::Delete { shape, before } => ChangeHead::Delete {
            shape: shape.0,
            before: row_length(before),
        },
        Change::Partial { shape, before, after } => ChangeHead::Partial {
            shape: shape.0,
            before: image_head_of(before),
            after: after.as_ref().map(image_head_of),
        },
        Change::Cascade(change) => match change_head_of(change) {
            ChangeHead::Delete { shape, before } => ChangeHead::CascadeDelete { shape, before },
            ChangeHead::Update { shape, before, after } => ChangeHead::CascadeUpdate { shape, before, after },
            ChangeHead::Partial { shape, before, after } => ChangeHead::CascadePartial { shape, before, after },
            // An insert cascades nothing.
            other => other,
        },
    }
}

fn image_head_of(image: &Image) -> ImageHead {
    ImageHead {
        present: image.present.to_vec(),
        row: row_length(&image.row),
    }
}

/// A row over 4 GiB cannot exist; were it to, the batch is refused as too long before the length is used.
fn row_length(row: &Row) -> u32 {
    u32::try_from(row.0.len()).unwrap_or(u32::MAX)
}

fn each_row(item: &Item, take: impl FnMut(&Row)) {
    match item {
        Item::Txn(part) => part.changes.iter().flat_map(Change::rows).for_each(take),
        Item::Chunk(chunk) => chunk.rows.iter().for_each(take),
        Item::Start { .. } | Item::Shape { .. } | Item::Reset { .. } | Item::Ddl(_) => {}
    }
}

/// The raw rows behind the header, taken from the front.
struct Body {
    bytes: Bytes,
    at: usize,
}

impl Body {
    fn row(&mut self, length: u32) -> Result<Row, WireError> {
        let left = self.bytes.len() - self.at;
        let length = length as usize;
        if length > left {
            return Err(WireError::Truncated {
                what: "the rows of a batch",
                found: left,
                expected: length,
            });
        }
        let row = self.bytes.slice(self.at..self.at + length);
        self.at += length;
        Ok(Row(row))
    }
}

fn item_of(head: Head, body: &mut Body) -> Result<Item, WireError> {
    Ok(match head {
        Head::Start {
            executed,
            source_uuid,
            copy,
        } => Item::Start {
            executed: GtidSet::parse(&executed).map_err(|error| malformed("a GTID set", &error))?,
            source_uuid,
            copy: copy.into_iter().map(plan_of).collect(),
        },
        Head::Shape { id, json } => Item::Shape {
            id: ShapeId(id),
            shape: serde_json::from_str(&json).map_err(|error| malformed("a shape", &error))?,
        },
        Head::Txn(head) => Item::Txn(txn_of(head, None, body)?),
        Head::XaEnd(head, prepared) => Item::Txn(txn_of(head, Some(prepared), body)?),
        Head::Chunk(head) => Item::Chunk(Chunk {
            shape: ShapeId(head.shape),
            low: head.low.map(Key),
            high: head.high.map(Key),
            rows: head
                .rows
                .into_iter()
                .map(|length| body.row(length))
                .collect::<Result<_, _>>()?,
            is_last: head.is_last,
        }),
        Head::Reset { shape } => Item::Reset { shape: ShapeId(shape) },
        Head::Ddl { json, statement } => Item::Ddl(Box::new(Ddl {
            statement,
            ..serde_json::from_str(&json).map_err(|error| malformed("a change of definitions", &error))?
        })),
    })
}

fn plan_of(head: PlanHead) -> CopyPlan {
    CopyPlan {
        shape: ShapeId(head.shape),
        rows_estimate: head.rows_estimate,
    }
}

fn txn_of(mut head: TxnHead, prepared: Option<GtidHead>, body: &mut Body) -> Result<TxnPart, WireError> {
    let changes = std::mem::take(&mut head.changes).into_iter();
    let changes = changes.map(|change| change_of(change, body)).collect::<Result<_, _>>()?;
    Ok(head.into_part(changes, prepared.map(GtidHead::into_gtid)))
}

fn change_of(head: ChangeHead, body: &mut Body) -> Result<Change, WireError> {
    Ok(match head {
        ChangeHead::Insert { shape, after } => Change::Insert {
            shape: ShapeId(shape),
            after: body.row(after)?,
        },
        ChangeHead::Update { shape, before, after } => Change::Update {
            shape: ShapeId(shape),
            before: body.row(before)?,
            after: body.row(after)?,
        },
        ChangeHead::Delete { shape, before } => Change::Delete {
            shape: ShapeId(shape),
            before: body.row(before)?,
        },
        ChangeHead::Partial { shape, before, after } => Change::Partial {
            shape: ShapeId(shape),
            before: image_of(before, body)?,
            after: after.map(|after| image_of(after, body)).transpose()?,
        },
        ChangeHead::CascadeDelete { shape, before } => cascade_of(ChangeHead::Delete { shape, before }, body)?,
        ChangeHead::CascadeUpdate { shape, before, after } => cascade_of(ChangeHead::Update { shape, before, after }, body)?,
        ChangeHead::CascadePartial { shape, before, after } => cascade_of(ChangeHead::Partial { shape, before, after }, body)?,
    })
}

fn cascade_of(head: ChangeHead, body: &mut Body) -> Result<Change, WireError> {
    Ok(Change::Cascade(Box::new(change_of(head, body)?)))
}

fn image_of(head: ImageHead, body: &mut Body) -> Result<Image, WireError> {
    Ok(Image {
        row: body.row(head.row)?,
        present: head.present.into(),
    })
}

fn malformed(what: &'static str, error: &dyn std::error::Error) -> WireError {
    WireError::Malformed {
        what,
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::core::change::BinlogPosition;
    use crate::core::ddl::{DdlSession, DdlStep, Replacement};
    use crate::core::ddl_policy::DdlKind;
    use crate::core::gtid_set::{Gtid, SourceId};
    use crate::core::shape::{Column, ColumnKind, RowKey, TableName, TableShape};

    fn row() -> impl Strategy<Value = Row> {
        vec(any::<u8>(), 0..40).prop_map(|bytes| Row(bytes.into()))
    }

    fn shape_id() -> impl Strategy<Value = ShapeId> {
        any::<u32>().prop_map(ShapeId)
    }

    fn plan() -> impl Strategy<Value = CopyPlan> {
        (shape_id(), any::<Option<u64>>()).prop_map(|(shape, rows_estimate)| CopyPlan { shape, rows_estimate })
    }

    fn change() -> impl Strategy<Value = Change> {
        let cascading = (0..3_u8, shape_id(), row(), row(), image(), proptest::option::of(image()));
        prop_oneof![
            cascading.prop_map(
                |(kind, shape, row, other, image, after)| Change::Cascade(Box::new(match kind {
                    0 => Change::Delete { shape, before: row },
                    1 => Change::Update {
                        shape,
                        before: row,
                        after: other
                    },
                    _ => Change::Partial {
                        shape,
                        before: image,
                        after
                    },
                }))
            ),
            (shape_id(), row()).prop_map(|(shape, after)| Change::Insert { shape, after }),
            (shape_id(), row(), row()).prop_map(|(shape, before, after)| Change::Update { shape, before, after }),
            (shape_id(), row()).prop_map(|(shape, before)| Change::Delete { shape, before }),
            (shape_id(), image(), proptest::option::of(image())).prop_map(|(shape, before, after)| Change::Partial {
                shape,
                before,
                after
            }),
        ]
    }

    fn image() -> impl Strategy<Value = Image> {
        (row(), vec(any::<u8>(), 0..5)).prop_map(|(row, present)| Image {
            row,
            present: present.into(),
        })
    }

    fn position() -> impl Strategy<Value = BinlogPosition> {
        ("[a-z.0-9]{0,20}", any::<u64>()).prop_map(|(file, offset)| BinlogPosition { file, offset })
    }

    fn txn() -> impl Strategy<Value = Item> {
        let gtid = || {
            (any::<[u8; 16]>(), "[a-z]{0,8}", 1..u64::MAX).prop_map(|(uuid, tag, number)| Gtid {
                source: SourceId { uuid, tag },
                number,
            })
        };
        let gtids = (gtid(), proptest::option::of(gtid()));
        let numbers = (any::<i64>(), any::<i64>(), any::<u64>());
        (gtids, any::<bool>(), any::<bool>(), numbers, position(), vec(change(), 0..6)).prop_map(
            |((gtid, prepared), is_first, is_last, (last_committed, sequence_number, commit_us), position, changes)| {
                let (last, own) = (last_committed, sequence_number);
                Item::Txn(TxnPart {
                    gtid,
                    is_first,
                    is_last,
                    last_committed: last,
                    sequence_number: own,
                    commit_us,
                    position,
                    changes,
                    prepared,
                })
            },
        )
    }

    fn chunk() -> impl Strategy<Value = Item> {
        let key = || proptest::option::of(vec(vec(any::<u8>(), 0..9), 0..3).prop_map(Key));
        (shape_id(), key(), key(), vec(row(), 0..6), any::<bool>()).prop_map(|(shape, low, high, rows, is_last)| {
            Item::Chunk(Chunk {
                shape,
                low,
                high,
                rows,
                is_last,
            })
        })
    }

    fn shape() -> TableShape {
        let column = Column {
            name: "id".into(),
            kind: ColumnKind::Int {
                bytes: 8,
                unsigned: true,
            },
            is_nullable: false,
            is_generated: false,
            charset: None,
            collation: None,
        };
        TableShape {
            name: TableName {
                schema: "shop".into(),
                table: "o`\"rders".into(),
            },
            columns: vec![column],
            key: Some(RowKey {
                index: "PRIMARY".into(),
                columns: vec![0],
            }),
            map: None,
            has_secondary_unique: true,
            create_sql: "CREATE TABLE …".into(),
            defaults: None,
            cascades: Vec::new(),
        }
    }

    fn ddl(statement: Vec<u8>) -> Item {
        let by = Replacement {
            shape: shape(),
            since: set("3e11fa47-71ca-11e1-9e33-c80aa9429562:1-9"),
            rows_estimate: None,
        };
        Item::Ddl(Box::new(Ddl {
            gtid: "3e11fa47-71ca-11e1-9e33-c80aa9429562:tag:7".parse().expect("a gtid"),
            commit_us: 5,
            position: BinlogPosition::default(),
            statement,
            session: DdlSession {
                default_schema: "schöp".into(),
                sql_mode: u64::MAX,
                ..DdlSession::default()
            },
            kind: DdlKind::Truncate,
            steps: vec![DdlStep::Replace {
                table: shape().name,
                by: Some(Box::new(by)),
            }],
        }))
    }

    fn item() -> impl Strategy<Value = Item> {
        prop_oneof![
            4 => txn(),
            2 => chunk(),
            1 => shape_id().prop_map(|id| Item::Shape { id, shape: shape() }),
            1 => shape_id().prop_map(|shape| Item::Reset { shape }),
            1 => vec(any::<u8>(), 0..40).prop_map(ddl),
            1 => (1..1000_u64, vec(plan(), 0..4)).prop_map(|(last, copy)| Item::Start {
                executed: set(&format!("3e11fa47-71ca-11e1-9e33-c80aa9429562:1-{last}")),
                source_uuid: "3e11fa47-71ca-11e1-9e33-c80aa9429562".into(),
                copy,
            }),
        ]
    }

    fn set(text: &str) -> GtidSet {
        GtidSet::parse(text).expect("a valid set")
    }

    fn encoded(items: &[Item], compression: Compression) -> Bytes {
        encode_batch(items, compression, &mut BatchEncoder::default()).expect("small")
    }

    fn small_txn() -> Item {
        Item::Txn(TxnPart {
            gtid: Gtid {
                source: SourceId {
                    uuid: [7; 16],
                    tag: String::new(),
                },
                number: 9,
            },
            is_first: true,
            is_last: true,
            last_committed: 1,
            sequence_number: 2,
            commit_us: 5,
            position: BinlogPosition {
                file: "b.1".into(),
                offset: 4,
            },
            prepared: None,
            changes: vec![Change::Insert {
                shape: ShapeId(3),
                after: Row(Bytes::from_static(b"row")),
            }],
        })
    }

    #[test]
    fn a_batch_is_these_bytes() {
        let mut expected = vec![0, 1, 1, 1, 2];
        expected.extend([7; 16]);
        expected.extend([0, 9, 1, 1, 2, 4, 5, 3, b'b', b'.', b'1', 4, 1, 0, 3, 3]);
        expected.extend(b"row");
        assert_eq!(encoded(&[small_txn()], Compression::Lz4), expected);
    }

    #[test]
    fn a_start_is_these_bytes() {
        let plan = |shape, rows_estimate| CopyPlan {
            shape: ShapeId(shape),
            rows_estimate,
        };
        let start = Item::Start {
            executed: GtidSet::default(),
            source_uuid: "u".into(),
            copy: vec![plan(3, Some(200)), plan(4, None)],
        };
        let expected = [0, 1, 1, 1, 0, 0, 1, b'u', 2, 3, 1, 200, 4, 0];
        assert_eq!(encoded(&[start], Compression::Lz4), expected.as_slice());
    }

    #[test]
    fn rows_are_slices_of_the_body() {
        let packed = encoded(&[small_txn()], Compression::None);
        let end = packed.as_ptr_range().end;
        let items = decode_batch(packed).expect("whole");
        let Item::Txn(part) = &items[0] else { panic!("{items:?}") };
        let Change::Insert { after, .. } = &part.changes[0] else {
            panic!("{part:?}")
        };
        assert_eq!(after.0.as_ptr_range().end, end);
    }

    proptest! {
        #[test]
        fn every_item_comes_back(items in vec(item(), 0..12), lz4: bool) {
            let packed = encoded(&items, if lz4 { Compression::Lz4 } else { Compression::None });
            prop_assert_eq!(decode_batch(packed), Ok(items));
        }

        #[test]
        fn an_item_is_never_longer_than_its_weight(item in item()) {
            let bytes = encoded(std::slice::from_ref(&item), Compression::None).len();
            prop_assert!(bytes <= item_bytes(&item) + 8, "{} over {}", bytes, item_bytes(&item));
        }

        #[test]
        fn a_damaged_batch_never_panics(items in vec(item(), 0..4), at: prop::sample::Index, bit in 0..8_u8, lz4: bool) {
            let packed = encoded(&items, if lz4 { Compression::Lz4 } else { Compression::None });
            let mut damaged = packed.to_vec();
            let at = at.index(damaged.len());
            damaged[at] ^= 1 << bit;
            let _ = decode_batch(damaged.into());
            prop_assert!(decode_batch(packed.slice(..at)).is_err() || at >= packed.len());
        }

        #[test]
        fn random_bytes_never_panic(mut bytes: Vec<u8>) {
            let _ = decode_batch(bytes.clone().into());
            bytes.splice(0..0, [0, 1, 1]);
            let _ = decode_batch(bytes.into());
        }
    }
}
