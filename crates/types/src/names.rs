//! Names that users choose: queues, kinds, capabilities, labels, keys, steps.

use crate::limits;

/// The queues that always exist, in the order in which a worker tries them by default.
pub const QUEUES: [&str; 3] = ["high", DEFAULT_QUEUE, "low"];
/// The queue of tasks that name none.
pub const DEFAULT_QUEUE: &str = "default";

/// Whether a text names a queue, a kind or a capability: `[a-z0-9][a-z0-9._-]{0,63}`.
pub fn is_name(text: &str) -> bool {
    let starts = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.len() <= limits::NAME_CHARS
        && text.bytes().next().is_some_and(starts)
        && text.bytes().all(|c| starts(c) || matches!(c, b'.' | b'_' | b'-'))
}

/// Whether a text may be the key of a label: `[A-Za-z0-9._/-]{1,64}`.
pub fn is_label_key(text: &str) -> bool {
    (1..=limits::NAME_CHARS).contains(&text.len())
        && text.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'/' | b'-'))
}

/// Whether a text may be a task's key: 1 to 200 characters, none of them a control character.
pub fn is_key(text: &str) -> bool {
    is_line(text, limits::KEY_CHARS) && !text.is_empty()
}

/// Whether a text is at most so many characters long and has no control characters.
pub fn is_line(text: &str, max_chars: usize) -> bool {
    text.chars().count() <= max_chars && !text.chars().any(char::is_control)
}

/// Whether a text may be the name of a custom event after `custom.`: `[a-z0-9_.]{1,64}`.
pub fn is_custom_event(text: &str) -> bool {
    (1..=limits::NAME_CHARS).contains(&text.len())
        && text.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'.' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_held_to_their_alphabet() {
        for good in ["a", "git.feature", "9", "high-mem_2"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "-a", ".a", "A", "a b", "ä", "a/b", &"a".repeat(65)] {
            assert!(!is_name(bad), "{bad}");
        }
        assert!(is_key("Bestellung Nr. 4/ä") && !is_key("") && !is_key("a\0b") && !is_key(&"é".repeat(201)));
        assert!(is_key(&"é".repeat(200)));
        assert!(is_custom_event("mock") && !is_custom_event("Mock") && !is_custom_event(""));
    }
}
