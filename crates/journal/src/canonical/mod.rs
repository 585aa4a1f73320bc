//! Canonical JSON: RFC 8785 with one extension for 64-bit integers, both described in `docs/formats.md`.
//!
//! Foreign text goes through here once, at the door. The bytes that come out are what is hashed, stored and served.

mod error;
mod number;
mod parser;
mod text;

pub use error::{NotCanonical, Reason};
pub use text::{compare_utf16, write_string};

use everloop_types::json::Json;
use serde::Serialize;

/// The canonical form of a JSON text (RFC 8259).
///
/// # Errors
/// If the text is not JSON in UTF-8, or has no canonical form. See [`Reason`].
pub fn canonicalize(text: &[u8]) -> Result<Json, NotCanonical> {
    to_json(canonicalize_to_string(text)?)
}

/// The canonical form as plain text, where no [`Json`] is wanted.
///
/// # Errors
/// As [`canonicalize`].
pub fn canonicalize_to_string(text: &[u8]) -> Result<String, NotCanonical> {
    match std::str::from_utf8(text) {
        Ok(text) => parser::run(text),
        Err(error) => Err(NotCanonical::new(Reason::InvalidUtf8, error.valid_up_to())),
    }
}

/// The canonical JSON of a Rust value.
///
/// # Errors
/// [`Reason::NotSerializable`] if the type refuses to be JSON; else as [`canonicalize`].
pub fn to_canonical<T: Serialize + ?Sized>(value: &T) -> Result<Json, NotCanonical> {
    match serde_json::to_vec(value) {
        Ok(text) => canonicalize(&text),
        Err(error) => Err(NotCanonical::new(Reason::NotSerializable(error.to_string()), 0)),
    }
}

/// Whether a text is its own canonical form.
pub fn is_canonical(text: &str) -> bool {
    parser::run(text).is_ok_and(|canonical| canonical == text)
}

fn to_json(canonical: String) -> Result<Json, NotCanonical> {
    Json::from_canonical(canonical)
        .map_err(|error| NotCanonical::new(Reason::NotSerializable(error.to_string()), 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_form_is_canonical() {
        assert!(is_canonical("{\"a\":1,\"b\":2}"));
        for text in ["{\"b\":2,\"a\":1}", "{\"a\": 1}", "{", "1.0"] {
            assert!(!is_canonical(text), "{text}");
        }
    }
}
