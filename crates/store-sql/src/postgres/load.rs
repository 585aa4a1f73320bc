//! Loading a working set: one round trip, one picture.

use super::columns::column;
use super::error::classify;
use super::session::{Answer, Call, Param, PostgresRow, Session};
use super::sql;
use crate::decode;
use crate::encode::{int, stream_key};
use crate::value::{Row, array, time};
use everloop_store::error::StoreError;
use everloop_store::rows::DependencyRow;
use everloop_store::work::{Relations, Wanted, WorkingSet};
use everloop_types::id::{TaskId, TenantId};
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, HashSet};

type Decoded = Result<(), StoreError>;

/// Loads everything in one read-only transaction.
pub(super) fn load(session: &mut Session, wanted: &Wanted) -> Result<WorkingSet, StoreError> {
    // Two tenants can't have one task: who asks first decides nothing that the row does not say.
    let tasks: BTreeSet<_> = wanted.tasks.iter().map(|want| (want.tenant, want.task)).collect();
    let tasks: Vec<_> = tasks.into_iter().collect();
    let related: BTreeSet<_> =
        wanted.tasks.iter().filter(|want| want.relations).map(|want| (want.tenant, want.task)).collect();
    let related: Vec<_> = related.into_iter().collect();
    let mut calls = vec![
        Call::Words("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"),
        Call::Run(&sql::NOW, Vec::new()),
    ];
    if !tasks.is_empty() {
        calls.push(Call::Run(&sql::LOAD_TASKS, pairs(&tasks)));
    }
    if !related.is_empty() {
        calls.push(Call::Run(&sql::LOAD_RELATIONS, pairs(&related)));
        calls.push(Call::Run(&sql::LOAD_PREREQUISITES, vec![column(&related, |(_, task)| task.0.to_vec())]));
    }
    if !wanted.keys.is_empty() {
        calls.push(Call::Run(&sql::LOAD_KEYS, vec![column(&wanted.keys, |hash| hash.to_vec())]));
    }
    if !wanted.ready.is_empty() {
        calls.push(Call::Run(&sql::READY, ready(wanted)));
    }
    if !wanted.streams.is_empty() {
        let params = vec![
            column(&wanted.streams, |(tenant, _)| tenant.0.to_vec()),
            column(&wanted.streams, |(_, stream)| stream_key(*stream).to_vec()),
        ];
        calls.push(Call::Run(&sql::LOAD_STREAMS, params));
    }
    if !wanted.blobs.is_empty() {
        let params = vec![
            column(&wanted.blobs, |(tenant, _)| tenant.0.to_vec()),
            column(&wanted.blobs, |(_, id)| id.clone()),
        ];
        calls.push(Call::Run(&sql::LOAD_BLOBS, params));
    }
    calls.push(Call::Words("COMMIT"));
    let answers = session.pipeline(&calls)?.map_err(|failed| classify(failed.error))?;
    let mut loading = Loading::default();
    for (call, answer) in calls.iter().zip(&answers) {
        if let Call::Run(statement, _) = call {
            loading.take(statement.name, answer)?;
        }
    }
    Ok(loading.finish(wanted))
}

fn pairs<'a>(pairs: &[(TenantId, TaskId)]) -> Vec<Param<'a>> {
    vec![column(pairs, |(tenant, _)| tenant.0.to_vec()), column(pairs, |(_, task)| task.0.to_vec())]
}

fn ready<'a>(wanted: &Wanted) -> Vec<Param<'a>> {
    let full: Vec<_> = (1_i64..)
        .zip(&wanted.ready)
        .flat_map(|(place, query)| query.full.iter().map(move |key| (place, key.to_vec())))
        .collect();
    vec![
        column(&wanted.ready, |query| query.lane.0),
        column(&wanted.ready, |query| int(query.per_tenant.into())),
        column(&full, |(place, _)| *place),
        column(&full, |(_, key)| key.clone()),
    ]
}

#[derive(Default)]
struct Loading {
    set: WorkingSet,
    relations: HashMap<(TenantId, TaskId), Relations>,
    prerequisites: HashMap<TaskId, Vec<DependencyRow>>,
    heads: HashMap<[u8; 16], everloop_types::event::Head>,
    ready: HashSet<TaskId>,
}

impl Loading {
    fn take(&mut self, statement: &str, answer: &Answer) -> Decoded {
        answer.rows.iter().try_for_each(|row| self.row(statement, &PostgresRow(row)))
    }

    fn row(&mut self, statement: &str, row: &dyn Row) -> Decoded {
        match statement {
            "NOW" => self.set.now = time(row, 0)?,
            "LOAD_TASKS" => {
                let loaded = decode::loaded(row, 0)?;
                self.set.tasks.insert(loaded.task.id, loaded);
            }
            "LOAD_RELATIONS" => {
                let of = (TenantId(array(row, 0)?), TaskId(array(row, 1)?));
                let relations = self.relations.entry(of).or_default();
                relations.has_dependents = row.int(2)? != 0;
                relations.has_live_children = row.int(3)? != 0;
            }
            "LOAD_PREREQUISITES" => {
                let dependency = decode::dependency_row(row)?;
                self.prerequisites.entry(dependency.dependent).or_default().push(dependency);
            }
            "LOAD_KEYS" => {
                let key = decode::key_row(row)?;
                self.set.keys.insert(key.hash, key);
            }
            "READY" => {
                let found = decode::queue_row(row)?;
                if let Entry::Vacant(vacant) = self.set.tasks.entry(found.task) {
                    // Behind the row of the queue.
                    vacant.insert(decode::loaded(row, 7)?);
                }
                if self.ready.insert(found.task) {
                    self.set.ready.push(found);
                }
            }
            "LOAD_BLOBS" => {
                let blob = decode::blob_row(row)?;
                self.set.blobs.insert((blob.tenant, blob.id.clone()), blob);
            }
            "LOAD_STREAMS" => drop(self.heads.insert(array(row, 0)?, decode::head(row, 1)?)),
            other => return Err(crate::value::corrupt(format!("an answer to {other}"))),
        }
        Ok(())
    }

    fn finish(mut self, wanted: &Wanted) -> WorkingSet {
        for ((tenant, task), mut relations) in self.relations {
            if let Some(loaded) = self.set.tasks.get_mut(&task).filter(|loaded| loaded.task.tenant == tenant)
            {
                relations.prerequisites = self.prerequisites.remove(&task).unwrap_or_default();
                loaded.relations = relations;
            }
        }
        for (_, stream) in &wanted.streams {
            if let Some(head) = self.heads.get(&stream_key(*stream)) {
                self.set.streams.insert(*stream, *head);
            }
        }
        self.set
    }
}
