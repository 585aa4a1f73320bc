//! What can go wrong with a database.

use everloop_types::error::{Code, Refusal};

/// The source of a database error, whatever the driver.
pub type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk is full; nothing was written.
    #[error("the disk is full")]
    Full(#[source] Source),
    /// The database can't be reached or written now; nothing was written.
    #[error("the database is not available: {0}")]
    Unavailable(#[source] Source),
    /// The commit was sent and its outcome was not seen: read the heads again.
    #[error("the outcome of a commit is unknown: {0}")]
    Unknown(#[source] Source),
    /// The medium said that it may have lost data (a failed fsync): this process must not write any more.
    #[error("the disk failed to keep what was written: {0}")]
    Failed(#[source] Source),
    /// What is stored can't be read as what was written.
    #[error("the database is damaged: {what}")]
    Corrupt {
        /// Where and how.
        what: String,
    },
    /// Another process has the database, or its schema is not ours, or a setting makes it unsafe.
    #[error("{what}")]
    Refused {
        /// What is wrong.
        what: String,
        /// What to do about it.
        remedy: String,
    },
    /// A statement of ours is wrong.
    #[error("a statement failed: {0}")]
    Bug(#[source] Source),
}

impl StoreError {
    /// What a caller is told. Driver texts stay in the log.
    pub fn refusal(&self) -> Refusal {
        match self {
            Self::Full(_) => {
                Refusal::new(Code::StorageFull, "the disk of the database is full; nothing was written")
                    .hint("free some space, then send the request again with the same key")
                    .retry_after_ms(5_000)
            }
            Self::Unavailable(_) | Self::Unknown(_) => {
                Refusal::new(Code::StorageUnavailable, "the database could not be reached or written")
                    .hint("send the request again with the same key")
                    .retry_after_ms(1_000)
            }
            Self::Failed(_) => {
                Refusal::new(Code::StorageUnavailable, "the disk failed; this server writes nothing more")
                    .hint("look at the disk and the server's log, then start the server again")
            }
            Self::Corrupt { .. } => Refusal::new(Code::StorageUnavailable, "the database is damaged")
                .hint("the server's log names what is damaged; a backup has it as it was"),
            Self::Refused { what, remedy } => {
                Refusal::new(Code::StorageUnavailable, what.clone()).hint(remedy.clone())
            }
            Self::Bug(_) => Refusal::new(Code::Internal, "a statement to the database failed"),
        }
    }
}
