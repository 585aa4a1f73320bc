//! Which task goes to which worker.
//!
//! A worker tries its queues in its own order. Within a queue: higher priority first, then the tenant that was served
//! longest ago, then the oldest task. Tasks whose concurrency key is at its cap are passed over.

use everloop_store::rows::{KeyHash, Lane, QueueRow};
use everloop_types::id::{TaskId, TenantId, WorkerId};
use everloop_types::worker::WorkerSpec;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

/// A worker with room.
#[derive(Clone, Debug)]
pub struct Offer<'a> {
    /// Which one.
    pub worker: WorkerId,
    /// What it said about itself.
    pub spec: &'a WorkerSpec,
    /// How many tasks more it takes.
    pub free: u32,
}

/// A task that could be claimed.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Its lane.
    pub lane: Lane,
    /// Its place in it.
    pub row: QueueRow,
}

/// A task that a worker gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// The task.
    pub task: TaskId,
    /// The worker.
    pub worker: WorkerId,
    /// The version of the kind that it runs.
    pub kind_version: Option<u32>,
}

/// When each tenant was last served in each queue, in turns. Volatile: after a restart everybody is equal.
#[derive(Clone, Debug, Default)]
pub struct Turns {
    turn: u64,
    served: HashMap<(String, TenantId), u64>,
}

impl Turns {
    fn last(&self, queue: &str, tenant: TenantId) -> u64 {
        self.served.get(&(queue.to_owned(), tenant)).copied().unwrap_or(0)
    }

    fn serve(&mut self, queue: &str, tenant: TenantId) {
        self.turn += 1;
        self.served.insert((queue.to_owned(), tenant), self.turn);
    }
}

/// The version of the lane's kind that a worker would run; none if it can't run tasks of the lane.
pub fn version_for(spec: &WorkerSpec, lane: &Lane) -> Option<Option<u32>> {
    let offer = spec.kinds.iter().find(|offer| offer.kind == lane.kind)?;
    let version = match lane.kind_version {
        None => offer.versions.last().copied(),
        Some(wanted) => Some(*offer.versions.iter().find(|version| **version == wanted)?),
    };
    let able = lane.requires.iter().all(|needed| spec.capabilities.contains(needed));
    (able && spec.queues.contains(&lane.queue)).then_some(version)
}

/// Gives tasks to workers until one of the two is used up. `running` counts tasks by concurrency key and is kept up.
pub fn plan(
    offers: &[Offer<'_>],
    candidates: Vec<Candidate>,
    paused: &HashSet<String>,
    turns: &mut Turns,
    running: &mut HashMap<KeyHash, u32>,
) -> Vec<Match> {
    // One queue of tasks for each lane and tenant: only their heads compete.
    let mut flows: BTreeMap<(Lane, TenantId), Vec<QueueRow>> = BTreeMap::new();
    for candidate in candidates {
        if !paused.contains(&candidate.lane.queue) {
            flows.entry((candidate.lane, candidate.row.tenant)).or_default().push(candidate.row);
        }
    }
    let mut flows: Vec<(Lane, TenantId, VecDeque<QueueRow>)> = flows
        .into_iter()
        .map(|((lane, tenant), mut rows)| {
            rows.sort_by_key(|row| (Reverse(row.priority), row.task));
            (lane, tenant, rows.into())
        })
        .collect();
    let mut matches = Vec::new();
    let mut free: Vec<u32> = offers.iter().map(|offer| offer.free).collect();
    let mut offer_index = 0;
    let mut idle_round = 0;
    // Workers take turns, one task each, so that one of them does not get all.
    while idle_round < offers.len() {
        let offer = &offers[offer_index];
        let picked = if free[offer_index] == 0 { None } else { pick(offer, &mut flows, turns, running) };
        match picked {
            Some(found) => {
                free[offer_index] -= 1;
                matches.push(found);
                idle_round = 0;
            }
            None => idle_round += 1,
        }
        offer_index = (offer_index + 1) % offers.len();
    }
    matches
}

/// What decides who is next: the worker's order of queues, priority, when the tenant was last served, age.
type Rank = (usize, Reverse<i32>, u64, TaskId);

fn pick(
    offer: &Offer<'_>,
    flows: &mut [(Lane, TenantId, VecDeque<QueueRow>)],
    turns: &mut Turns,
    running: &mut HashMap<KeyHash, u32>,
) -> Option<Match> {
    let mut best: Option<(Rank, usize, Option<u32>)> = None;
    for (index, (lane, tenant, rows)) in flows.iter_mut().enumerate() {
        let Some(version) = version_for(offer.spec, lane) else { continue };
        let full = |row: &QueueRow| {
            row.concurrency.is_some_and(|(key, limit)| running.get(&key).copied().unwrap_or(0) >= limit)
        };
        while rows.front().is_some_and(full) {
            rows.pop_front();
        }
        let Some(head) = rows.front() else { continue };
        let Some(order) = offer.spec.queues.iter().position(|queue| *queue == lane.queue) else { continue };
        let rank = (order, Reverse(head.priority), turns.last(&lane.queue, *tenant), head.task);
        if best.as_ref().is_none_or(|(other, _, _)| rank < *other) {
            best = Some((rank, index, version));
        }
    }
    let (_, index, kind_version) = best?;
    let (lane, tenant, rows) = &mut flows[index];
    let row = rows.pop_front()?;
    turns.serve(&lane.queue, *tenant);
    if let Some((key, _)) = row.concurrency {
        *running.entry(key).or_default() += 1;
    }
    Some(Match { task: row.task, worker: offer.worker, kind_version })
}

#[cfg(test)]
mod tests {
    use super::*;
    use everloop_types::time::Timestamp;
    use everloop_types::worker::KindOffer;
    use proptest::prelude::*;

    fn worker(max: u32, queues: &[&str]) -> WorkerSpec {
        WorkerSpec {
            capabilities: vec!["gpu".to_owned()],
            kinds: vec![KindOffer { versions: vec![1, 2], ..KindOffer::new("mock") }],
            max_concurrent_tasks: max,
            name: "test".to_owned(),
            protocol: 1,
            queues: queues.iter().map(|q| (*q).to_owned()).collect(),
            version: String::new(),
        }
    }

    fn lane(queue: &str) -> Lane {
        Lane { queue: queue.to_owned(), kind: "mock".to_owned(), kind_version: None, requires: Vec::new() }
    }

    fn task(n: u8) -> TaskId {
        TaskId([n; 16])
    }

    fn tenant(n: u8) -> TenantId {
        TenantId([n; 16])
    }

    fn candidate(queue: &str, of: u8, n: u8, priority: i32, concurrency: Option<(u8, u32)>) -> Candidate {
        let lane = lane(queue);
        let row = QueueRow {
            lane: lane.id(),
            tenant: tenant(of),
            priority,
            task: task(n),
            since: Timestamp::default(),
            concurrency: concurrency.map(|(key, limit)| ([key; 16], limit)),
        };
        Candidate { lane, row }
    }

    fn order(spec: &WorkerSpec, free: u32, candidates: Vec<Candidate>, turns: &mut Turns) -> Vec<u8> {
        let offers = [Offer { worker: WorkerId([1; 16]), spec, free }];
        plan(&offers, candidates, &HashSet::new(), turns, &mut HashMap::new())
            .iter()
            .map(|m| m.task.0[0])
            .collect()
    }

    #[test]
    fn queues_in_the_workers_order_then_priority_then_age() {
        let spec = worker(9, &["high", "default"]);
        let tasks = vec![
            candidate("default", 1, 1, 5, None),
            candidate("default", 1, 2, 9, None),
            candidate("high", 1, 4, -5, None),
            candidate("default", 1, 3, 9, None),
            candidate("low", 1, 5, 100, None),
        ];
        assert_eq!(order(&spec, 9, tasks, &mut Turns::default()), [4, 2, 3, 1]);
    }

    #[test]
    fn the_tenant_that_was_served_longest_ago_is_next() {
        let spec = worker(9, &["default"]);
        let mut turns = Turns::default();
        let many =
            (1..=4).map(|n| candidate("default", 1, n, 0, None)).chain([candidate("default", 2, 9, 0, None)]);
        assert_eq!(order(&spec, 3, many.collect(), &mut turns), [1, 9, 2]);
        let rest = vec![candidate("default", 1, 3, 0, None), candidate("default", 2, 8, 0, None)];
        assert_eq!(order(&spec, 1, rest, &mut turns), [8]);
    }

    #[test]
    fn workers_take_turns_as_long_as_they_have_room() {
        let spec = worker(9, &["default"]);
        let offer = |n, free| Offer { worker: WorkerId([n; 16]), spec: &spec, free };
        let tasks = || (1..=6).map(|n| candidate("default", 1, n, 0, None)).collect::<Vec<_>>();
        let planned = |offers: &[Offer<'_>], paused: &[&str]| {
            let paused = paused.iter().map(|queue| (*queue).to_owned()).collect();
            let matches = plan(offers, tasks(), &paused, &mut Turns::default(), &mut HashMap::new());
            matches.iter().map(|m| (m.task.0[0], m.worker.0[0])).collect::<Vec<_>>()
        };
        let three = [offer(1, 1), offer(2, 3), offer(3, 1)];
        assert_eq!(planned(&three, &["low"]), [(1, 1), (2, 2), (3, 3), (4, 2), (5, 2)]);
        assert_eq!(planned(&three, &["default"]), []);
        assert_eq!(planned(&[], &[]), []);
    }

    #[test]
    fn a_tenant_that_was_served_in_another_queue_is_not_behind_in_this_one() {
        let spec = worker(9, &["high", "default"]);
        let tasks = vec![
            candidate("high", 1, 1, 0, None),
            candidate("default", 1, 2, 0, None),
            candidate("default", 2, 3, 0, None),
            candidate("default", 1, 4, 0, None),
            candidate("default", 2, 5, 0, None),
        ];
        assert_eq!(order(&spec, 9, tasks, &mut Turns::default()), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn versions_and_capabilities_must_match() {
        let spec = worker(1, &["default"]);
        for (version, requires, found) in [
            (None, "gpu", Some(Some(2))),
            (Some(1), "gpu", Some(Some(1))),
            (Some(3), "gpu", None),
            (None, "tpu", None),
        ] {
            let lane = Lane { kind_version: version, requires: vec![requires.to_owned()], ..lane("default") };
            assert_eq!(version_for(&spec, &lane), found, "{version:?} {requires}");
        }
    }

    proptest! {
        #[test]
        fn nothing_is_claimed_twice_and_no_cap_is_passed(
            tasks in proptest::collection::vec((0u8..3, 1u8..4, -2i32..3, proptest::option::of((0u8..3, 1u32..3))), 0..40),
            free in proptest::collection::vec(0u32..6, 1..4),
        ) {
            let queues = ["high", "default", "low"];
            let spec = worker(9, &queues);
            // A key has one cap: the least of those that were drawn for it.
            let mut caps: HashMap<u8, u32> = HashMap::new();
            for (_, _, _, key) in &tasks {
                if let Some((key, cap)) = key {
                    caps.entry(*key).and_modify(|c| *c = (*c).min(*cap)).or_insert(*cap);
                }
            }
            let candidates: Vec<_> = tasks.iter().enumerate().map(|(n, (queue, of, priority, key))| {
                candidate(queues[*queue as usize], *of, n as u8, *priority, key.map(|(key, _)| (key, caps[&key])))
            }).collect();
            let offers: Vec<_> = free.iter().enumerate()
                .map(|(n, free)| Offer { worker: WorkerId([n as u8; 16]), spec: &spec, free: *free }).collect();
            let mut running = HashMap::new();
            let matches = plan(&offers, candidates.clone(), &HashSet::new(), &mut Turns::default(), &mut running);
            let distinct: HashSet<_> = matches.iter().map(|m| m.task).collect();
            prop_assert_eq!(distinct.len(), matches.len());
            for (n, free) in free.iter().enumerate() {
                prop_assert!(matches.iter().filter(|m| m.worker.0[0] == n as u8).count() <= *free as usize);
            }
            for (key, count) in &running {
                prop_assert!(*count <= caps[&key[0]]);
            }
            // Nobody is idle while somebody could be served: what is left is capped, or there is no room.
            let room: u32 = free.iter().sum();
            if matches.len() < room as usize {
                for left in candidates.iter().filter(|c| !distinct.contains(&c.row.task)) {
                    let full = left.row.concurrency.is_some_and(|(key, cap)| running.get(&key).copied().unwrap_or(0) >= cap);
                    prop_assert!(full, "{:?} was left", left.row.task);
                }
            }
        }
    }
}
