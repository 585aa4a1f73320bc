//! JSON as YAML: block style, and every string in double quotes, which YAML 1.2 reads as JSON does.

use serde_json::Value;
use std::fmt::Write;

/// The document as YAML.
pub(super) fn write(value: &Value) -> String {
    let mut out = String::new();
    node(&mut out, value, 0);
    out
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Object(map) if !map.is_empty() => None,
        Value::Array(items) if !items.is_empty() => None,
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => Some(value.to_string()),
    }
}

fn key(text: &str) -> String {
    let plain = text.bytes().next().is_some_and(|c| c.is_ascii_alphabetic() || c == b'$')
        && text.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'$'))
        && !matches!(text, "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n");
    if plain { text.to_owned() } else { Value::from(text).to_string() }
}

fn node(out: &mut String, value: &Value, indent: usize) {
    // Writing to a String can't fail.
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (name, value) in map {
                let _ = write!(out, "{:indent$}{}:", "", key(name));
                below(out, value, indent);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                let _ = write!(out, "{:indent$}-", "");
                below(out, item, indent);
            }
        }
        other => {
            let _ = writeln!(out, "{:indent$}{other}", "");
        }
    }
}

fn below(out: &mut String, value: &Value, indent: usize) {
    match scalar(value) {
        Some(text) => {
            let _ = writeln!(out, " {text}");
        }
        None => {
            out.push('\n');
            node(out, value, indent + 2);
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn blocks_are_indented_and_strings_are_quoted() {
        let value = serde_json::json!({"a": {"b/{id}": [1, "x: y", [], {"on": true}]}, "e": {}});
        let text = "a:\n  \"b/{id}\":\n    - 1\n    - \"x: y\"\n    - []\n    -\n      \"on\": true\ne: {}\n";
        assert_eq!(super::write(&value), text);
    }
}
