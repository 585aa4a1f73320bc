//! JSON Schema: what a kind says about its input, and holding inputs to it.

use everloop_types::error::FieldError;
use everloop_types::json::Json;
use everloop_types::limits;
use jsonschema::{PatternOptions, Validator};

/// Errors that are told of one value.
const TOLD: usize = 20;

/// A schema that values can be held to.
#[derive(Debug)]
pub(crate) struct Schema(Validator);

impl Schema {
    /// Reads a schema (2020-12 where it names no other draft). It may refer to nothing outside of itself, and its patterns are
    /// those that can be matched in linear time: no look-around, no back-references.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn read(text: &Json) -> Result<Self, String> {
        if text.len() > limits::SCHEMA_BYTES {
            return Err(format!("has {} bytes; a schema has at most {}", text.len(), limits::SCHEMA_BYTES));
        }
        let value = text.parse().map_err(|error| format!("can't be read: {error}"))?;
        let options = jsonschema::options().offline().with_pattern_options(PatternOptions::regex());
        let schema = options.build(&value);
        schema.map(Self).map_err(|error| format!("is no JSON Schema: {error}, at {}", error.instance_path()))
    }

    /// What is wrong with a value, as fields below `name`. Values are not repeated: they may be secret.
    pub(crate) fn errors(&self, value: &Json, name: &str) -> Vec<FieldError> {
        let value = match value.parse() {
            Ok(value) => value,
            Err(error) => return vec![FieldError { field: name.to_owned(), message: error.to_string() }],
        };
        let errors = self.0.iter_errors(&value).take(TOLD);
        let told = errors.map(|error| FieldError {
            field: format!("{name}{}", path(error.instance_path().as_str())),
            message: error.masked_with("the value").to_string(),
        });
        told.collect()
    }
}

/// `/urls/3/name` as `.urls[3].name`.
fn path(pointer: &str) -> String {
    let part = |part: &str| {
        let part = part.replace("~1", "/").replace("~0", "~");
        if part.bytes().all(|byte| byte.is_ascii_digit()) { format!("[{part}]") } else { format!(".{part}") }
    };
    pointer.split('/').skip(1).map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Json {
        Json::from_canonical(text.to_owned()).unwrap()
    }

    #[test]
    fn a_value_that_is_not_of_a_schema_is_told_where() {
        let schema = Schema::read(&json(
            r#"{"properties":{"n":{"type":"integer"},"urls":{"items":{"pattern":"^https:","type":"string"}}},"required":["urls"]}"#,
        ));
        let schema = schema.unwrap();
        let told = |value: &str| {
            let errors = schema.errors(&json(value), "input");
            errors.into_iter().map(|error| format!("{} {}", error.field, error.message)).collect::<Vec<_>>()
        };
        assert_eq!(told(r#"{"urls":["https://a"]}"#), Vec::<String>::new());
        assert_eq!(told("{}"), [r#"input "urls" is a required property"#]);
        assert_eq!(
            told(r#"{"n":"secret","urls":["https://a","secret"]}"#),
            [
                r#"input.n the value is not of type "integer""#,
                r#"input.urls[1] the value does not match "^https:""#
            ]
        );
    }

    #[test]
    fn what_is_no_schema_or_leads_elsewhere_is_refused() {
        let long = format!(r#"{{"description":"{}"}}"#, "x".repeat(limits::SCHEMA_BYTES));
        for (schema, why) in [
            (r#"{"type":"text"}"#, "is no JSON Schema"),
            ("3", "is no JSON Schema"),
            (r#"{"$ref":"https://example.org/schema"}"#, "example.org"),
            (r#"{"$ref":"file:///etc/passwd"}"#, "passwd"),
            (r#"{"pattern":"(?=a)b"}"#, "is no JSON Schema"),
            (&long, "at most"),
        ] {
            let error = Schema::read(&json(schema)).unwrap_err();
            assert!(error.contains(why), "{schema}: {error}");
        }
    }
}
