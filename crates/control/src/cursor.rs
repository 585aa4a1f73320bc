//! Cursors: opaque, and good for the very list that gave them.

use everloop_journal::{digest, hex};
use everloop_types::error::Refusal;
use everloop_types::id::TaskId;

/// Version of the form.
const VERSION: u8 = 1;

/// A cursor behind this task, in the list that is described so.
pub(crate) fn write(list: &str, after: TaskId) -> String {
    let mut bytes = [0; 21];
    bytes[0] = VERSION;
    bytes[1..5].copy_from_slice(&digest::sha256(list.as_bytes())[..4]);
    bytes[5..].copy_from_slice(&after.0);
    hex::encode(&bytes)
}

/// The task that a cursor of this list stands behind.
pub(crate) fn read(list: &str, cursor: &str) -> Result<TaskId, Refusal> {
    let bytes: [u8; 21] =
        hex::decode(cursor).filter(|bytes: &[u8; 21]| bytes[0] == VERSION).ok_or_else(|| {
            Refusal::field("cursor", "is not a cursor: pass next_cursor of the page before, as it is")
        })?;
    if bytes[1..5] != digest::sha256(list.as_bytes())[..4] {
        let message = "belongs to a list with another filter or order: begin without a cursor";
        return Err(Refusal::field("cursor", message));
    }
    let mut id = [0; 16];
    id.copy_from_slice(&bytes[5..]);
    Ok(TaskId(id))
}

/// A cursor of the feed behind this position.
pub(crate) fn write_pos(pos: i64) -> String {
    let mut bytes = [VERSION; 9];
    bytes[1..].copy_from_slice(&pos.to_be_bytes());
    hex::encode(&bytes)
}

/// The position that a cursor of the feed stands behind.
pub(crate) fn read_pos(cursor: &str) -> Result<i64, Refusal> {
    let bytes: [u8; 9] =
        hex::decode(cursor).filter(|bytes: &[u8; 9]| bytes[0] == VERSION).ok_or_else(|| {
            Refusal::field(
                "after",
                "is not a cursor of the feed: pass next_cursor or the last id of it, or `now`",
            )
        })?;
    let mut pos = [0; 8];
    pos.copy_from_slice(&bytes[1..]);
    Ok(i64::from_be_bytes(pos))
}
