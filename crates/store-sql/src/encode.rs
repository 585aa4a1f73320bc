//! How records become columns.

use everloop_journal::digest;
use everloop_store::error::StoreError;
use everloop_types::state::State;
use everloop_types::stream::StreamName;
use everloop_types::task::{DependsOn, Task};
use std::borrow::Cow;

/// Stands between the parts of a text that is searched. No label holds it, being JSON there.
const SEPARATOR: char = '\u{1f}';

/// The key of a stream: a task's id, or the first half of the SHA-256 of the name.
pub(crate) fn stream_key(stream: StreamName) -> [u8; 16] {
    match stream {
        StreamName::Task(id) => id.0,
        StreamName::Audit(..) => {
            let mut key = [0; 16];
            key.copy_from_slice(&digest::sha256(stream.to_string().as_bytes())[..16]);
            key
        }
    }
}

/// The code of a state: its place in [`State::ALL`].
pub(crate) fn state(state: State) -> i64 {
    state as i64
}

/// The code of a dependency.
pub(crate) fn depends_on(on: DependsOn) -> i64 {
    match on {
        DependsOn::Completed => 0,
        DependsOn::Ended => 1,
    }
}

/// A number that a column can hold.
pub(crate) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A record as JSON.
pub(crate) fn json<T: serde::Serialize>(record: &T) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(record).map_err(|error| StoreError::Bug(error.into()))
}

/// The code of the state that a task has ended in.
pub(crate) fn ended(task: &Task) -> Option<i64> {
    task.state.is_terminal().then(|| state(task.state))
}

/// Every label between separators, as JSON so that no value can look like another label.
pub(crate) fn labels(task: &Task) -> Option<String> {
    if task.spec.labels.is_empty() {
        return None;
    }
    let mut text = String::from(SEPARATOR);
    for (name, value) in &task.spec.labels {
        text.push_str(&label(name, value));
        text.push(SEPARATOR);
    }
    Some(text)
}

/// A label as it stands in [`labels`], without separators.
fn label(name: &str, value: &str) -> String {
    format!("{}:{}", serde_json::Value::from(name), serde_json::Value::from(value))
}

/// What a list looks for in [`labels`].
pub(crate) fn label_needle(name: &str, value: &str) -> String {
    format!("{SEPARATOR}{}{SEPARATOR}", label(name, value))
}

/// Name, title and description for a search: in lower case and without the zero that PostgreSQL can't keep.
pub(crate) fn search(task: &Task) -> Option<String> {
    let spec = &task.spec;
    let parts: Vec<&str> =
        [&spec.name, &spec.title, &spec.description].into_iter().flatten().map(String::as_str).collect();
    (!parts.is_empty()).then(|| search_text(&parts.join(SEPARATOR.encode_utf8(&mut [0; 4]))).into_owned())
}

/// What a list looks for in [`search`].
pub(crate) fn search_text(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|c| c.is_ascii_uppercase() || c == 0) {
        Cow::Owned(text.to_ascii_lowercase().replace('\0', " "))
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_states_never_change() {
        let codes: Vec<_> = State::ALL.iter().map(|s| (s.as_str(), state(*s))).collect();
        assert_eq!(
            codes,
            [
                ("pending", 0),
                ("queued", 1),
                ("running", 2),
                ("waiting", 3),
                ("pausing", 4),
                ("paused", 5),
                ("cancelling", 6),
                ("completed", 7),
                ("failed", 8),
                ("cancelled", 9),
            ]
        );
    }
}
