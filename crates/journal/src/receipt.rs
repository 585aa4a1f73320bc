//! Receipts and anchors: claims signed by the installation's key, as compact JWS (RFC 7515) with EdDSA (RFC 8037).
//!
//! One claim has exactly one JWS of a key: header and payload are canonical JSON, and Ed25519 is deterministic. So a store
//! may keep the claims and the 64 bytes of the signature, and [`assemble`] gives the very text that was signed.

use crate::canonical::write_string;
use crate::hex;
use crate::keys::{Jwks, SigningKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use everloop_types::event::{Event, Hash};
use everloop_types::receipt::{AnchorClaims, ReceiptClaims};
use everloop_types::state::State;
use everloop_types::stream::StreamName;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use std::fmt::Write;

/// Version of the claims that this program writes and reads.
pub const CLAIMS_VERSION: u32 = 1;

/// Claims that can be signed: [`ReceiptClaims`] and [`AnchorClaims`].
pub trait Claims: DeserializeOwned + PartialEq {
    /// The `typ` of the JWS header, which keeps the one from being taken for the other.
    const TYP: &'static str;

    /// The canonical JSON of the claims.
    fn payload(&self) -> String;

    /// What is wrong with the claims, whoever signed them.
    fn flaw(&self) -> Option<&'static str>;
}

impl Claims for ReceiptClaims {
    const TYP: &'static str = "everloop-receipt";

    fn payload(&self) -> String {
        let mut out = String::with_capacity(512);
        // Writing to a String can't fail.
        let _ = write!(
            out,
            "{{\"chain_root\":\"{}\",\"finished_at\":\"{}\",\"first_seq\":{},\"kind\":",
            self.chain_root, self.finished_at, self.first_seq
        );
        write_string(&mut out, &self.kind);
        let _ = write!(
            out,
            ",\"last_seq\":{},\"result_hash\":\"{}\",\"state\":\"{}\",\"task\":\"{}\",\"tenant\":\"{}\",\"v\":{}}}",
            self.last_seq, self.result_hash, self.state, self.task, self.tenant, self.v
        );
        out
    }

    fn flaw(&self) -> Option<&'static str> {
        let hash = |text: &str| hex::decode::<32>(text).is_some();
        match self {
            _ if self.v != CLAIMS_VERSION => Some("v is not 1: a newer Everloop wrote it"),
            _ if !hash(&self.chain_root) => Some("chain_root is not a hash"),
            _ if !hash(&self.result_hash) => Some("result_hash is not a hash"),
            _ if self.first_seq != 1 => Some("first_seq is not 1"),
            _ if self.last_seq < self.first_seq => Some("last_seq is before first_seq"),
            _ if !self.state.is_terminal() => Some("state is not that of a finished task"),
            _ => None,
        }
    }
}

impl Claims for AnchorClaims {
    const TYP: &'static str = "everloop-anchor";

    fn payload(&self) -> String {
        let mut out = String::with_capacity(256);
        let _ = write!(out, "{{\"hash\":\"{}\",\"seq\":{},\"stream\":", self.hash, self.seq);
        write_string(&mut out, &self.stream);
        let _ = write!(out, ",\"tenant\":\"{}\",\"v\":{}}}", self.tenant, self.v);
        out
    }

    fn flaw(&self) -> Option<&'static str> {
        match self {
            _ if self.v != CLAIMS_VERSION => Some("v is not 1: a newer Everloop wrote it"),
            _ if hex::decode::<32>(&self.hash).is_none() => Some("hash is not a hash"),
            _ if self.seq == 0 => Some("seq is 0"),
            _ if self.stream.parse::<StreamName>().is_err() => Some("stream is not the name of a stream"),
            _ => None,
        }
    }
}

/// What the receipt of a task claims; none if the event is not the one that ended a task.
pub fn claims_of(terminal: &Event, kind: &str) -> Option<ReceiptClaims> {
    let state = match terminal.kind.as_ref() {
        "task.completed" => State::Completed,
        "task.failed" => State::Failed,
        "task.cancelled" => State::Cancelled,
        _ => return None,
    };
    Some(ReceiptClaims {
        chain_root: hex::encode(&terminal.hash),
        finished_at: terminal.ts,
        first_seq: 1,
        kind: kind.to_owned(),
        last_seq: terminal.seq,
        result_hash: hex::encode(&terminal.data_hash),
        state,
        task: terminal.stream.task()?,
        tenant: terminal.tenant,
        v: CLAIMS_VERSION,
    })
}

/// What an anchor claims: the last event of a stream that is gone.
pub fn anchor_of(last_gone: &Event) -> AnchorClaims {
    AnchorClaims {
        hash: hex::encode(&last_gone.hash),
        seq: last_gone.seq,
        stream: last_gone.stream.to_string(),
        tenant: last_gone.tenant,
        v: CLAIMS_VERSION,
    }
}

fn header(kid: &str, typ: &str) -> String {
    let mut out = "{\"alg\":\"EdDSA\",\"kid\":".to_owned();
    write_string(&mut out, kid);
    let _ = write!(out, ",\"typ\":\"{typ}\"}}");
    out
}

/// The bytes that are signed: header and payload in base64url, with a dot between.
fn signing_input<C: Claims>(kid: &str, claims: &C) -> String {
    let mut out = String::with_capacity(1024);
    URL_SAFE_NO_PAD.encode_string(header(kid, C::TYP), &mut out);
    out.push('.');
    URL_SAFE_NO_PAD.encode_string(claims.payload(), &mut out);
    out
}

fn with_signature(mut jws: String, signature: &[u8; 64]) -> String {
    jws.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut jws);
    jws
}

/// Signs claims: the compact JWS.
pub fn sign<C: Claims>(key: &SigningKey, claims: &C) -> String {
    let input = signing_input(key.kid(), claims);
    let signature = key.sign(input.as_bytes());
    with_signature(input, &signature)
}

/// Signs claims and gives the signature alone, which is all that has to be kept of it.
pub fn sign_detached_signature<C: Claims>(key: &SigningKey, claims: &C) -> [u8; 64] {
    key.sign(signing_input(key.kid(), claims).as_bytes())
}

/// The compact JWS of claims that the key of this id has signed. The signature is not checked.
pub fn assemble<C: Claims>(kid: &str, claims: &C, signature: &[u8; 64]) -> String {
    with_signature(signing_input(kid, claims), signature)
}

/// Why a text is not a receipt (or anchor) of a trusted key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// Not a compact JWS, or its header has other members than ours.
    #[error("this is not a signed receipt or anchor: {0}")]
    Malformed(&'static str),
    /// Another algorithm, `none` included.
    #[error("the signature algorithm is {0}; only EdDSA is accepted")]
    Algorithm(String),
    /// Another kind of document.
    #[error("the type is {found}, not {expected}")]
    Type {
        /// What the header says.
        found: String,
        /// What was wanted.
        expected: &'static str,
    },
    /// The claims are not ours, or not in canonical form.
    #[error("the claims are not valid: {0}")]
    Claims(Cow<'static, str>),
    /// None of the trusted keys.
    #[error("the signer {kid} is none of the trusted keys; the signature was not checked")]
    UnknownKey {
        /// The id of the signer's key.
        kid: String,
    },
    /// The signature is not that of the key.
    #[error("the signature is wrong: the receipt or anchor was altered, or is not of the key that it names")]
    BadSignature,
}

/// A receipt or anchor that was read, and whose signature was not checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unverified<C> {
    /// The id of the key that it says has signed it.
    pub kid: String,
    /// What it claims.
    pub claims: C,
    /// The signature.
    pub signature: [u8; 64],
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    kid: String,
    typ: String,
}

/// Reads a receipt or anchor without checking its signature.
///
/// # Errors
/// Every [`ReceiptError`] but the two that are about the key.
pub fn read<C: Claims>(jws: &str) -> Result<Unverified<C>, ReceiptError> {
    use ReceiptError::Malformed;
    let mut parts = jws.split('.');
    let (Some(head), Some(payload), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Malformed("a compact JWS has three parts"));
    };
    let decode = |part: &str| {
        URL_SAFE_NO_PAD.decode(part).map_err(|_| Malformed("a part is not base64url without padding"))
    };
    let (head, payload) = (decode(head)?, decode(payload)?);
    let signature =
        decode(signature)?.try_into().map_err(|_| Malformed("an Ed25519 signature has 64 bytes"))?;
    let parsed: Header = serde_json::from_slice(&head)
        .map_err(|_| Malformed("the header has to have the members alg, kid and typ, and no others"))?;
    if parsed.alg != "EdDSA" {
        return Err(ReceiptError::Algorithm(parsed.alg));
    }
    if parsed.typ != C::TYP {
        return Err(ReceiptError::Type { found: parsed.typ, expected: C::TYP });
    }
    if head != header(&parsed.kid, C::TYP).as_bytes() {
        return Err(Malformed("the header is not canonical JSON"));
    }
    let claims: C =
        serde_json::from_slice(&payload).map_err(|error| ReceiptError::Claims(error.to_string().into()))?;
    if let Some(flaw) = claims.flaw() {
        return Err(ReceiptError::Claims(flaw.into()));
    }
    if payload != claims.payload().as_bytes() {
        return Err(ReceiptError::Claims("they are not canonical JSON".into()));
    }
    Ok(Unverified { kid: parsed.kid, claims, signature })
}

impl<C: Claims> Unverified<C> {
    /// Checks the signature against the key that it names.
    ///
    /// # Errors
    /// [`ReceiptError::UnknownKey`] and [`ReceiptError::BadSignature`].
    pub fn check(&self, keys: &Jwks) -> Result<(), ReceiptError> {
        let key = keys.find(&self.kid).ok_or_else(|| ReceiptError::UnknownKey { kid: self.kid.clone() })?;
        let input = signing_input(&self.kid, &self.claims);
        if key.verifies(input.as_bytes(), &self.signature) { Ok(()) } else { Err(ReceiptError::BadSignature) }
    }
}

/// Reads a receipt or anchor and checks it against trusted keys.
///
/// # Errors
/// Every [`ReceiptError`].
pub fn verify<C: Claims>(jws: &str, keys: &Jwks) -> Result<C, ReceiptError> {
    let unverified = read::<C>(jws)?;
    unverified.check(keys)?;
    Ok(unverified.claims)
}

/// The hash of an anchor that was read, as bytes; none if the claims were made by hand and are not valid.
pub fn anchor_hash(claims: &AnchorClaims) -> Option<Hash> {
    hex::decode(&claims.hash)
}
