//! The way from the bytes of a binlog to changes, for the fuzz targets: compiled under `--cfg fuzzing` only (`scripts/fuzz`).

use mysql_common::binlog::consts::BinlogVersion;
use mysql_common::binlog::events::{Event, FormatDescriptionEvent};

use crate::core::change::Row;
use crate::core::shape::{ShapeId, TableShape};
use crate::mysql::source::assembler::Assembler;
use crate::mysql::source::reader_event::ReaderEvent;
use crate::mysql::source::scope::Scope;

/// Every row image that a table's changes hold in a stream of events, up to the first that is refused. Each event of `stream` is a
/// type (1 byte), a length (2 bytes, little-endian) and a body.
#[must_use]
pub fn changes_in(table: &TableShape, stream: &[u8]) -> Vec<Row> {
    let mut assembler = Assembler::new("fuzz:1".into(), Scope::new(vec![(ShapeId(0), table.clone())]));
    let mut rows = Vec::new();
    let mut rest = stream;
    while let Some(([kind, low, high], behind)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_le_bytes([*low, *high])).min(behind.len());
        let (body, next) = behind.split_at(length);
        rest = next;
        let Some(event) = event(*kind, body) else { break };
        match assembler.take(&event) {
            Ok(first) => {
                let events = first.into_iter().chain(assembler.ready.drain(..));
                rows.extend(events.flat_map(|event| {
                    match event {
                        ReaderEvent::Changes(changes) => changes
                            .into_iter()
                            .flat_map(|change| change.rows().cloned().collect::<Vec<_>>())
                            .collect(),
                        _ => Vec::new(),
                    }
                }));
            }
            Err(_) => break,
        }
    }
    rows
}

/// An event without a position, which is one without a checksum.
fn event(kind: u8, body: &[u8]) -> Option<Event> {
    let size = u32::try_from(19 + body.len()).ok()?;
    let mut bytes = vec![0, 0, 0, 0, kind, 1, 0, 0, 0];
    bytes.extend_from_slice(&size.to_le_bytes());
    bytes.extend_from_slice(&[0; 6]);
    bytes.extend_from_slice(body);
    Event::read(&FormatDescriptionEvent::new(BinlogVersion::Version4), &bytes[..]).ok()
}
