//! How records become columns.

use everloop_journal::digest;
use everloop_store::error::StoreError;
use everloop_types::id::{ApiKeyId, TaskId, UserId, WorkerId};
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

/// Types of events that are written short. One that comes later is written out: who doesn't know it can still tell it.
const SHORT: &[(&str, &str)] = &[
    ("a", "task.submitted"),
    ("b", "task.started"),
    ("c", "step.started"),
    ("d", "step.completed"),
    ("e", "step.failed"),
    ("f", "task.completed"),
    ("g", "task.ready"),
    ("h", "task.waiting"),
    ("i", "task.input"),
    ("j", "task.input_taken"),
    ("k", "log"),
    ("l", "digest"),
];

/// The type of an event as its column has it.
pub(crate) fn kind(kind: &str) -> &str {
    SHORT.iter().find(|(_, long)| *long == kind).map_or(kind, |(short, _)| short)
}

/// The type of an event that a column has as this.
pub(crate) fn kind_of(column: &str) -> &str {
    SHORT.iter().find(|(short, _)| *short == column).map_or(column, |(_, long)| long)
}

/// An actor as its column has it: the place of its prefix here and its id without the zeros that it ends with, or a zero and its
/// text.
pub(crate) fn actor(actor: &str) -> Vec<u8> {
    let id = None
        .or_else(|| actor.parse().ok().map(|UserId(id)| (1, id)))
        .or_else(|| actor.parse().ok().map(|WorkerId(id)| (2, id)))
        .or_else(|| actor.parse().ok().map(|TaskId(id)| (3, id)))
        .or_else(|| actor.parse().ok().map(|ApiKeyId(id)| (4, id)));
    let (prefix, rest): (u8, &[u8]) = match &id {
        Some((prefix, id)) => {
            (*prefix, &id[..id.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)])
        }
        None => (0, actor.as_bytes()),
    };
    let mut column = Vec::with_capacity(1 + rest.len());
    column.push(prefix);
    column.extend_from_slice(rest);
    column
}

/// The actor that a column has as this, if it can be one.
pub(crate) fn actor_of(column: &[u8]) -> Option<String> {
    let (prefix, rest) = column.split_first()?;
    if *prefix == 0 {
        return std::str::from_utf8(rest).ok().map(str::to_owned);
    }
    let mut id = [0; 16];
    id.get_mut(..rest.len())?.copy_from_slice(rest);
    match prefix {
        1 => Some(UserId(id).to_string()),
        2 => Some(WorkerId(id).to_string()),
        3 => Some(TaskId(id).to_string()),
        4 => Some(ApiKeyId(id).to_string()),
        _ => None,
    }
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
    use everloop_types::event::EventBody;
    use proptest::prelude::*;

    #[test]
    fn short_types_never_change() {
        let written: Vec<_> = SHORT.iter().map(|(short, long)| format!("{short} {long}")).collect();
        assert_eq!(
            written.join(", "),
            "a task.submitted, b task.started, c step.started, d step.completed, e step.failed, f task.completed, \
            g task.ready, h task.waiting, i task.input, j task.input_taken, k log, l digest"
        );
        for kind in EventBody::KINDS.iter().chain(&["custom.a", "a.type.of.later"]) {
            assert_eq!(kind_of(super::kind(kind)), *kind);
            assert!(kind.len() > 1, "{kind} would be taken for a short one");
        }
    }

    #[test]
    fn actors_are_short() {
        for (text, column) in [
            ("usr_00000000000000000000000000", &[1][..]),
            (
                "wkr_01h2xcejqtf2nbrexx3vqjhp41",
                b"\x02\x01\x88\xba\xc7\x4a\xfa\x78\xaa\xbc\x3b\xbd\x1e\xef\x28\xd8\x81",
            ),
            (
                "usr_7zzzzzzzzzzzzzzzzzzzzzzzz0",
                b"\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xe0",
            ),
            ("system", b"\0system"),
            ("usr_A", b"\0usr_A"),
            ("", b"\0"),
        ] {
            assert_eq!((actor(text).as_slice(), actor_of(column).as_deref()), (column, Some(text)), "{text}");
        }
        for wrong in [&[][..], &[5, 1], &[1; 18], &[0, 0xff]] {
            assert_eq!(actor_of(wrong), None, "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn actors_read_back(text in "(usr|wkr|task|key|ten)_[0-9a-hjkmnp-tv-z]{24,26}|.*", id: [u8; 16]) {
            for text in [text, WorkerId(id).to_string(), UserId(id).to_string()] {
                prop_assert_eq!(actor_of(&actor(&text)), Some(text));
            }
        }
    }

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
