//! Exports: a stream as lines of JSON that anyone can verify without a server.
//!
//! One line per event, in order; `{"receipt":"<JWS>"}` last where the task has ended; `{"anchor":"<JWS>"}` first where the
//! beginning of the stream was trimmed. A receipt alone is an export, too.

use crate::chain::{ChainError, Verifier, from_json};
use crate::hex;
use crate::keys::Jwks;
use crate::receipt::{self, Claims, ReceiptError, Unverified};
use everloop_types::event::{Event, EventBody};
use everloop_types::id::TenantId;
use everloop_types::receipt::{AnchorClaims, ReceiptClaims};
use everloop_types::state::State;
use everloop_types::stream::StreamName;
use serde::Deserialize;
use std::borrow::Cow;

/// The line of an anchor, without a line end.
pub fn anchor_line(jws: &str) -> String {
    format!("{{\"anchor\":\"{jws}\"}}")
}

/// The line of a receipt, without a line end.
pub fn receipt_line(jws: &str) -> String {
    format!("{{\"receipt\":\"{jws}\"}}")
}

/// What a verified export proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everything fits together, and a trusted key has signed the receipt.
    Verified {
        /// The id of that key.
        signer: String,
    },
    /// Everything fits together, but the key that the receipt names is none of the trusted ones: its signature was **not**
    /// checked, and anybody may have made it.
    ConsistentSignerUnknown {
        /// The id of the key that the receipt names.
        signer: String,
    },
    /// The events fit together and there is no receipt: the task has not ended, or the receipt was left out.
    ConsistentUnsigned,
}

/// What was found in an export that holds together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What it proves.
    pub verdict: Verdict,
    /// Whose it is.
    pub tenant: TenantId,
    /// The stream; a task's is named by its id.
    pub stream: StreamName,
    /// The kind of the task, where the first event or the receipt says it.
    pub kind: Option<String>,
    /// How the task ended; none where the events don't reach its end.
    pub state: Option<State>,
    /// Events that were verified; 0 for a receipt alone.
    pub events: u64,
    /// Number of the first event that was verified; for a receipt alone, the one that it claims.
    pub first_seq: u64,
    /// Number of the last one.
    pub last_seq: u64,
    /// Hash of the last one, in hex: it depends on every event before.
    pub chain_root: String,
    /// Numbers of the events whose payload is gone. The chain holds without them; whether they may be gone is not known here.
    pub missing: Vec<u64>,
    /// The anchor, where the beginning of the stream was trimmed.
    pub anchor: Option<AnchorClaims>,
    /// The receipt.
    pub receipt: Option<ReceiptClaims>,
}

/// An export that does not hold together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// There is nothing in it.
    #[error("there is nothing to verify: the file is empty")]
    Empty,
    /// A line is not what belongs there.
    #[error("line {line}: {reason}")]
    Line {
        /// Number of the line, from 1.
        line: u64,
        /// The event that was expected there, where one was.
        seq: Option<u64>,
        /// What is wrong with it.
        reason: String,
    },
    /// The chain is broken.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// Events at the end are missing: the receipt names more.
    #[error("event {seq}: it is missing: the receipt says that the last event is {last_seq}")]
    Cut {
        /// The first event that is missing.
        seq: u64,
        /// The last one, by the receipt.
        last_seq: u64,
    },
    /// The receipt is of another history than the events.
    #[error("event {seq}: the receipt does not belong to these events: its {member} differs")]
    ReceiptMismatch {
        /// The last event.
        seq: u64,
        /// The claim that differs.
        member: &'static str,
    },
    /// The claims beside a receipt are not those inside of it.
    #[error("the claims beside the receipt are not those that were signed")]
    ClaimsMismatch,
    /// The receipt is no receipt, or its signature is wrong.
    #[error("the receipt is broken: {0}")]
    Receipt(#[source] ReceiptError),
    /// The anchor is no anchor, or its signature is wrong.
    #[error("the anchor is broken: {0}")]
    Anchor(#[source] ReceiptError),
}

impl ExportError {
    /// The event at which the history breaks, where it is about one.
    pub fn seq(&self) -> Option<u64> {
        match self {
            Self::Chain(error) => Some(error.seq),
            Self::Cut { seq, .. } | Self::ReceiptMismatch { seq, .. } => Some(*seq),
            Self::Line { seq, .. } => *seq,
            Self::Empty | Self::ClaimsMismatch | Self::Receipt(_) | Self::Anchor(_) => None,
        }
    }
}

/// A line that is no event.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Marker<'a> {
    #[serde(borrow, default)]
    anchor: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    receipt: Option<Cow<'a, str>>,
    #[serde(default)]
    claims: Option<ReceiptClaims>,
}

impl<'a> Marker<'a> {
    fn read(text: &'a str) -> Option<Self> {
        // serde would take an array of the members for a struct, too.
        let object = text.trim_start().starts_with('{');
        if object { serde_json::from_str(text).ok() } else { None }
    }
}

/// Verifies an export line by line, so that it need not fit into memory.
#[derive(Debug)]
pub struct ExportVerifier<'k> {
    trusted: Option<&'k Jwks>,
    line: u64,
    chain: Option<Verifier>,
    events: u64,
    first_seq: u64,
    kind: Option<String>,
    last: Option<Event>,
    anchor: Option<AnchorClaims>,
    receipt: Option<(ReceiptClaims, Verdict)>,
}

impl<'k> ExportVerifier<'k> {
    /// With the keys that are trusted. Without any, no signature is checked and nothing is more than consistent.
    pub fn new(trusted: Option<&'k Jwks>) -> Self {
        Self {
            trusted,
            line: 0,
            chain: None,
            events: 0,
            first_seq: 0,
            kind: None,
            last: None,
            anchor: None,
            receipt: None,
        }
    }

    /// Takes the next line, with or without its line end. Empty lines are passed over.
    ///
    /// # Errors
    /// The first thing that is wrong; the rest need not be read then.
    pub fn line(&mut self, text: &str) -> Result<(), ExportError> {
        self.line += 1;
        let text = text.trim();
        if text.is_empty() {
            return Ok(());
        }
        if self.receipt.is_some() {
            return Err(self.wrong("nothing may follow the receipt"));
        }
        if !text.starts_with('{') && text.split('.').count() == 3 {
            return self.receipt(text, None);
        }
        match Marker::read(text) {
            Some(Marker { anchor: None, receipt: Some(jws), claims }) => self.receipt(&jws, claims),
            Some(Marker { anchor: Some(jws), receipt: None, claims: None }) => self.anchor(&jws),
            Some(Marker { .. }) => Err(self.wrong("a line is an event, an anchor or a receipt")),
            None => self.event(text),
        }
    }

    /// The verdict, when every line was taken.
    ///
    /// # Errors
    /// If there was nothing to verify.
    pub fn finish(self) -> Result<Report, ExportError> {
        let (receipt, verdict) = match self.receipt {
            Some((claims, verdict)) => (Some(claims), verdict),
            None => (None, Verdict::ConsistentUnsigned),
        };
        let kind = self.kind.or_else(|| receipt.as_ref().map(|claims| claims.kind.clone()));
        match (self.last, self.chain) {
            (Some(last), Some(chain)) => Ok(Report {
                verdict,
                tenant: last.tenant,
                stream: last.stream,
                kind,
                state: receipt::claims_of(&last, "").map(|claims| claims.state),
                events: self.events,
                first_seq: self.first_seq,
                last_seq: last.seq,
                chain_root: hex::encode(&last.hash),
                missing: chain.missing().to_vec(),
                anchor: self.anchor,
                receipt,
            }),
            _ => match receipt {
                Some(claims) => Ok(Report {
                    verdict,
                    tenant: claims.tenant,
                    stream: StreamName::Task(claims.task),
                    kind,
                    state: Some(claims.state),
                    events: 0,
                    first_seq: claims.first_seq,
                    last_seq: claims.last_seq,
                    chain_root: claims.chain_root.clone(),
                    missing: Vec::new(),
                    anchor: self.anchor,
                    receipt: Some(claims),
                }),
                None => Err(ExportError::Empty),
            },
        }
    }

    fn wrong(&self, reason: impl Into<String>) -> ExportError {
        ExportError::Line { line: self.line, seq: None, reason: reason.into() }
    }

    fn event(&mut self, text: &str) -> Result<(), ExportError> {
        let seq = Some(self.chain.as_ref().map_or(1, |chain| chain.head().seq.saturating_add(1)));
        let event = from_json(text).map_err(|error| ExportError::Line {
            line: self.line,
            seq,
            reason: error.to_string(),
        })?;
        let chain = self.chain.get_or_insert_with(|| Verifier::new(event.tenant, event.stream));
        chain.check(&event)?;
        if self.events == 0 {
            self.first_seq = event.seq;
        }
        if event.seq == 1
            && let Ok(Some(EventBody::Submitted(spec))) = event.body()
        {
            self.kind = Some(spec.kind);
        }
        self.events += 1;
        self.last = Some(event);
        Ok(())
    }

    fn anchor(&mut self, jws: &str) -> Result<(), ExportError> {
        if self.chain.is_some() {
            return Err(self.wrong("an anchor may only be the first line"));
        }
        let read: Unverified<AnchorClaims> = receipt::read(jws).map_err(ExportError::Anchor)?;
        // An anchor of an unknown signer is held against the receipt: the chain from here ends in its root.
        signer(&read, self.trusted).map_err(ExportError::Anchor)?;
        let claims = read.claims;
        let (Ok(stream), Some(hash)) = (claims.stream.parse(), receipt::anchor_hash(&claims)) else {
            return Err(self.wrong("the anchor names no stream"));
        };
        self.chain = Some(Verifier::after_anchor(claims.tenant, stream, claims.seq, hash));
        self.anchor = Some(claims);
        Ok(())
    }

    fn receipt(&mut self, jws: &str, beside: Option<ReceiptClaims>) -> Result<(), ExportError> {
        let read: Unverified<ReceiptClaims> = receipt::read(jws).map_err(ExportError::Receipt)?;
        let known = signer(&read, self.trusted).map_err(ExportError::Receipt)?;
        let (claims, signer) = (read.claims, read.kid);
        if beside.is_some_and(|beside| beside != claims) {
            return Err(ExportError::ClaimsMismatch);
        }
        if let Some(chain) = &self.chain {
            self.belongs(&claims, chain)?;
        }
        let verdict =
            if known { Verdict::Verified { signer } } else { Verdict::ConsistentSignerUnknown { signer } };
        self.receipt = Some((claims, verdict));
        Ok(())
    }

    /// Holds the claims against the events.
    fn belongs(&self, claims: &ReceiptClaims, chain: &Verifier) -> Result<(), ExportError> {
        let seq = chain.head().seq;
        let differs = |member| Err(ExportError::ReceiptMismatch { seq, member });
        if chain.stream() != StreamName::Task(claims.task) {
            return differs("task");
        }
        if claims.last_seq > seq {
            return Err(ExportError::Cut { seq: seq + 1, last_seq: claims.last_seq });
        }
        // Where the first event has no payload, the kind is known from the receipt alone.
        let kind = self.kind.as_deref().unwrap_or(&claims.kind);
        let Some(found) = self.last.as_ref().and_then(|last| receipt::claims_of(last, kind)) else {
            return differs("last_seq");
        };
        let ReceiptClaims {
            chain_root,
            finished_at,
            first_seq,
            kind,
            last_seq,
            result_hash,
            state,
            task,
            tenant,
            v,
        } = &found;
        for (member, same) in [
            ("tenant", *tenant == claims.tenant),
            ("task", *task == claims.task),
            ("kind", *kind == claims.kind),
            ("state", *state == claims.state),
            ("first_seq", *first_seq == claims.first_seq),
            ("last_seq", *last_seq == claims.last_seq),
            ("chain_root", *chain_root == claims.chain_root),
            ("result_hash", *result_hash == claims.result_hash),
            ("finished_at", *finished_at == claims.finished_at),
            ("v", *v == claims.v),
        ] {
            if !same {
                return differs(member);
            }
        }
        Ok(())
    }
}

/// Whether a trusted key has signed it; an unknown signer is no error here, a wrong signature is.
fn signer<C: Claims>(read: &Unverified<C>, trusted: Option<&Jwks>) -> Result<bool, ReceiptError> {
    match trusted.map(|keys| read.check(keys)) {
        Some(Ok(())) => Ok(true),
        None | Some(Err(ReceiptError::UnknownKey { .. })) => Ok(false),
        Some(Err(error)) => Err(error),
    }
}

/// Verifies an export that comes as lines.
///
/// # Errors
/// The first thing that is wrong.
pub fn verify_export<L: AsRef<str>>(
    lines: impl IntoIterator<Item = L>,
    trusted: Option<&Jwks>,
) -> Result<Report, ExportError> {
    let mut verifier = ExportVerifier::new(trusted);
    for line in lines {
        verifier.line(line.as_ref())?;
    }
    verifier.finish()
}

/// Verifies a file as a whole: an export, or a receipt in any of its forms (the API's answer over several lines, too).
///
/// # Errors
/// The first thing that is wrong.
pub fn verify_text(text: &str, trusted: Option<&Jwks>) -> Result<Report, ExportError> {
    if Marker::read(text).is_some() {
        return verify_export([text], trusted);
    }
    verify_export(text.lines(), trusted)
}
