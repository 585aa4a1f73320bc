//! Audit streams: what was done to streams themselves.

use super::batch::Tools;
use everloop_journal::chain;
use everloop_store::work::{Row, StreamWrite};
use everloop_types::error::{Code, Refusal};
use everloop_types::event::{AuditSegment, Event, EventBody, Head, SYSTEM};
use everloop_types::id::TenantId;
use everloop_types::stream::StreamName;
use everloop_types::time::Timestamp;

/// Events of one segment, after which the next one begins.
const SEGMENT_EVENTS: u64 = 100_000;

/// A tenant's audit stream in a batch.
#[derive(Debug)]
pub(super) struct Audit {
    tenant: TenantId,
    segment: u32,
    expected: u64,
    head: Head,
    events: Vec<Event>,
    rows: Vec<Row>,
    /// Segments that were filled by this batch.
    full: Vec<StreamWrite>,
}

impl Audit {
    /// A segment at this head; none if it does not exist yet.
    pub(super) fn load(tenant: TenantId, segment: u32, head: Option<Head>) -> Self {
        let head = head.unwrap_or_else(|| chain::start(&StreamName::Audit(tenant, segment)));
        Self {
            tenant,
            segment,
            expected: head.seq,
            head,
            events: Vec::new(),
            rows: Vec::new(),
            full: Vec::new(),
        }
    }

    /// Adds an event, and the row that it tells of.
    pub(super) fn add(
        &mut self,
        tools: Tools<'_>,
        now: Timestamp,
        actor: &str,
        body: &EventBody,
        row: Row,
    ) -> Result<(), Refusal> {
        if self.head.seq >= SEGMENT_EVENTS {
            let previous = AuditSegment {
                hash: Some(everloop_journal::hex::encode(&self.head.hash)),
                previous: Some(StreamName::Audit(self.tenant, self.segment).to_string()),
            };
            let full = self.take();
            self.full.extend(full);
            self.segment += 1;
            self.head = chain::start(&StreamName::Audit(self.tenant, self.segment));
            self.expected = 0;
            self.link(tools, now, SYSTEM, &previous.into())?;
        }
        if self.head.seq == 0 {
            self.link(tools, now, SYSTEM, &AuditSegment { hash: None, previous: None }.into())?;
        }
        self.link(tools, now, actor, body)?;
        self.rows.push(row);
        Ok(())
    }

    fn link(
        &mut self,
        tools: Tools<'_>,
        now: Timestamp,
        actor: &str,
        body: &EventBody,
    ) -> Result<(), Refusal> {
        let data = body.data().map_err(|error| Refusal::new(Code::Internal, error.to_string()))?;
        let draft = chain::Draft {
            tenant: self.tenant,
            stream: StreamName::Audit(self.tenant, self.segment),
            ts: now,
            kind: body.kind(),
            body_v: 1,
            actor: actor.to_owned(),
            trace: None,
            salt: tools.random.bytes16(),
            data,
        };
        let event = chain::link(&self.head, draft);
        self.head = chain::head_after(&event);
        self.events.push(event);
        Ok(())
    }

    fn take(&mut self) -> Option<StreamWrite> {
        (!self.events.is_empty()).then(|| StreamWrite {
            tenant: self.tenant,
            stream: StreamName::Audit(self.tenant, self.segment),
            expected: self.expected,
            events: std::mem::take(&mut self.events),
            head: self.head,
            task: None,
            rows: std::mem::take(&mut self.rows),
        })
    }

    /// What has to be written.
    pub(super) fn into_writes(mut self) -> Vec<StreamWrite> {
        let mut writes = std::mem::take(&mut self.full);
        writes.extend(self.take());
        writes
    }
}
