//! Bytes of fixed length as lower-case hexadecimal, for rows in a backup.

use everloop_journal::hex;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;

pub(crate) fn serialize<S: Serializer, const N: usize>(
    bytes: &[u8; N],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&hex::encode(bytes))
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>, const N: usize>(
    deserializer: D,
) -> Result<[u8; N], D::Error> {
    read(&Cow::<'de, str>::deserialize(deserializer)?)
}

fn read<E: serde::de::Error, const N: usize>(text: &str) -> Result<[u8; N], E> {
    hex::decode(text).ok_or_else(|| E::custom(format!("not {N} bytes in lower-case hexadecimal")))
}

/// The same, or nothing.
pub(crate) mod optional {
    use super::*;

    pub(crate) fn serialize<S: Serializer, const N: usize>(
        bytes: &Option<[u8; N]>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        bytes.map(|bytes| hex::encode(&bytes)).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>, const N: usize>(
        deserializer: D,
    ) -> Result<Option<[u8; N]>, D::Error> {
        Option::<Cow<'de, str>>::deserialize(deserializer)?.map(|text| read(&text)).transpose()
    }
}

/// Bytes with a number, or nothing.
pub(crate) mod capped {
    use super::*;

    pub(crate) fn serialize<S: Serializer, const N: usize>(
        row: &Option<([u8; N], u32)>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        row.map(|(bytes, cap)| (hex::encode(&bytes), cap)).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>, const N: usize>(
        deserializer: D,
    ) -> Result<Option<([u8; N], u32)>, D::Error> {
        let row = Option::<(Cow<'de, str>, u32)>::deserialize(deserializer)?;
        row.map(|(text, cap)| Ok((read(&text)?, cap))).transpose()
    }
}
