//! Opens `data_dir/peer.redb`: one process at a time, checked as a whole, refused when damaged or too new.
//!
//! Fed by `node` (folder and a fresh id for a first start), read by gossip (identity), the job table (records) and the
//! merge (dots). Every call that writes waits for the disk: call it from a blocking thread, not from an async task.
//! Does not repair: a crash is rolled back by redb itself, anything worse is the reader's decision.

use std::any::Any;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use redb::{Builder, Database, DatabaseError, ReadableDatabase, StorageError, TableDefinition, WriteTransaction};

use crate::core::ids::{Boot, NodeId};
use crate::store::error::StoreError;
use crate::store::identity::{self, DotBlock};

/// Name of the database in data_dir.
pub const FILE_NAME: &str = "peer.redb";

/// Newest format this program reads and the one it writes. Grows when a table changes its meaning.
const FORMAT: u64 = 1;

/// Bytes of redb's page cache: thousands of job records are a few MiB, its default is 1 GiB.
const CACHE_BYTES: usize = 16 << 20;

/// Counters: `format`, `boot`, `dot`; `draining` is 0 or 1.
pub(super) const NUMBERS: TableDefinition<'static, &str, u64> = TableDefinition::new("numbers");
/// Texts: `node_id`.
pub(super) const TEXTS: TableDefinition<'static, &str, &str> = TableDefinition::new("texts");

/// The open store. Clones share it; the file is free for another process when the last clone is gone.
#[derive(Clone)]
pub struct Store {
    database: Arc<Database>,
    path: Arc<PathBuf>,
    node_id: NodeId,
    boot: Boot,
    dots: Arc<Mutex<DotBlock>>,
}

impl Store {
    /// Opens the store in `dir`, makes both if they are not there, and counts this start. `new_id` is asked for an identity
    /// only when there is none yet. A refusal changes nothing in an existing file.
    pub fn open(dir: &Path, new_id: impl FnOnce() -> NodeId) -> Result<Self, StoreError> {
        make_folder(dir)?;
        let path = dir.join(FILE_NAME);
        make_private_file(&path)?;
        let database = open_checked(&path)?;
        check_format(&database, &path)?;
        let (node_id, boot, dots) = write(&database, &path, |txn| {
            txn.open_table(NUMBERS)?.insert("format", FORMAT)?;
            crate::store::job_store::create_tables(txn)?;
            identity::count_start(txn, new_id)
        })?;
        Ok(Self {
            database: Arc::new(database),
            path: Arc::new(path),
            node_id,
            boot,
            dots: Arc::new(Mutex::new(dots)),
        })
    }

    /// Returns this peer's identity and the number of this start.
    #[must_use]
    pub fn identity(&self) -> (NodeId, Boot) {
        (self.node_id.clone(), self.boot)
    }

    /// Returns a number never returned before by this store, for an operation on the job table. Waits for the disk once
    /// per block; numbers left in a block are lost at exit, which leaves gaps and nothing else.
    pub fn next_dot(&self) -> Result<u64, StoreError> {
        let mut dots = self.dots.lock().expect("no code panics while it holds the dot block");
        if let Some(dot) = dots.take() {
            return Ok(dot);
        }
        *dots = self.write(identity::reserve_dots)?;
        Ok(dots.take().expect("a fresh block has numbers"))
    }

    /// Returns whether this peer was told to give its tasks away.
    pub fn is_draining(&self) -> Result<bool, StoreError> {
        self.read(identity::is_draining)
    }

    /// Keeps whether this peer gives its tasks away; returns false when it was so already.
    pub fn set_draining(&self, is_draining: bool) -> Result<bool, StoreError> {
        self.write(|txn| identity::set_draining(txn, is_draining))
    }

    /// Runs `work` in one durable transaction.
    pub(super) fn write<T>(&self, work: impl FnOnce(&WriteTransaction) -> Result<T, redb::Error>) -> Result<T, StoreError> {
        write(&self.database, &self.path, work)
    }

    /// Runs `work` on a consistent view.
    pub(super) fn read<T>(&self, work: impl FnOnce(&redb::ReadTransaction) -> Result<T, redb::Error>) -> Result<T, StoreError> {
        let txn = self.database.begin_read().map_err(redb::Error::from);
        txn.and_then(|txn| work(&txn)).map_err(|error| match error {
            redb::Error::Io(error) => failed("read", &self.path, &error),
            error => damaged(&self.path, error),
        })
    }
}

fn write<T>(
    database: &Database,
    path: &Path,
    work: impl FnOnce(&WriteTransaction) -> Result<T, redb::Error>,
) -> Result<T, StoreError> {
    let run = || -> Result<T, redb::Error> {
        let txn = database.begin_write()?;
        let value = work(&txn)?;
        // redb's default durability: the commit is on the disk when this returns.
        txn.commit()?;
        Ok(value)
    };
    run().map_err(|error| StoreError::Write {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}

pub(super) fn make_folder(dir: &Path) -> Result<(), StoreError> {
    // Job records hold passwords, so a new folder is the owner's alone. An existing one keeps its mode.
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|error| failed("make", dir, &error))
}

/// Makes the empty file with mode 0600 before the database writes into it, and the name durable.
fn make_private_file(path: &Path) -> Result<(), StoreError> {
    let made = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match made {
        Ok(file) => {
            file.sync_all().map_err(|error| failed("write", path, &error))?;
            sync_folder(path)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(failed("make", path, &error)),
    }
}

/// Makes the names in a file's folder durable.
pub(super) fn sync_folder(path: &Path) -> Result<(), StoreError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let synced = fs::File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| failed("write", folder, &error))
}

/// Makes an error of a file operation.
pub(super) fn failed(operation: &'static str, path: &Path, error: &io::Error) -> StoreError {
    StoreError::Io {
        operation,
        path: path.to_owned(),
        reason: error.to_string(),
    }
}

fn damaged(path: &Path, reason: impl ToString) -> StoreError {
    StoreError::Damaged {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

/// Reads the whole file against its checksums. redb may panic on bytes it never wrote (its documentation says so), which is
/// damage like any other.
fn open_checked(path: &Path) -> Result<Database, StoreError> {
    let open = || {
        Builder::new()
            .set_cache_size(CACHE_BYTES)
            .set_check_integrity_on_open(true)
            .create(path)
    };
    match catch_unwind(AssertUnwindSafe(open)) {
        Ok(Ok(database)) => Ok(database),
        Ok(Err(error)) => Err(refusal(path, error)),
        Err(panic) => Err(damaged(path, panic_text(panic.as_ref()))),
    }
}

fn refusal(path: &Path, error: DatabaseError) -> StoreError {
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => StoreError::InUse { path: path.to_owned() },
        DatabaseError::Storage(StorageError::Io(error)) if !is_damage(error.kind()) => failed("open", path, &error),
        error => damaged(path, error),
    }
}

/// redb reports a wrong file header and a file that ends early as errors of the system.
fn is_damage(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("the check of the file failed")
        .to_owned()
}

/// Refuses the file of a newer program before anything is written.
fn check_format(database: &Database, path: &Path) -> Result<(), StoreError> {
    let found = || -> Result<Option<u64>, redb::Error> {
        let txn = database.begin_read()?;
        match txn.open_table(NUMBERS) {
            Ok(table) => Ok(table.get("format")?.map(|value| value.value())),
            Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    };
    match found().map_err(|error| damaged(path, error))? {
        Some(found) if found > FORMAT => Err(StoreError::Newer {
            path: path.to_owned(),
            found,
            expected: FORMAT,
        }),
        _ => Ok(()),
    }
}
