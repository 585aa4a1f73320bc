//! Working sets.

use super::state::State;
use crate::rows::QueueRow;
use crate::work::{LoadedTask, ReadyQuery, Relations, Wanted, WantedTask, WorkingSet};
use everloop_types::id::TaskId;
use everloop_types::time::Timestamp;
use std::collections::{BTreeMap, HashMap};

impl State {
    pub(super) fn load(&self, wanted: &Wanted, now: Timestamp) -> WorkingSet {
        let mut set = WorkingSet { now, ..WorkingSet::default() };
        for want in &wanted.tasks {
            // The same task may be wanted twice, once with relations.
            if set.tasks.get(&want.task).is_none_or(|_| want.relations)
                && let Some(loaded) = self.load_task(want)
            {
                set.tasks.insert(want.task, loaded);
            }
        }
        set.keys =
            wanted.keys.iter().filter_map(|hash| Some((*hash, self.keys.get(hash)?.clone()))).collect();
        let mut ready = BTreeMap::new();
        for query in &wanted.ready {
            for row in self.load_ready(query) {
                let want = WantedTask { tenant: row.tenant, task: row.task, relations: false };
                if !set.tasks.contains_key(&row.task)
                    && let Some(loaded) = self.load_task(&want)
                {
                    set.tasks.insert(row.task, loaded);
                }
                ready.insert((row.lane, row.tenant, row.task), row);
            }
        }
        set.ready = ready.into_values().collect();
        set.blobs =
            wanted.blobs.iter().filter_map(|key| Some((key.clone(), self.blobs.get(key)?.clone()))).collect();
        set.streams = wanted
            .streams
            .iter()
            .filter_map(|(tenant, name)| Some((*name, self.stream(*tenant, *name)?.head)))
            .collect();
        set
    }

    fn load_task(&self, want: &WantedTask) -> Option<LoadedTask> {
        let row = self.task(want.tenant, want.task)?;
        let relations = if want.relations { self.relations(want) } else { Relations::default() };
        Some(LoadedTask {
            task: row.task.into(),
            head: row.head,
            data_subject: row.data_subject,
            lease: self.leases.get(&want.task).cloned(),
            relations,
        })
    }

    fn relations(&self, want: &WantedTask) -> Relations {
        let all = (want.task, TaskId([0; 16]))..=(want.task, TaskId([0xff; 16]));
        Relations {
            prerequisites: self
                .prerequisites
                .range(all.clone())
                .filter_map(|(dependent, prerequisite)| {
                    self.dependencies.get(&(*prerequisite, *dependent)).copied()
                })
                .collect(),
            has_dependents: self.dependencies.range(all).next().is_some(),
            has_live_children: self.live_children(want.tenant, want.task).next().is_some(),
        }
    }

    /// Of each tenant the first ones in the order of the queue.
    fn load_ready(&self, query: &ReadyQuery) -> Vec<QueueRow> {
        let mut taken = HashMap::new();
        self.queue
            .values()
            .filter(|row| row.lane == query.lane)
            .filter(|row| row.concurrency.is_none_or(|(key, _)| !query.full.contains(&key)))
            .filter(|row| {
                let count = taken.entry(row.tenant).or_insert(0);
                *count += 1;
                *count <= query.per_tenant
            })
            .cloned()
            .collect()
    }
}
