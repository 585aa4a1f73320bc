//! Why a text has no canonical form, and where.

use everloop_types::error::{Code, FieldError, Refusal};
use everloop_types::limits;
use std::fmt;

/// Why a text has no canonical form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The bytes are not UTF-8.
    InvalidUtf8,
    /// Not JSON: what was expected at the place.
    Syntax(&'static str),
    /// The text ends too early.
    UnexpectedEnd,
    /// Something follows the value.
    TrailingText,
    /// More levels of arrays and objects than [`limits::JSON_DEPTH`].
    TooDeep,
    /// An object has two members of the same name.
    DuplicateKey,
    /// A `\u` escape names half of a surrogate pair.
    LoneSurrogate,
    /// A number is beyond the range of a double.
    Overflow,
    /// An integer is outside of 64 bits, and a double would change its digits.
    InexactInteger,
    /// A Rust value that can't be written as JSON; what serde said.
    NotSerializable(String),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidUtf8 => f.write_str("the text is not UTF-8; encode it as UTF-8"),
            Self::Syntax(expected) => write!(f, "this is not JSON: {expected}"),
            Self::UnexpectedEnd => f.write_str("the JSON ends too early; send all of it"),
            Self::TrailingText => f.write_str("something follows the JSON value; send one value only"),
            Self::TooDeep => write!(
                f,
                "arrays and objects are nested deeper than {} levels; flatten the value, or send it as a string",
                limits::JSON_DEPTH
            ),
            Self::DuplicateKey => f.write_str("the object has this member twice; keep one of them"),
            Self::LoneSurrogate => f.write_str(
                "a \\u escape is half of a surrogate pair; write both halves, or the character itself",
            ),
            Self::Overflow => f.write_str("the number is too large for a double; send it as a string"),
            Self::InexactInteger => f.write_str(
                "the integer needs more than 64 bits and would lose digits; send it as a string, or with an exponent",
            ),
            Self::NotSerializable(error) => write!(f, "the value can't be written as JSON: {error}"),
        }
    }
}

/// A text that was refused, with the place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {reason} (byte {offset})")]
pub struct NotCanonical {
    /// Where in the value: `$.a[3].b`, or `$["odd name"]` where the name of a member is not an identifier.
    pub path: String,
    /// What is wrong, and what to do.
    pub reason: Reason,
    /// Where in the text, in bytes from 0.
    pub offset: usize,
}

impl NotCanonical {
    pub(super) fn new(reason: Reason, offset: usize) -> Self {
        Self { path: "$".to_owned(), reason, offset }
    }

    /// The refusal that a caller gets: `400 not_canonical` with the path as its field.
    pub fn refusal(&self) -> Refusal {
        Refusal {
            errors: vec![FieldError { field: self.path.clone(), message: self.reason.to_string() }],
            ..Refusal::new(Code::NotCanonical, self.to_string())
        }
    }
}

/// A failure on its way up, gathering the path from the innermost step outwards.
#[derive(Debug)]
pub(super) struct Fail {
    reason: Reason,
    offset: usize,
    steps: Vec<String>,
}

/// Longest name of a member that an error repeats, in characters.
const SHOWN_CHARS: usize = 64;

impl Fail {
    pub(super) fn new(reason: Reason, offset: usize) -> Box<Self> {
        Box::new(Self { reason, offset, steps: Vec::new() })
    }

    pub(super) fn in_item(mut self: Box<Self>, index: usize) -> Box<Self> {
        self.steps.push(format!("[{index}]"));
        self
    }

    pub(super) fn in_member(mut self: Box<Self>, name: &str) -> Box<Self> {
        let identifier = |name: &str| {
            name.bytes().next().is_some_and(|c| c.is_ascii_alphabetic() || c == b'_')
                && name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_')
        };
        let mut shown: String = name.chars().take(SHOWN_CHARS).collect();
        if shown.len() < name.len() {
            shown.push('…');
        }
        self.steps.push(if identifier(&shown) {
            format!(".{shown}")
        } else {
            let mut step = "[".to_owned();
            super::write_string(&mut step, &shown);
            step.push(']');
            step
        });
        self
    }

    pub(super) fn finish(self) -> NotCanonical {
        let mut path = "$".to_owned();
        for step in self.steps.iter().rev() {
            path.push_str(step);
        }
        NotCanonical { path, reason: self.reason, offset: self.offset }
    }
}
