//! Digests other than the chain's: intents, idempotency keys, request hashes, names of blobs.
//!
//! Every formula begins with a text of its own (but for the intent, which stands inside of a payload), so that a value of
//! one kind can never be taken for one of another. They are listed in `docs/formats.md`.

use crate::hex;
use everloop_types::event::{Hash, Salt};
use everloop_types::id::{TaskId, TenantId};
use everloop_types::json::Json;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use std::fmt;

/// SHA-256 of bytes.
pub fn sha256(bytes: &[u8]) -> Hash {
    Sha256::digest(bytes).into()
}

/// SHA-256 of bytes that come in pieces.
#[derive(Clone, Debug, Default)]
pub struct Hasher(Sha256);

impl Hasher {
    /// Takes the next piece.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all pieces.
    pub fn finish(self) -> Hash {
        self.0.finalize().into()
    }
}

/// What a step was asked to do: SHA-256 of its canonical arguments, in hex. It belongs inside of payloads only.
pub fn intent(args: &Json) -> String {
    hex::encode(&sha256(args.as_str().as_bytes()))
}

/// The idempotency key that a step shows to the outside, in hex: `SHA-256("everloop/step/v1/" ‖ task ‖ "/" ‖ step key)`.
///
/// It depends on the task and the step and never on the attempt, so a step that is run again shows the same key.
pub fn step_idempotency_key(task: TaskId, step_key: &str) -> String {
    let mut hash = Sha256::new_with_prefix(b"everloop/step/v1/");
    hash.update(task.to_string());
    hash.update(b"/");
    hash.update(step_key);
    hex::encode(&hash.finalize())
}

/// The name under which a key is indexed: the first 16 bytes of
/// `SHA-256("everloop/key/v1/" ‖ tenant ‖ "/" ‖ namespace ‖ 0x00 ‖ key)`. A namespace is a word of ours, without a zero byte.
pub fn key_hash(tenant: TenantId, namespace: &str, key: &str) -> [u8; 16] {
    let mut hash = Sha256::new_with_prefix(b"everloop/key/v1/");
    hash.update(tenant.to_string());
    hash.update(b"/");
    hash.update(namespace);
    hash.update([0]);
    hash.update(key);
    let digest: Hash = hash.finalize().into();
    let mut out = [0; 16];
    out.copy_from_slice(&digest[..16]);
    out
}

/// A tenant's secret: 32 random bytes that keep what is derived from data from giving the data away.
#[derive(Clone)]
pub struct TenantSecret([u8; 32]);

impl TenantSecret {
    /// Takes the bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    fn hmac(&self, domain: &[u8], data: &[u8]) -> Hash {
        // A key that is shorter than the block is filled up with zeros (RFC 2104), so this can't fail on its length.
        let mut key = [0; 64];
        key[..32].copy_from_slice(&self.0);
        Hmac::<Sha256>::new(&key.into())
            .chain_update(domain)
            .chain_update(data)
            .finalize()
            .into_bytes()
            .into()
    }
}

impl fmt::Debug for TenantSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TenantSecret(…)")
    }
}

/// Tells whether two requests are the same: `HMAC-SHA-256(tenant secret, "everloop/request/v1/" ‖ canonical request)`.
///
/// It is stored outside of the payload, so it must not let anyone guess at the request.
pub fn request_hash(secret: &TenantSecret, request: &Json) -> Hash {
    secret.hmac(b"everloop/request/v1/", request.as_str().as_bytes())
}

/// The id of a blob, in hex: `HMAC-SHA-256(tenant secret, "everloop/blob/v1/" ‖ SHA-256(bytes))`, not shortened.
///
/// Equal bytes of one tenant have one id; those of two tenants have nothing in common. `inner` is the SHA-256 of the bytes.
pub fn blob_id(secret: &TenantSecret, inner: &Hash) -> String {
    hex::encode(&secret.hmac(b"everloop/blob/v1/", inner))
}

/// What an event says about a blob: `SHA-256(salt ‖ SHA-256(bytes))`, in hex. `inner` is the SHA-256 of the bytes.
pub fn blob_hash(salt: &Salt, inner: &Hash) -> String {
    hex::encode(&Sha256::new_with_prefix(salt).chain_update(inner).finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_have_the_digest_of_the_whole() {
        let mut pieces = Hasher::default();
        pieces.update(b"ab");
        pieces.update(b"c");
        assert_eq!(pieces.finish(), sha256(b"abc"));
        assert_ne!(sha256(b"abc"), Hash::default());
    }

    #[test]
    fn a_secret_is_not_shown() {
        assert_eq!(format!("{:?}", TenantSecret::new([7; 32])), "TenantSecret(…)");
    }
}
