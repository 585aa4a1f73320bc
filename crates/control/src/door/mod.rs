//! The door: what comes in is made canonical once, and read strictly.

mod strict;

use crate::kinds::nearest;
use everloop_journal::canonical;
use everloop_types::error::{FieldError, Refusal};
use everloop_types::json::Json;
use serde::de::DeserializeOwned;
use strict::Strict;

/// A request and the canonical text that it was read from.
#[derive(Clone, Debug)]
pub struct Read<T> {
    /// The request. Its JSON values are canonical.
    pub value: T,
    text: String,
}

impl<T> Read<T> {
    /// The canonical text as a value.
    ///
    /// # Errors
    /// None: the text was read before.
    pub fn canonical(self) -> Result<(T, Json), Refusal> {
        let json = Json::from_canonical(self.text)
            .map_err(|error| Refusal::field("$", format!("can't be read again: {error}")))?;
        Ok((self.value, json))
    }
}

/// Reads a request: canonical form first, then the shape, objects only where objects belong.
///
/// # Errors
/// `not_canonical` with the JSON path, or `invalid_request` with the path of the field.
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<Read<T>, Refusal> {
    let text = canonical::canonicalize_to_string(bytes).map_err(|error| error.refusal())?;
    let mut deserializer = serde_json::Deserializer::from_str(&text);
    match T::deserialize(Strict(&mut deserializer)) {
        Ok(value) => Ok(Read { value, text }),
        Err(_) => Err(explain::<T>(&text)),
    }
}

/// As [`read`], where no body at all is an empty object.
///
/// # Errors
/// As [`read`].
pub fn read_or_empty<T: DeserializeOwned>(bytes: &[u8]) -> Result<Read<T>, Refusal> {
    if bytes.iter().all(u8::is_ascii_whitespace) { read(b"{}") } else { read(bytes) }
}

/// Makes any JSON canonical.
///
/// # Errors
/// `not_canonical` with the JSON path.
pub fn any(bytes: &[u8]) -> Result<Json, Refusal> {
    canonical::canonicalize(bytes).map_err(|error| error.refusal())
}

/// Reads once more, slowly, to find out where it went wrong.
fn explain<T: DeserializeOwned>(text: &str) -> Refusal {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    match serde_path_to_error::deserialize::<_, T>(Strict(&mut deserializer)) {
        Ok(_) => Refusal::field("$", "can't be read"),
        Err(error) => {
            let path = error.path().to_string();
            let said = error.into_inner().to_string();
            let said = said.split(" at line ").next().unwrap_or(&said);
            let (field, message) = field_and_message(&path, said);
            Refusal::fields(vec![FieldError { field, message }])
        }
    }
}

/// Longest part of a message that is repeated to the caller, in characters.
const SHOWN_CHARS: usize = 300;

fn field_and_message(path: &str, said: &str) -> (String, String) {
    let parent = if path == "." { "" } else { path };
    let within = |name: &str| match parent {
        "" => name.to_owned(),
        // The path already ends with the unknown field itself.
        parent if parent == name || parent.ends_with(&format!(".{name}")) => parent.to_owned(),
        parent => format!("{parent}.{name}"),
    };
    let ticked = |text: &str| text.split('`').nth(1).unwrap_or_default().to_owned();
    if said.starts_with("unknown field") {
        let name: String = ticked(said).chars().take(64).collect();
        let known: Vec<&str> = said.split('`').skip(3).step_by(2).collect();
        let advice = match nearest(&name, known.iter().copied()) {
            Some(near) => format!("; did you mean `{near}`?"),
            None if known.is_empty() => "; nothing is expected here".to_owned(),
            None => format!("; known are {}", known.join(", ")),
        };
        return (within(&name), format!("is not a field of this request{advice}"));
    }
    if said.starts_with("missing field") {
        return (within(&ticked(said)), "is required".to_owned());
    }
    let field = if parent.is_empty() { "$".to_owned() } else { parent.to_owned() };
    let mut message: String = said.chars().take(SHOWN_CHARS).collect();
    if let Some(start) = message.find("expected struct ") {
        message.truncate(start);
        message.push_str("expected an object");
    }
    let message = message
        .strip_prefix("invalid type: ")
        .map_or(message.clone(), |rest| format!("has the wrong type: {rest}"));
    (field, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use everloop_types::error::Code;
    use everloop_types::task::TaskSpec;

    fn refused(text: &str) -> (Code, String, String) {
        let refusal = read::<TaskSpec>(text.as_bytes()).expect_err(text);
        let error = refusal.errors.into_iter().next().unwrap();
        (refusal.code, error.field, error.message)
    }

    #[test]
    fn what_is_wrong_is_said_with_its_path() {
        for (text, field, part) in [
            (r#"{"kidn":"mock"}"#, "kidn", "did you mean `kind`?"),
            (
                r#"{"kind":"mock","policy":{"retry":{"max_trys":1}}}"#,
                "policy.retry.max_trys",
                "did you mean `max_tries`?",
            ),
            (r#"{"input":1}"#, "kind", "is required"),
            (r#"{"kind":5}"#, "kind", "has the wrong type: integer `5`, expected a string"),
            (r#"{"kind":"mock","policy":[]}"#, "policy", "expected an object"),
            (r#"{"kind":"mock","policy":{"retry":[1,2,3]}}"#, "policy.retry", "expected an object"),
            (r#"["mock"]"#, "$", "expected an object"),
            (
                r#"{"kind":"mock","depends_on":[{"task":"x"}]}"#,
                "depends_on[0].task",
                "not an id of the form task_",
            ),
            (r#"{"kind":"mock","policy":{"children":"eat"}}"#, "policy.children", "unknown variant `eat`"),
        ] {
            let (code, at, message) = refused(text);
            assert_eq!(code, Code::InvalidRequest, "{text}");
            assert_eq!(at, field, "{text}: {message}");
            assert!(message.contains(part), "{text}: {message}");
        }
    }

    #[test]
    fn what_has_no_canonical_form_is_refused_first() {
        for (text, path) in
            [(r#"{"kind":"a","kind":"b"}"#, "$.kind"), (r#"{"input":{"a":[1e999]}}"#, "$.input.a[0]")]
        {
            assert_eq!(refused(text).0, Code::NotCanonical);
            assert_eq!(refused(text).1, path);
        }
        assert_eq!(read::<TaskSpec>(b"{\"kind\":\"\xff\"}").unwrap_err().code, Code::NotCanonical);
    }

    #[test]
    fn values_of_users_come_out_canonical() {
        let read = read::<TaskSpec>(br#" {"kind":"mock", "input": {"b": 1.0, "a": [ null ]}} "#).unwrap();
        assert_eq!(read.value.input.as_ref().unwrap().as_str(), r#"{"a":[null],"b":1}"#);
        assert_eq!(read.canonical().unwrap().1.as_str(), r#"{"input":{"a":[null],"b":1},"kind":"mock"}"#);
    }
}
