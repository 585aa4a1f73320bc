//! Checks the events of a stream one after the other.

use super::{data_hash, hash_of, head_after, start};
use crate::hex;
use everloop_types::event::{ENVELOPE_VERSION, Event, EventBody, Head};
use everloop_types::id::TenantId;
use everloop_types::stream::StreamName;
use everloop_types::time::Timestamp;

/// What is wrong with an event of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It belongs to another stream or tenant.
    ForeignStream,
    /// Its envelope has a version that this program does not know.
    UnknownVersion(u32),
    /// An event follows the one that ended the task.
    AfterTerminal,
    /// Events are missing: this one has another number than the next.
    Gap {
        /// The number that the event has.
        found: u64,
    },
    /// It is older than the event before it.
    TimeWentBack,
    /// Its hash does not follow from the event before and its envelope: one of the two was altered.
    BrokenHash,
    /// Its salt or data is not what its envelope commits to.
    PayloadAltered,
    /// A digest event names another number or hash than the event before it has.
    DigestMismatch,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ForeignStream => f.write_str("it belongs to another stream or tenant"),
            Self::UnknownVersion(v) => {
                write!(f, "its envelope has version {v}, which this program does not know")
            }
            Self::AfterTerminal => f.write_str("it stands after the event that ended the task"),
            Self::Gap { found } => write!(f, "it is missing: event {found} stands in its place"),
            Self::TimeWentBack => f.write_str("it is older than the event before it"),
            Self::BrokenHash => f.write_str("its hash does not match: it or the event before it was altered"),
            Self::PayloadAltered => f.write_str("its payload was altered"),
            Self::DigestMismatch => f.write_str("the digest does not match the event before it"),
        }
    }
}

/// A chain that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("event {seq}: {fault}")]
pub struct ChainError {
    /// The event that is wrong; for a gap, the first one that is missing.
    pub seq: u64,
    /// What is wrong with it.
    pub fault: Fault,
}

/// Verifies the events of one stream, one by one and in order.
#[derive(Clone, Debug)]
pub struct Verifier {
    tenant: TenantId,
    stream: StreamName,
    head: Head,
    terminal: bool,
    missing: Vec<u64>,
}

impl Verifier {
    /// For a whole stream, from its first event.
    pub fn new(tenant: TenantId, stream: StreamName) -> Self {
        Self::after(tenant, stream, start(&stream))
    }

    /// For the rest of a stream, from behind a head that is trusted already.
    pub fn after(tenant: TenantId, stream: StreamName, head: Head) -> Self {
        Self { tenant, stream, head, terminal: false, missing: Vec::new() }
    }

    /// For the rest of a trimmed stream, from behind the event that an anchor names. The time of that event is not known.
    pub fn after_anchor(tenant: TenantId, stream: StreamName, seq: u64, hash: [u8; 32]) -> Self {
        Self::after(tenant, stream, Head { seq, hash, ts: Timestamp::MIN })
    }

    /// The stream that is verified.
    pub fn stream(&self) -> StreamName {
        self.stream
    }

    /// The last event that was verified.
    pub fn head(&self) -> Head {
        self.head
    }

    /// Whether the task has ended.
    pub fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Numbers of the events whose payload was not there.
    pub fn missing(&self) -> &[u64] {
        &self.missing
    }

    /// Verifies the next event.
    ///
    /// # Errors
    /// The first thing that is wrong with it. The verifier then still stands at the event before.
    pub fn check(&mut self, event: &Event) -> Result<(), ChainError> {
        let next = self.head.seq.saturating_add(1);
        self.fault(event, next).map_or(Ok(()), |fault| Err(ChainError { seq: next, fault }))?;
        if event.payload.is_none() {
            self.missing.push(event.seq);
        }
        self.head = head_after(event);
        self.terminal = self.stream.task().is_some() && event.is_terminal();
        Ok(())
    }

    fn fault(&self, event: &Event, next: u64) -> Option<Fault> {
        if event.tenant != self.tenant || event.stream != self.stream {
            return Some(Fault::ForeignStream);
        }
        if event.v != ENVELOPE_VERSION {
            return Some(Fault::UnknownVersion(event.v));
        }
        if self.terminal {
            return Some(Fault::AfterTerminal);
        }
        if event.seq != next {
            return Some(Fault::Gap { found: event.seq });
        }
        if hash_of(&self.head.hash, event) != event.hash {
            return Some(Fault::BrokenHash);
        }
        if event.ts < self.head.ts {
            return Some(Fault::TimeWentBack);
        }
        let payload = event.payload.as_ref()?;
        if data_hash(&payload.salt, &payload.data) != event.data_hash {
            return Some(Fault::PayloadAltered);
        }
        if event.kind == "digest" {
            let names_head = matches!(
                EventBody::read(&event.kind, event.body_v, &payload.data),
                Ok(EventBody::Digest(digest))
                    if digest.upto_seq == self.head.seq && hex::decode(&digest.hash) == Some(self.head.hash)
            );
            return (!names_head).then_some(Fault::DigestMismatch);
        }
        None
    }
}
