//! Changing one member of a JSON file and leaving every other byte as it is.

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// The members of an object, in their order, each with the text of its value.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Ordered;
        impl<'de> Visitor<'de> for Ordered {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Ordered)
    }
}

/// The text with `value` as the member at `path`, in place of what is there. An empty text is an empty object.
///
/// # Errors
/// If it is not JSON, or something on the way is no object.
pub(super) fn put(text: &str, path: &[&str], value: &str) -> Result<String, serde_json::Error> {
    let text = if text.trim().is_empty() { "{}\n" } else { text };
    // All of it is read first: nothing is written into a file that has more in it than one value.
    serde_json::from_str::<&RawValue>(text)?;
    let start = text.len() - text.trim_start().len();
    put_at(text, start, text.trim().len(), path, value, 1)
}

fn put_at(
    text: &str,
    start: usize,
    length: usize,
    path: &[&str],
    value: &str,
    depth: usize,
) -> Result<String, serde_json::Error> {
    let object = &text[start..start + length];
    let Members(members) = serde_json::from_str(object)?;
    let Some((name, rest)) = path.split_first() else { return Ok(text.to_owned()) };
    if let Some((_, found)) = members.iter().find(|(known, _)| known == name) {
        // The value is a slice of the text.
        let at = start + (found.get().as_ptr() as usize - object.as_ptr() as usize);
        if rest.is_empty() {
            return Ok(format!("{}{value}{}", &text[..at], &text[at + found.get().len()..]));
        }
        return put_at(text, at, found.get().len(), rest, value, depth + 1);
    }
    let mut made = value.to_owned();
    for name in rest.iter().rev() {
        made = format!("{{{}: {made}}}", serde_json::to_string(name)?);
    }
    let comma = if members.is_empty() { "" } else { "," };
    let (indent, outer) = ("  ".repeat(depth), "  ".repeat(depth - 1));
    let end = if members.is_empty() { format!("\n{outer}") } else { String::new() };
    let member = format!("\n{indent}{}: {made}{comma}{end}", serde_json::to_string(name)?);
    let tail = if members.is_empty() { object[1..].trim_start() } else { &object[1..] };
    Ok(format!("{}{{{member}{tail}{}", &text[..start], &text[start + length..]))
}

/// The text without the member at `path`; none where it is not there.
///
/// # Errors
/// If it is not JSON, or something on the way is no object.
pub(super) fn take(text: &str, path: [&str; 2]) -> Result<Option<String>, serde_json::Error> {
    let [list, name] = path;
    let Members(members) = serde_json::from_str(text)?;
    let Some((_, list)) = members.iter().find(|(known, _)| known == list) else { return Ok(None) };
    let Members(members) = serde_json::from_str(list.get())?;
    let Some((_, value)) = members.iter().find(|(known, _)| known == name) else { return Ok(None) };
    let at = value.get().as_ptr() as usize - text.as_ptr() as usize;
    let (before, after) = (&text[..at], &text[at + value.get().len()..]);
    // Between the value and its name there is nothing but a colon and blanks.
    let key = serde_json::to_string(name)?;
    let before = before.trim_end().trim_end_matches(':').trim_end();
    let Some(before) = before.strip_suffix(key.as_str()) else { return Ok(None) };
    let (head, tail) = match after.trim_start().strip_prefix(',') {
        Some(tail) => (before.trim_end(), tail),
        None => (before.trim_end().trim_end_matches(',').trim_end(), after),
    };
    let tail = if head.ends_with('{') { tail.trim_start_matches([' ', '\n', '\t']) } else { tail };
    let text = format!("{head}{tail}");
    serde_json::from_str::<&RawValue>(&text)?;
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn one_member_changes_and_every_other_byte_stays() {
        let path = ["mcpServers", "everloop"];
        for (before, after) in [
            ("", "{\n  \"mcpServers\": {\"everloop\": 1}\n}\n"),
            ("{}", "{\n  \"mcpServers\": {\"everloop\": 1}\n}"),
            (
                "{ \"z\" : 1,\n\t\"a\": [] }\n",
                "{\n  \"mcpServers\": {\"everloop\": 1}, \"z\" : 1,\n\t\"a\": [] }\n",
            ),
            ("{\"mcpServers\": {}}", "{\"mcpServers\": {\n    \"everloop\": 1\n  }}"),
            (
                "{\"mcpServers\": {\"b\": {\"x\":1}}}",
                "{\"mcpServers\": {\n    \"everloop\": 1,\"b\": {\"x\":1}}}",
            ),
            (
                "{\"mcpServers\": {\"everloop\" : {\"old\": 2}, \"b\":3}}",
                "{\"mcpServers\": {\"everloop\" : 1, \"b\":3}}",
            ),
        ] {
            let put = put(before, &path, "1").unwrap();
            assert_eq!(put, after);
            let value: Value = serde_json::from_str(&put).unwrap();
            assert_eq!(value["mcpServers"]["everloop"], json!(1));
            assert_eq!(super::put(&put, &path, "1").unwrap(), put, "twice is once");
        }
        for wrong in ["{\"mcpServers\": []}", "[]", "{ // a comment\n}", "{} {}", "{\"mcpServers\""] {
            assert!(put(wrong, &path, "1").is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_was_put_can_be_taken_out_again() {
        let path = ["mcpServers", "everloop"];
        for before in
            ["{\"mcpServers\": {\"b\": {\"x\":1}}}", "{\"mcpServers\":{}, \"a\": 1}", "{\"a\": [1, 2]}"]
        {
            let there = put(before, &path, "{\"command\": \"x\"}").unwrap();
            let gone = take(&there, path).unwrap().unwrap();
            let (mut before, gone): (Value, Value) =
                (serde_json::from_str(before).unwrap(), serde_json::from_str(&gone).unwrap());
            if before.get("mcpServers").is_none() {
                before["mcpServers"] = json!({});
            }
            assert_eq!(gone, before);
            assert_eq!(take(&gone.to_string(), path).unwrap(), None);
        }
        let last = "{\"mcpServers\": {\"a\": 1, \"everloop\": {}}}";
        assert_eq!(take(last, path).unwrap().unwrap(), "{\"mcpServers\": {\"a\": 1}}");
    }
}
