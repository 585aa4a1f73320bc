//! What stands in a value for bytes that are too large for it.

use crate::json::Json;
use serde::{Deserialize, Serialize};

/// The media type in the name of a value that was put aside, because it was too large for its event or speaks of blobs itself.
/// Whoever runs a task gets the value.
pub const VALUE: &str = "application/vnd.everloop.value+json";

/// What names a blob: the whole value is `{"$blob": …}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlobName {
    /// `SHA-256(salt ‖ SHA-256(bytes))`, in hexadecimal.
    pub hash: String,
    /// HMAC of the bytes under the tenant's secret, in hexadecimal: equal bytes of a tenant have one id.
    pub id: String,
    /// What it is.
    pub media_type: String,
    /// How many bytes.
    pub size: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Whole<T> {
    #[serde(rename = "$blob")]
    blob: T,
}

/// A value mentions a blob in another way than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("names a blob in a way that is not the answer to POST /api/v1/blobs; it must be the whole value")]
pub struct NotABlobName;

/// Whether a member `$blob` stands anywhere in it: in canonical JSON it can't be written in another way.
pub fn mentions_blob(value: &Json) -> bool {
    value.as_str().contains("\"$blob\":")
}

impl BlobName {
    /// The blob that a value names, if it names one.
    ///
    /// # Errors
    /// If it mentions one and is not the whole name of it.
    pub fn of(value: &Json) -> Result<Option<Self>, NotABlobName> {
        if !mentions_blob(value) {
            return Ok(None);
        }
        value.parse::<Whole<Self>>().map(|whole| Some(whole.blob)).map_err(|_| NotABlobName)
    }

    /// The value that names it.
    pub fn to_value(&self) -> Json {
        // The members stand in canonical order. A name is no number and no map, so this can't fail.
        let text = serde_json::to_string(&Whole { blob: self }).unwrap_or_default();
        Json::from_canonical(text).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Json {
        Json::from_canonical(text.to_owned()).unwrap()
    }

    #[test]
    fn a_name_is_the_whole_value_or_none() {
        let name = BlobName { hash: "h".into(), id: "i".into(), media_type: "a/b".into(), size: 3 };
        let value = name.to_value();
        assert_eq!(value.as_str(), r#"{"$blob":{"hash":"h","id":"i","media_type":"a/b","size":3}}"#);
        assert_eq!(BlobName::of(&value), Ok(Some(name)));
        assert_eq!(BlobName::of(&json(r#"{"blob":1}"#)), Ok(None));
        assert_eq!(BlobName::of(&json(r#""$blob""#)), Ok(None));
        for bad in [r#"{"$blob":1}"#, r#"[{"$blob":{"hash":"h","id":"i","media_type":"a/b","size":3}}]"#] {
            assert_eq!(BlobName::of(&json(bad)), Err(NotABlobName), "{bad}");
        }
    }
}
