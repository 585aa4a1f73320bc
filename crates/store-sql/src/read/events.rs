//! Events, heads and the feed.

use super::{Database, Reader, limit, sql};
use crate::decode;
use crate::encode::{int, stream_key};
use crate::value::{Value, array, array_opt, corrupt, number};
use everloop_journal::chain;
use everloop_store::error::StoreError;
use everloop_store::port::{EventRead, Read};
use everloop_store::rows::Positioned;
use everloop_types::event::{Event, Head};
use everloop_types::id::{TaskId, TenantId};
use everloop_types::stream::StreamName;

/// Refuses an event that is not what its hash was made of, or does not follow the one before it. Behind the cut of a trimmed
/// stream nothing is known of the one before, and only the anchor can tell.
fn chained(before: Option<[u8; 32]>, event: &Event) -> Result<(), StoreError> {
    let before = if event.seq == 1 { Some(chain::genesis(&event.stream)) } else { before };
    if before.is_some_and(|before| chain::hash_of(&before, event) != event.hash) {
        let (stream, seq) = (event.stream, event.seq);
        return Err(corrupt(format!(
            "event {stream}/{seq}: its hash does not match: it or the event before it was altered"
        )));
    }
    Ok(())
}

impl<D: Database> EventRead for Reader<D> {
    fn events(&self, tenant: TenantId, stream: StreamName, after: u64, rows: usize) -> Read<Vec<Event>> {
        let key = stream_key(stream);
        let params = [Value::Bytes(&key), Value::Int(int(after)), Value::Bytes(&tenant.0), limit(rows)];
        let mut before = None;
        self.list(&sql::EVENTS, &params, |row| {
            let event = decode::event(row, 1, tenant, stream)?;
            chained(before.or(array_opt(row, 0)?), &event)?;
            before = Some(event.hash);
            Ok(event)
        })
    }

    fn payloads(
        &self,
        tenant: TenantId,
        stream: StreamName,
        kind: &str,
        after: u64,
        rows: usize,
    ) -> Read<Vec<u64>> {
        let key = stream_key(stream);
        let params = [
            Value::Bytes(&key),
            Value::Int(int(after)),
            Value::Bytes(&tenant.0),
            Value::Text(kind),
            limit(rows),
        ];
        self.list(&sql::PAYLOADS, &params, |row| number(row, 0))
    }

    fn event(&self, tenant: TenantId, stream: StreamName, seq: u64) -> Read<Option<Event>> {
        let key = stream_key(stream);
        let params = [Value::Bytes(&key), Value::Int(int(seq)), Value::Bytes(&tenant.0)];
        self.one(&sql::EVENT, &params, |row| {
            let event = decode::event(row, 1, tenant, stream)?;
            chained(array_opt(row, 0)?, &event)?;
            Ok(event)
        })
    }

    fn head(&self, tenant: TenantId, stream: StreamName) -> Read<Option<Head>> {
        let key = stream_key(stream);
        let statement = match stream {
            StreamName::Task(_) => &sql::HEAD_OF_TASK,
            StreamName::Audit(..) => &sql::HEAD_OF_STREAM,
        };
        self.one(statement, &[Value::Bytes(&tenant.0), Value::Bytes(&key)], |row| decode::head(row, 0))
    }

    fn anchor(&self, tenant: TenantId, stream: StreamName) -> Read<Option<(u64, String)>> {
        let key = stream_key(stream);
        let params = [Value::Bytes(&tenant.0), Value::Bytes(&key)];
        self.one(&sql::ANCHOR, &params, |row| Ok((number(row, 0)?, row.text(1)?.to_owned())))
    }

    fn feed(&self, tenant: TenantId, after: i64, rows: usize) -> Read<Vec<Positioned>> {
        let params = [Value::Int(after), Value::Bytes(&tenant.0), limit(rows)];
        self.list(D::FEED, &params, |row| {
            let stream = match row.text_opt(2)? {
                Some(name) => name.parse().map_err(|_| corrupt(format!("a stream is named {name}")))?,
                None => StreamName::Task(TaskId(array(row, 1)?)),
            };
            Ok(Positioned { pos: row.int(0)?, event: decode::event(row, 3, tenant, stream)? })
        })
    }

    fn last_position(&self, tenant: TenantId) -> Read<i64> {
        Ok(self.one(D::LAST_POSITION, &[Value::Bytes(&tenant.0)], |row| row.int(0))?.unwrap_or(0))
    }

    fn audit_segment(&self, tenant: TenantId) -> Read<Option<u32>> {
        self.one(&sql::AUDIT_SEGMENT, &[Value::Bytes(&tenant.0)], |row| number(row, 0))
    }
}
