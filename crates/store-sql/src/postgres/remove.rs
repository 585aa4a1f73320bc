//! What may be removed: whole streams, payloads, and beginnings of streams. Runs after every other change of the set.

use super::columns::column;
use super::session::{Call, Param};
use super::sql;
use crate::encode::{int, stream_key};
use crate::statement::Statement;
use everloop_store::work::Row;

/// Removals of a write set, in order.
#[derive(Default)]
pub(super) struct Removals<'a> {
    rows: Vec<&'a Row>,
}

/// Statements that only count what `rows_written` does not.
pub(super) const UNCOUNTED: &[&str] = &[
    "REMOVAL_OF_TASKS",
    "REMOVAL_OF_EVENTS",
    "REMOVAL_END",
    "ANCHOR_DELETE",
    "STREAM_PUT",
    "STREAM_UPDATE",
    "TALLY_ADD",
    "TALLY_REMOVE",
];

impl<'a> Removals<'a> {
    pub(super) fn add(&mut self, row: &'a Row) {
        self.rows.push(row);
    }

    pub(super) fn calls(&self, calls: &mut Vec<Call<'a>>) {
        let mut call =
            |statement: &'static Statement, params: Vec<Param<'a>>| calls.push(Call::Run(statement, params));
        for row in self.rows.iter().copied() {
            match row {
                Row::PayloadsErase { tenant, stream, seqs } => {
                    let seqs: Vec<i64> = seqs.iter().copied().map(int).collect();
                    let params: Vec<Param<'a>> =
                        vec![Box::new(stream_key(*stream).to_vec()), Box::new(seqs), Box::new(&tenant.0[..])];
                    call(&sql::PAYLOADS_ERASE, params);
                }
                Row::StreamTrim { tenant, stream, upto_seq, anchor } => {
                    let params: Vec<Param<'a>> = vec![
                        Box::new(stream_key(*stream).to_vec()),
                        Box::new(int(*upto_seq)),
                        Box::new(&tenant.0[..]),
                    ];
                    call(&sql::REMOVAL_OF_EVENTS, params);
                    call(&sql::EVENTS_DELETE, Vec::new());
                    call(&sql::ANCHOR_PUT, vec![Box::new(&tenant.0[..]), Box::new(anchor.as_str())]);
                    call(&sql::REMOVAL_END, Vec::new());
                }
                Row::KeysSweep { deleted_before } => {
                    call(&sql::KEYS_SWEEP, vec![Box::new(deleted_before.as_micros())]);
                }
                // Streams go together, below; nothing else is a removal.
                _ => {}
            }
        }
        self.streams(call);
    }

    fn streams(&self, mut call: impl FnMut(&'static Statement, Vec<Param<'a>>)) {
        let mut going: Vec<_> = self
            .rows
            .iter()
            .filter_map(|row| {
                if let Row::StreamDelete { tenant, task, at } = row {
                    Some((tenant, task, at.as_micros()))
                } else {
                    None
                }
            })
            .collect();
        if going.is_empty() {
            return;
        }
        going.sort_unstable();
        going.dedup_by_key(|(_, task, _)| *task);
        let ids = || -> Vec<Param<'a>> {
            vec![column(&going, |(tenant, _, _)| &tenant.0[..]), column(&going, |(_, task, _)| &task.0[..])]
        };
        call(&sql::REMOVAL_OF_TASKS, ids());
        for statement in [
            &sql::EVENTS_DELETE,
            &sql::TASK_QUEUE_DELETE,
            &sql::TASK_LEASE_DELETE,
            &sql::TASK_TIMER_DELETE,
            &sql::TASK_DEPENDENT_DELETE,
            &sql::TASK_PREREQUISITE_DELETE,
            &sql::TASK_OUTBOX_DELETE,
            &sql::TASK_BLOBS_DELETE,
            &sql::ANCHOR_DELETE,
        ] {
            call(statement, Vec::new());
        }
        call(
            &sql::TASK_KEYS_MARK,
            vec![column(&going, |(_, task, _)| &task.0[..]), column(&going, |(_, _, at)| *at)],
        );
        call(&sql::TALLY_REMOVE, ids());
        call(&sql::TASK_DELETE, ids());
        call(&sql::REMOVAL_END, Vec::new());
    }
}
