//! `data_dir/run.json`: where the running peer is reached, for commands on the same machine.
//!
//! Written by `node` once all doors are open, read by the command line, removed at a clean exit. After a crash it stays, so a
//! reader that gets no answer says that the peer is not running. Nobody decides by it who may use the folder.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::store::StoreError;
use crate::store::database::{failed, sync_folder};

/// Name of the file in data_dir.
pub const RUN_FILE_NAME: &str = "run.json";

/// A running peer and its doors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunFile {
    /// Process id.
    pub pid: u32,
    /// The peer's name.
    pub name: String,
    /// Address of its QUIC endpoint.
    pub peer: String,
    /// Address of its admin shell.
    pub admin: String,
    /// Address of its HTTP door.
    pub http: String,
}

impl RunFile {
    /// Writes the file into `dir` in one step: a reader sees the old one or the new one, never a part.
    pub fn write(&self, dir: &Path) -> Result<(), StoreError> {
        let path = dir.join(RUN_FILE_NAME);
        let draft = dir.join(format!("{RUN_FILE_NAME}.{}", self.pid));
        let bytes = serde_json::to_vec_pretty(self).expect("strings and a number always serialize");
        let written = write_durable(&draft, &bytes).and_then(|()| fs::rename(&draft, &path));
        if let Err(error) = written {
            // Best effort: the draft may not be there, and the first error is the one to tell.
            let _ = fs::remove_file(&draft);
            return Err(failed("write", &path, &error));
        }
        sync_folder(&path)
    }

    /// Returns the file in `dir`; None when no peer ran here or the last one left cleanly.
    pub fn read(dir: &Path) -> Result<Option<Self>, StoreError> {
        let path = dir.join(RUN_FILE_NAME);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("read", &path, &error)),
        };
        let decoded = serde_json::from_slice(&bytes);
        decoded.map(Some).map_err(|error| failed("read", &path, &error.into()))
    }

    /// Removes the file from `dir`; fine when it is not there.
    pub fn remove(dir: &Path) -> Result<(), StoreError> {
        let path = dir.join(RUN_FILE_NAME);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", &path, &error)),
            _ => Ok(()),
        }
    }
}

fn write_durable(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
