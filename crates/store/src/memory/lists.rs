//! Tasks by filter.

use super::MemoryReader;
use super::state::{Record, State};
use crate::port::{Order, Part, Read, TaskFilter, TaskRead};
use crate::rows::{End, KeyHash, KeyRow, StateCount, TaskRow};
use everloop_types::id::{TaskId, TenantId};
use everloop_types::state::State as TaskState;
use everloop_types::time::Timestamp;
use std::collections::BTreeMap;
use std::ops::Bound;

impl TaskRead for MemoryReader {
    fn task(&self, tenant: TenantId, id: TaskId) -> Read<Option<TaskRow>> {
        Ok(self.store.disk().read()?.task(tenant, id))
    }

    fn key(&self, hash: &KeyHash) -> Read<Option<KeyRow>> {
        Ok(self.store.disk().read()?.keys.get(hash).cloned())
    }

    fn tasks(
        &self,
        tenant: TenantId,
        filter: &TaskFilter,
        order: Order,
        part: Part,
        limit: usize,
    ) -> Read<Vec<TaskRow>> {
        let disk = self.store.disk();
        let state = disk.read()?;
        let is_within = |record: &&Record| match (order, part.upto) {
            (_, None) => true,
            (Order::Oldest, Some(upto)) => record.task.id <= upto,
            (Order::Newest, Some(upto)) => record.task.id >= upto,
        };
        let listed = state.listed(order, part.after).take_while(is_within);
        let matching = listed.filter(|record| is_match(record, tenant, filter));
        Ok(matching.filter_map(|record| state.row(record)).take(limit).collect())
    }

    fn task_behind(
        &self,
        tenant: TenantId,
        order: Order,
        after: Option<TaskId>,
        places: u32,
    ) -> Read<Option<TaskId>> {
        let disk = self.store.disk();
        let state = disk.read()?;
        let mut listed = state.listed(order, after).filter(|record| record.task.tenant == tenant);
        let Some(before) = places.checked_sub(1) else { return Ok(None) };
        Ok(listed.nth(usize::try_from(before).unwrap_or(usize::MAX)).map(|record| record.task.id))
    }

    fn tasks_count(&self, tenant: TenantId, filter: &TaskFilter, cap: u64) -> Read<u64> {
        let disk = self.store.disk();
        let state = disk.read()?;
        let cap = usize::try_from(cap).unwrap_or(usize::MAX);
        let found = state.tasks.values().filter(|record| is_match(record, tenant, filter)).take(cap);
        Ok(found.count() as u64)
    }

    fn state_counts(&self, tenant: TenantId) -> Read<Vec<StateCount>> {
        let disk = self.store.disk();
        let mut counts: BTreeMap<(&str, TaskState), StateCount> = BTreeMap::new();
        for Record { task, .. } in disk.read()?.tasks.values().filter(|record| record.task.tenant == tenant) {
            let count = counts.entry((&task.spec.queue, task.state)).or_insert_with(|| StateCount {
                queue: task.spec.queue.clone(),
                state: task.state,
                tasks: 0,
                running_us: 0,
                event_bytes: 0,
            });
            count.tasks += 1;
            count.running_us += task.usage.running_us;
            count.event_bytes += task.usage.event_bytes;
        }
        Ok(counts.into_values().collect())
    }

    fn finished(&self, after: Option<End>, before: Timestamp, limit: usize) -> Read<Vec<TaskRow>> {
        let disk = self.store.disk();
        let state = disk.read()?;
        let end = |record: &Record| Some((record.task.finished_at?, record.task.id));
        let mut found: Vec<_> = state
            .tasks
            .values()
            .filter_map(|record| Some((end(record)?, record)))
            .filter(|(end, _)| end.0 < before && after.is_none_or(|after| *end > after))
            .collect();
        found.sort_by_key(|(end, _)| *end);
        Ok(found.into_iter().filter_map(|(_, record)| state.row(record)).take(limit).collect())
    }
}

impl State {
    /// Records of all tenants after an id.
    fn listed(&self, order: Order, after: Option<TaskId>) -> Box<dyn Iterator<Item = &Record> + '_> {
        let end = after.map_or(Bound::Unbounded, Bound::Excluded);
        let record = |(_, record)| record;
        match order {
            Order::Oldest => Box::new(self.tasks.range((end, Bound::Unbounded)).map(record)),
            Order::Newest => Box::new(self.tasks.range((Bound::Unbounded, end)).rev().map(record)),
        }
    }
}

fn is_match(record: &Record, tenant: TenantId, filter: &TaskFilter) -> bool {
    let Record { task, .. } = record;
    let TaskFilter { states, kinds, queue, priority, labels, parent, session, key_prefix, text, created_by } =
        filter;
    let spec = &task.spec;
    task.tenant == tenant
        && (states.is_empty() || states.contains(&task.state))
        && (kinds.is_empty() || kinds.contains(&spec.kind))
        && queue.as_ref().is_none_or(|queue| *queue == spec.queue)
        && priority.is_none_or(|priority| priority == spec.policy.priority)
        && labels.iter().all(|(name, value)| spec.labels.get(name) == Some(value))
        && parent.is_none_or(|parent| spec.parent.as_ref().is_some_and(|its| its.task == parent))
        && session.is_none_or(|session| spec.session == Some(session))
        && key_prefix
            .as_ref()
            .is_none_or(|prefix| spec.key.as_ref().is_some_and(|key| key.starts_with(prefix)))
        && text.as_ref().is_none_or(|text| has_text(task, &text.to_ascii_lowercase()))
        && created_by.as_ref().is_none_or(|by| *by == task.created_by)
}

fn has_text(task: &everloop_types::task::Task, lower: &str) -> bool {
    [&task.spec.name, &task.spec.title, &task.spec.description]
        .into_iter()
        .flatten()
        .any(|field| field.to_ascii_lowercase().contains(lower))
}
