//! What a write set must be, whatever the engine.

use crate::error::StoreError;
use crate::work::{Row, StreamWrite, WriteSet};
use everloop_types::stream::StreamName;
use std::collections::HashSet;

impl WriteSet {
    /// Refuses a write set that no rule may make. Every engine calls this before anything else in `commit`.
    ///
    /// # Errors
    /// [`StoreError::Bug`] if a stream stands twice, if its events do not follow `expected` one by one, end at `head` and are
    /// its own, if a task's stream grows without its record or another one with a record, or if a new key is not a stream's.
    pub fn validate(&self) -> Result<(), StoreError> {
        let mut seen = HashSet::with_capacity(self.streams.len());
        for write in &self.streams {
            if !seen.insert(write.stream) {
                return Err(bug(write.stream, "stands twice in a write set"));
            }
            write.validate().map_err(|what| bug(write.stream, what))?;
        }
        if self.rows.iter().any(|row| matches!(row, Row::KeyNew(_))) {
            return Err(StoreError::Bug("a new key that belongs to no stream".into()));
        }
        Ok(())
    }
}

impl StreamWrite {
    /// The last event before those of a trimmed stream, which a restore writes together with its anchor.
    fn anchored(&self) -> Option<u64> {
        self.rows.iter().find_map(|row| match row {
            Row::StreamTrim { tenant, stream, upto_seq, .. }
                if *stream == self.stream && *tenant == self.tenant =>
            {
                Some(*upto_seq)
            }
            _ => None,
        })
    }

    fn validate(&self) -> Result<(), &'static str> {
        let mut next = self.expected;
        if self.expected == 0
            && let Some(upto_seq) = self.anchored()
        {
            next = upto_seq;
        }
        for event in &self.events {
            next += 1;
            if event.seq != next {
                return Err("has events that do not follow one another");
            }
            if event.stream != self.stream || event.tenant != self.tenant {
                return Err("has events of another stream");
            }
        }
        match self.events.last() {
            Some(last) if (self.head.seq, self.head.hash, self.head.ts) != (last.seq, last.hash, last.ts) => {
                return Err("has a head that is not its last event");
            }
            None if self.head.seq != self.expected || self.expected == 0 => {
                return Err("has no events, yet grows");
            }
            Some(_) | None => {}
        }
        match (&self.task, self.stream) {
            (Some(write), StreamName::Task(id))
                if write.task.id == id && write.task.tenant == self.tenant => {}
            (Some(_), StreamName::Task(_)) => return Err("has the record of another task"),
            (Some(_), StreamName::Audit(..)) => return Err("has a record and is no task's"),
            (None, StreamName::Task(_)) if !self.events.is_empty() => return Err("grows without its record"),
            (None, StreamName::Task(_) | StreamName::Audit(..)) => {}
        }
        let mut keys = HashSet::new();
        for row in &self.rows {
            if let Row::KeyNew(key) = row
                && !keys.insert(key.hash)
            {
                return Err("has the same new key twice");
            }
        }
        Ok(())
    }
}

fn bug(stream: StreamName, what: &str) -> StoreError {
    StoreError::Bug(format!("the stream {stream} {what}").into())
}
