//! Backups: one archive that holds everything, the same for every engine.
//!
//! It is a tar file, so that anybody can look into it. Its members, in order:
//!
//! - `everloop-backup.json`: what it is, of which installation;
//! - `streams/<n>.jsonl`: for each stream a line `{"begin":…}` with what is kept beside its events, then a line per event in
//!   the form of an export;
//! - `rows/<n>.jsonl`: a line for each other row, in an order in which they can be written;
//! - `blobs/<tenant>/<id>`: the bytes of blobs, each before the part that has its row;
//! - `signing-key.json`, only where that was asked for;
//! - `manifest.json`: how much there is of everything, and length and SHA-256 of every member before it.
//!
//! A backup shows one moment, whatever is written meanwhile. A restore reads the whole archive and holds it against its
//! manifest and every chain against its hashes before it writes the first row.

mod read;
mod restore;
mod write;

pub use read::check;
pub use restore::{Target, is_cut_short, restore};
pub use write::{Source, write};

use everloop_store::error::StoreError;
use everloop_store::rows::{Installation, Lane, Signature};
use everloop_store::work::Row;
use everloop_types::id::TenantId;
use everloop_types::task::Task;
use everloop_types::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::io;

const FORMAT: &str = "everloop-backup";
const VERSION: u32 = 1;
const ABOUT: &str = "everloop-backup.json";
const MANIFEST: &str = "manifest.json";
const SIGNING_KEY: &str = "signing-key.json";

/// Why an archive could not be written, read or restored.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The file could not be read or written.
    #[error("the archive could not be read or written: {0}")]
    Io(#[from] io::Error),
    /// The database, or a blob, could not be read or written.
    #[error("the database could not be read or written: {0}")]
    Store(#[from] StoreError),
    /// It is no archive of ours.
    #[error("this is not an Everloop backup: {0}")]
    Foreign(String),
    /// A newer program wrote it.
    #[error("the backup has format {0}, and this program reads format {VERSION}")]
    Newer(u32),
    /// It was altered, or cut.
    #[error("the backup is damaged: {member}: {what}")]
    Damaged {
        /// Where.
        member: String,
        /// What is wrong there.
        what: String,
    },
    /// There is something in the database already.
    #[error("the database is not empty: {0}")]
    NotEmpty(String),
}

fn damaged(member: &str, what: impl ToString) -> ArchiveError {
    ArchiveError::Damaged { member: member.to_owned(), what: what.to_string() }
}

/// What an archive is: its first member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct About {
    format: String,
    v: u32,
    installation: Installation,
    made_at: Timestamp,
}

/// What is in an archive: its last member.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Streams: those of tasks, and audit streams.
    pub streams: u64,
    /// Events.
    pub events: u64,
    /// Other rows.
    pub rows: u64,
    /// Blobs.
    pub blobs: u64,
    /// Whether the private key is in it, that signs receipts.
    pub signing_key: bool,
    /// Every member before this one.
    pub members: Vec<Member>,
}

/// A member of an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of it, in hexadecimal.
    pub sha256: String,
}

/// What is kept of a stream beside its events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Begin {
    tenant: TenantId,
    stream: String,
    last_seq: u64,
    /// Of the last event, in hexadecimal.
    hash: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    task: Option<Task>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data_subject: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signature: Option<Signature>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    anchor: Option<Anchor>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Anchor {
    upto_seq: u64,
    jws: String,
}

/// A line that is no event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Begin(Box<Begin>),
    Lane(Lane),
    Row(Row),
}
