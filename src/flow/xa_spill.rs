//! Rows of XA transactions between XA START and their end (PROTOCOLS 4): a few MiB in memory, the rest on disk.
//!
//! Fed by `source_flow` with what the reader says to hold, gives it back piece by piece. Belongs to one subscription: nothing of it
//! outlives that, because the server sends a transaction that waits again (PROTOCOLS 8).

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

use crate::core::change::{BinlogPosition, Change, Item, TxnPart};
use crate::core::gtid_set::Gtid;
use crate::core::row_bag::change_bytes;
use crate::flow::error::FlowError;
use crate::store::spill::SpillFolder;
use crate::wire::batch::{BatchEncoder, decode_batch, encode_batch};
use crate::wire::compress::Compression;

/// Bytes of rows of all transactions together that wait in memory.
const MEMORY_BYTES: u64 = 4 << 20;
/// Bytes of rows that go to disk at once; the transaction being read may exceed the memory by as much.
const BLOCK_BYTES: u64 = 1 << 20;
/// Bytes on disk for all transactions of a job together. What it trades: an XA transaction that is forgotten may not fill the disk
/// of every job on the peer (guess).
const DISK_BYTES_MAX: u64 = 64 << 30;

/// What waits.
#[derive(Debug)]
pub struct XaSpill {
    folder: SpillFolder,
    held: HashMap<Gtid, Held>,
    memory_bytes: u64,
    disk_bytes: u64,
    disk_bytes_max: u64,
    encoder: BatchEncoder,
}

/// The rows of one transaction: those on disk first, then those in memory.
#[derive(Debug, Default)]
struct Held {
    memory: VecDeque<Vec<Change>>,
    memory_bytes: u64,
    file: Option<File>,
    file_bytes: u64,
}

impl XaSpill {
    /// Nothing waits.
    #[must_use]
    pub fn new(folder: SpillFolder) -> Self {
        Self {
            folder,
            held: HashMap::new(),
            memory_bytes: 0,
            disk_bytes: 0,
            disk_bytes_max: DISK_BYTES_MAX,
            encoder: BatchEncoder::default(),
        }
    }

    /// Takes the next changes of transaction `gtid`.
    pub async fn put(&mut self, gtid: &Gtid, changes: Vec<Change>) -> Result<(), FlowError> {
        let bytes = changes.iter().map(weight).sum::<u64>();
        let held = self.held.entry(gtid.clone()).or_default();
        held.memory.push_back(changes);
        held.memory_bytes += bytes;
        self.memory_bytes += bytes;
        if self.memory_bytes > MEMORY_BYTES && held.memory_bytes >= BLOCK_BYTES {
            self.write(gtid).await?;
        }
        Ok(())
    }

    /// All of it was put: it waits for long.
    pub async fn prepared(&mut self, gtid: &Gtid) -> Result<(), FlowError> {
        if self.memory_bytes > MEMORY_BYTES {
            self.write(gtid).await?;
        }
        Ok(())
    }

    /// It ended without its rows.
    pub fn forget(&mut self, gtid: &Gtid) {
        if let Some(held) = self.held.remove(gtid) {
            self.memory_bytes -= held.memory_bytes;
            self.disk_bytes -= held.file_bytes;
        }
    }

    /// Its rows, to be read now.
    pub async fn take(&mut self, gtid: &Gtid) -> Result<Replay, FlowError> {
        let Some(mut held) = self.held.remove(gtid) else {
            return Ok(Replay::default());
        };
        self.memory_bytes -= held.memory_bytes;
        self.disk_bytes -= held.file_bytes;
        let mut file = held.file.take();
        if let Some(file) = &mut file {
            let rewound = async {
                file.flush().await?;
                file.rewind().await
            };
            rewound.await.map_err(|error| self.folder.explain("write", &error))?;
        }
        Ok(Replay {
            file: file.map(|file| (file, self.folder.clone())),
            left: held.file_bytes,
            memory: held.memory,
        })
    }

    /// Moves what is in memory of a transaction to its file.
    async fn write(&mut self, gtid: &Gtid) -> Result<(), FlowError> {
        let Some(held) = self.held.get_mut(gtid) else {
            return Ok(());
        };
        let changes: Vec<Change> = std::mem::take(&mut held.memory).into_iter().flatten().collect();
        let freed = std::mem::take(&mut held.memory_bytes);
        self.memory_bytes -= freed;
        if changes.is_empty() {
            return Ok(());
        }
        let block = encode_batch(&[Item::Txn(part(gtid, changes))], Compression::Lz4, &mut self.encoder)?;
        let bytes = 4 + block.len() as u64;
        if self.disk_bytes + bytes > self.disk_bytes_max {
            return Err(FlowError::XaTooLarge {
                gtid: gtid.to_string(),
                bytes_max: self.disk_bytes_max,
            });
        }
        if held.file.is_none() {
            held.file = Some(File::from_std(self.folder.file()?));
        }
        if let Some(file) = &mut held.file {
            let length = u32::try_from(block.len()).unwrap_or(u32::MAX).to_le_bytes();
            let writing = async {
                file.write_all(&length).await?;
                file.write_all(&block).await
            };
            writing.await.map_err(|error| self.folder.explain("write", &error))?;
        }
        held.file_bytes += bytes;
        self.disk_bytes += bytes;
        Ok(())
    }
}

/// Rows that are on their way back.
#[derive(Debug, Default)]
pub struct Replay {
    file: Option<(File, SpillFolder)>,
    /// Bytes of the file that were not read.
    left: u64,
    memory: VecDeque<Vec<Change>>,
}

impl Replay {
    /// The next of them, in the order they were put; None: these were all.
    pub async fn next(&mut self) -> Result<Option<Vec<Change>>, FlowError> {
        match &mut self.file {
            Some((file, folder)) if self.left > 0 => {
                let (block, bytes) = read_block(file, self.left)
                    .await
                    .map_err(|error| folder.explain("read", &error))?;
                self.left -= bytes;
                let changes = decode_batch(block)?.into_iter().flat_map(|item| match item {
                    Item::Txn(part) => part.changes,
                    _ => Vec::new(),
                });
                Ok(Some(changes.collect()))
            }
            _ => Ok(self.memory.pop_front()),
        }
    }
}

async fn read_block(file: &mut File, left: u64) -> std::io::Result<(Bytes, u64)> {
    let mut length = [0; 4];
    file.read_exact(&mut length).await?;
    let length = u64::from(u32::from_le_bytes(length));
    if 4 + length > left {
        return Err(std::io::Error::other("a block is longer than its file"));
    }
    let mut block = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
    file.read_exact(&mut block).await?;
    Ok((block.into(), 4 + length))
}

fn weight(change: &Change) -> u64 {
    change_bytes(change) + size_of::<Change>() as u64
}

fn part(gtid: &Gtid, changes: Vec<Change>) -> TxnPart {
    TxnPart {
        gtid: gtid.clone(),
        is_first: true,
        is_last: true,
        last_committed: 0,
        sequence_number: 0,
        commit_us: 0,
        position: BinlogPosition::default(),
        prepared: None,
        changes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::change::Row;
    use crate::core::gtid_set::SourceId;
    use crate::core::shape::ShapeId;

    fn gtid(number: u64) -> Gtid {
        let (uuid, tag) = ([1; 16], String::new());
        Gtid {
            source: SourceId { uuid, tag },
            number,
        }
    }

    /// One row of 64 KiB whose bytes do not compress, told apart by its number.
    fn changes(number: u32) -> Vec<Change> {
        let mut state = number.wrapping_mul(2_654_435_761) | 1;
        let bytes: Vec<u8> = (0..64 << 10)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 17;
                state ^= state << 5;
                state.to_le_bytes()[0]
            })
            .collect();
        let after = Row(bytes.into());
        vec![Change::Insert {
            shape: ShapeId(number),
            after,
        }]
    }

    async fn all(spill: &mut XaSpill, number: u64) -> Vec<Change> {
        let mut replay = spill.take(&gtid(number)).await.unwrap();
        let mut found = Vec::new();
        while let Some(changes) = replay.next().await.unwrap() {
            found.extend(changes);
        }
        found
    }

    #[tokio::test]
    async fn rows_come_back_in_order_whatever_went_to_disk_and_memory_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let mut spill = XaSpill::new(SpillFolder::open(dir.path()).unwrap());
        let expected = |first: u32| (first..first + 200).flat_map(changes).collect::<Vec<_>>();
        for (number, first) in [(1, 0), (2, 1000), (3, 2000)] {
            for at in first..first + 200 {
                spill.put(&gtid(number), changes(at)).await.unwrap();
                assert!(
                    spill.memory_bytes <= MEMORY_BYTES + BLOCK_BYTES + (65 << 10),
                    "{}",
                    spill.memory_bytes
                );
            }
            spill.prepared(&gtid(number)).await.unwrap();
        }
        assert!(spill.disk_bytes > 25 << 20, "{}", spill.disk_bytes);
        spill.forget(&gtid(2));
        assert_eq!(all(&mut spill, 3).await, expected(2000));
        assert_eq!(all(&mut spill, 1).await, expected(0));
        assert!(all(&mut spill, 2).await.is_empty());
        assert_eq!((spill.memory_bytes, spill.disk_bytes), (0, 0));
    }

    #[tokio::test]
    async fn more_than_the_disk_may_hold_is_refused_by_name_and_what_ends_makes_room() {
        let dir = tempfile::tempdir().unwrap();
        let mut spill = XaSpill::new(SpillFolder::open(dir.path()).unwrap());
        spill.disk_bytes_max = 10 << 20;
        let mut put = async |number: u64, count: u32| {
            for at in 0..count {
                spill.put(&gtid(number), changes(at)).await?;
            }
            if number == 1 {
                spill.forget(&gtid(1));
            }
            Ok::<(), FlowError>(())
        };
        put(1, 150).await.unwrap();
        put(2, 150).await.unwrap();
        let error = put(3, 150).await.unwrap_err();
        assert_eq!(error.code(), "PEER1410");
        assert!(error.to_string().contains(":3"), "{error}");
    }
}
