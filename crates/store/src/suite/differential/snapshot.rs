//! What an engine shows, as lines that can be compared.

use super::Name;
use super::generate::Query;
use crate::suite::fixtures::{OURS, THEIRS};
use crate::suite::harness::{Harness, all_rows, wait_for};
use crate::work::Wanted;
use everloop_types::id::{TaskId, TenantId};
use everloop_types::stream::StreamName;
use everloop_types::time::Timestamp;
use std::collections::BTreeMap;
use std::fmt::Debug;

/// More than a run ever makes.
const ALL: usize = 100_000;

fn lines<T: Debug>(out: &mut Vec<String>, what: &str, of: impl IntoIterator<Item = T>) {
    out.extend(of.into_iter().map(|one| format!("{what}: {one:?}")));
}

/// The same in any order.
fn sorted<T: Debug>(out: &mut Vec<String>, what: &str, of: impl IntoIterator<Item = T>) {
    let from = out.len();
    lines(out, what, of);
    out[from..].sort();
}

/// Compares what every engine shows with what the first one does.
pub(super) fn compare(engines: &[Harness], what: &str, show: impl Fn(&Harness) -> Vec<String>) {
    let shown: Vec<_> = engines.iter().map(|h| (h.name, show(h))).collect();
    equal(&shown, what);
}

pub(super) fn equal(shown: &[(Name, Vec<String>)], what: &str) {
    let Some(((name, first), others)) = shown.split_first() else { return };
    for (other_name, other) in others {
        for n in 0..first.len().max(other.len()) {
            let (one, another) = (first.get(n), other.get(n));
            assert!(one == another, "{what} differ\n{name}: {one:#?}\n{other_name}: {another:#?}");
        }
    }
}

/// Everything that is one query.
pub(super) fn rows(h: &Harness) -> Vec<String> {
    let mut out = Vec::new();
    sorted(&mut out, "lane", h.reader.lanes().unwrap());
    sorted(&mut out, "depth", h.reader.depths().unwrap());
    sorted(&mut out, "lease", h.reader.leases().unwrap());
    let timers = h.reader.timers_due(Timestamp::MAX, ALL).unwrap();
    assert!(timers.is_sorted_by_key(|row| row.at), "{}: {timers:?}", h.name);
    sorted(&mut out, "timer", &timers);
    lines(&mut out, "next timer", h.reader.next_timer().unwrap());
    sorted(&mut out, "outbox", h.reader.outbox(ALL).unwrap());
    sorted(&mut out, "paused", h.reader.paused_queues().unwrap());
    lines(&mut out, "worker", h.reader.workers().unwrap());
    sorted(&mut out, "tenant", h.reader.tenants().unwrap().iter().map(|row| (row.id, &row.name, row.secret)));
    lines(&mut out, "signing key", h.reader.signing_keys().unwrap());
    sorted(&mut out, "blob", h.reader.blobs_unused(Timestamp::MAX, ALL).unwrap());
    lines(&mut out, "installation", [h.reader.installation().unwrap().epoch]);
    for tenant in [OURS, THEIRS] {
        sorted(&mut out, "state", h.reader.state_counts(tenant).unwrap());
        lines(&mut out, "segment", h.reader.audit_segment(tenant).unwrap());
        for segment in 1..4 {
            let name = StreamName::Audit(tenant, segment);
            lines(&mut out, "audit head", h.reader.head(tenant, name).unwrap());
        }
    }
    out
}

/// Every row of a snapshot, each of them written as JSON and read again.
pub(super) fn whole(h: &Harness) -> Vec<String> {
    let mut out = Vec::new();
    let all = all_rows(&*h.reader.snapshot().unwrap());
    for row in &all {
        let text = serde_json::to_string(row).unwrap();
        assert_eq!(&serde_json::from_str::<crate::work::Row>(&text).unwrap(), row, "{text}");
    }
    sorted(&mut out, "row", all);
    out
}

/// Tasks with all that hangs on them.
pub(super) fn tasks(h: &Harness, of: &[(TenantId, TaskId)]) -> Vec<String> {
    let mut out = Vec::new();
    for (tenant, task) in of {
        let name = StreamName::Task(*task);
        lines(&mut out, "task", h.reader.task(*tenant, *task).unwrap());
        lines(&mut out, "head", h.reader.head(*tenant, name).unwrap());
        lines(&mut out, "anchor", h.reader.anchor(*tenant, name).unwrap());
        lines(&mut out, "event", h.reader.events(*tenant, name, 0, ALL).unwrap());
        sorted(&mut out, "dependent", h.reader.dependents(*task, ALL).unwrap());
        sorted(&mut out, "child", h.reader.live_children(*tenant, *task, ALL).unwrap());
    }
    out
}

/// A list, its count and the tasks that have ended.
pub(super) fn lists(h: &Harness, query: &Query) -> Vec<String> {
    let Query { tenant, filter, order, part, limit } = query;
    let mut out = Vec::new();
    lines(&mut out, "listed", h.reader.tasks(*tenant, filter, *order, *part, *limit).unwrap());
    lines(&mut out, "counted", [h.reader.tasks_count(*tenant, filter, *limit as u64).unwrap()]);
    let behind = h.reader.task_behind(*tenant, *order, part.after, u32::try_from(*limit).unwrap()).unwrap();
    lines(&mut out, "behind", behind);
    let after = part.after.map(|task| (Timestamp::from_micros(1_800_000_000_000_000), task));
    lines(&mut out, "finished", h.reader.finished(after, Timestamp::MAX, *limit).unwrap());
    out
}

/// A working set.
pub(super) fn loaded(h: &mut Harness, wanted: &Wanted) -> Vec<String> {
    let set = h.load(wanted).unwrap();
    let mut out = Vec::new();
    for loaded in set.tasks.values() {
        let mut loaded = loaded.clone();
        loaded.relations.prerequisites.sort_by_key(|row| row.prerequisite);
        lines(&mut out, "task", [loaded]);
    }
    lines(&mut out, "key", set.keys.values());
    lines(&mut out, "ready", &set.ready);
    lines(&mut out, "stream", &set.streams);
    lines(&mut out, "blob", set.blobs.values());
    out.sort();
    out
}

/// Follows the feeds of all engines: the same events after each commit, each stream's in order.
pub(super) struct Follower {
    /// Of each engine and tenant.
    after: Vec<[i64; 2]>,
}

impl Follower {
    pub(super) fn new(engines: usize) -> Self {
        Self { after: vec![[0; 2]; engines] }
    }

    pub(super) fn follow(&mut self, engines: &[Harness]) {
        for (t, tenant) in [OURS, THEIRS].into_iter().enumerate() {
            let mut first: Option<(Name, Vec<(StreamName, u64)>)> = None;
            for (h, after) in engines.iter().zip(&mut self.after) {
                if let Some((_, events)) = &first {
                    let expected = events.len();
                    wait_for(|| h.reader.feed(tenant, after[t], ALL).unwrap().len() >= expected);
                }
                let page = h.reader.feed(tenant, after[t], ALL).unwrap();
                assert!(page.is_sorted_by(|x, y| x.pos < y.pos), "{}", h.name);
                let mut seqs: BTreeMap<StreamName, u64> = BTreeMap::new();
                for at in &page {
                    let before = seqs.insert(at.event.stream, at.event.seq);
                    assert!(before < Some(at.event.seq), "{}: {:?}", h.name, at.event);
                }
                after[t] = page.last().map_or(after[t], |at| at.pos);
                let mut events: Vec<_> = page.iter().map(|at| (at.event.stream, at.event.seq)).collect();
                events.sort_unstable();
                match &first {
                    None => first = Some((h.name, events)),
                    Some((name, expected)) => {
                        assert_eq!(*expected, events, "the feeds of {name} and {}", h.name)
                    }
                }
            }
        }
    }
}
