//! `data_dir/spill`: files for what does not fit in memory, without a name and gone with whoever holds them.
//!
//! Opened by `node`, used by flows. A file loses its name when it is made, so the system frees it when it is closed or the
//! process dies; what a crash in between left is removed at the next start. Nothing in it is ever read by another process.

use std::fs::{self, File};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::store::StoreError;
use crate::store::database::{failed, make_folder};

/// Name of the folder in data_dir.
pub const SPILL_FOLDER_NAME: &str = "spill";

/// Where spilled files are made. Clones share it.
#[derive(Clone, Debug)]
pub struct SpillFolder {
    path: PathBuf,
    made: Arc<AtomicU64>,
}

impl SpillFolder {
    /// Makes the folder in `dir` and empties it. To be called once per process that holds the store of `dir`.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join(SPILL_FOLDER_NAME);
        make_folder(&path)?;
        let left = fs::read_dir(&path).map_err(|error| failed("read", &path, &error))?;
        for entry in left {
            let file = entry.map_err(|error| failed("read", &path, &error))?.path();
            fs::remove_file(&file).map_err(|error| failed("remove", &file, &error))?;
        }
        Ok(Self {
            path,
            made: Arc::default(),
        })
    }

    /// A new file to write and read, which nobody else can open.
    pub fn file(&self) -> Result<File, StoreError> {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let path = self.path.join(number.to_string());
        let made = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path);
        let file = made.map_err(|error| failed("make", &path, &error))?;
        fs::remove_file(&path).map_err(|error| failed("remove", &path, &error))?;
        Ok(file)
    }

    /// What an error of a file of this folder is for people.
    #[must_use]
    pub fn explain(&self, operation: &'static str, error: &std::io::Error) -> StoreError {
        failed(operation, &self.path, error)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek, Write};

    use super::*;

    #[test]
    fn a_spilled_file_has_no_name_and_a_start_leaves_nothing_of_the_last() {
        let dir = tempfile::tempdir().unwrap();
        let spill = SpillFolder::open(dir.path()).unwrap();
        let mut file = spill.file().unwrap();
        file.write_all(b"rows").unwrap();
        file.rewind().unwrap();
        let mut found = String::new();
        file.read_to_string(&mut found).unwrap();
        assert_eq!(found, "rows");
        let folder = dir.path().join(SPILL_FOLDER_NAME);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
        fs::write(folder.join("0"), b"left by a crash").unwrap();
        SpillFolder::open(dir.path()).unwrap();
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    }
}
