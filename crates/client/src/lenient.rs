//! Reading answers of a server that knows more than this version does.

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

/// Unknown members that are passed over in one answer, at most.
const UNKNOWN: usize = 1_000;

/// Reads an answer. What types of ours refuse elsewhere, a member that they don't know, is passed over here.
///
/// # Errors
/// Whatever else is wrong with it.
pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, serde_json::Error> {
    let mut error = match serde_json::from_slice(bytes) {
        Ok(answer) => return Ok(answer),
        Err(error) => error,
    };
    let mut value: Value = serde_json::from_slice(bytes)?;
    for _ in 0..UNKNOWN {
        if !error.to_string().starts_with("unknown field") {
            return Err(error);
        }
        let text = serde_json::to_vec(&value)?;
        let failed = match serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_slice(&text))
        {
            Ok(answer) => return Ok(answer),
            Err(failed) => failed,
        };
        let is_removed = remove(&mut value, failed.path());
        error = failed.into_inner();
        if !is_removed {
            break;
        }
    }
    Err(error)
}

/// Removes the member at a path: whether it was there.
fn remove(value: &mut Value, path: &Path) -> bool {
    let segments: Vec<_> = path.iter().collect();
    let Some((Segment::Map { key }, above)) = segments.split_last() else { return false };
    let mut at = Some(value);
    for segment in above {
        at = at.and_then(|value| match segment {
            Segment::Map { key } => value.get_mut(key),
            Segment::Seq { index } => value.get_mut(index),
            // An enum's variant stands in the text as a member.
            Segment::Enum { variant } => value.get_mut(variant),
            Segment::Unknown => None,
        });
    }
    at.and_then(Value::as_object_mut).is_some_and(|members| members.remove(key).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use everloop_types::task::TaskSpec;

    #[test]
    fn what_is_not_known_is_passed_over_and_what_is_wrong_is_not() {
        let text = r#"[{"kind":"a","later":{"x":1},"policy":{"priority":3,"later":null}},{"kind":"b","queue":"high"}]"#;
        let specs: Vec<TaskSpec> = read(text.as_bytes()).unwrap();
        assert_eq!((specs[0].policy.priority, specs[1].queue.as_str()), (3, "high"));
        let wrong =
            read::<Vec<TaskSpec>>(br#"[{"kind":"a","later":1,"policy":{"priority":"x"}}]"#).unwrap_err();
        assert!(wrong.to_string().contains("invalid type"), "{wrong}");
    }
}
