//! A batch in memory: every command sees what those before it decided.

use super::audit::Audit;
use super::op::Snapshot;
use super::prepare::Prepared;
use crate::blobs;
use crate::machine::evolve::{Meta, born, evolve};
use crate::machine::{Draft, View, project};
use everloop_journal::chain;
use everloop_journal::keys::SigningKey;
use everloop_journal::receipt;
use everloop_store::rows::{BlobRow, KeyHash, KeyRow, LeaseRow, OutboxRow, Signature};
use everloop_store::work::{
    BlobKey, LoadedTask, Relations, Row, StreamWrite, TaskWrite, WorkingSet, WriteSet,
};
use everloop_types::blob::BlobName;
use everloop_types::error::{Code, Refusal};
use everloop_types::event::{Digest, Event, EventBody, Head};
use everloop_types::id::{TaskId, TenantId};
use everloop_types::json::Json;
use everloop_types::lease::LeaseToken;
use everloop_types::limits::EVENT_DATA_BYTES;
use everloop_types::random::Random;
use everloop_types::stream::StreamName;
use everloop_types::task::{Task, TaskSpec};
use everloop_types::time::Timestamp;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A task in a batch.
#[derive(Debug)]
pub(super) struct Entry {
    /// The record, after what was decided so far.
    pub(super) task: Arc<Task>,
    /// The head, after what was decided so far.
    pub(super) head: Head,
    /// Who holds it, after what was decided so far.
    pub(super) lease: Option<LeaseRow>,
    /// Its ties, after what was decided so far.
    pub(super) relations: Relations,
    /// As it was loaded; none for a new task.
    before: Option<(Arc<Task>, Head, Option<LeaseRow>)>,
    /// Events, linked.
    pub(super) events: Vec<Event>,
    /// Rows beyond those that the record needs.
    pub(super) rows: Vec<Row>,
    /// The input of a new task: handed to a worker without reading it back.
    pub(super) input: Option<Option<Json>>,
    /// Whose data it is about.
    pub(super) data_subject: Option<String>,
    /// The receipt's signature, where it was made before.
    signature: Option<Signature>,
}

impl Entry {
    /// A task as it was loaded.
    pub(super) fn load(task: Arc<Task>, head: Head, lease: Option<LeaseRow>, relations: Relations) -> Self {
        Self {
            before: Some((task.clone(), head, lease.clone())),
            task,
            head,
            lease,
            relations,
            events: Vec::new(),
            rows: Vec::new(),
            input: None,
            data_subject: None,
            signature: None,
        }
    }

    /// Takes over an end that was worked out elsewhere; gives it back if the task is not what it was worked out on.
    pub(super) fn take_over(&mut self, prepared: Prepared) -> bool {
        let same = self.events.is_empty()
            && self.head == prepared.expected
            && self.lease.as_ref() == Some(&prepared.lease);
        if same {
            self.task = prepared.task;
            self.head = prepared.head;
            self.events = prepared.events;
            self.signature = Some(prepared.signature);
            self.lease = None;
        }
        same
    }

    /// What a command sees.
    pub(super) fn view(&self, now: Timestamp) -> View<'_> {
        View {
            task: &self.task,
            seq: self.head.seq,
            lease: self.lease.as_ref(),
            relations: &self.relations,
            now,
        }
    }

    /// The record before the batch.
    pub(super) fn task_before(&self) -> Option<&Task> {
        self.before.as_ref().map(|(task, _, _)| &**task)
    }

    /// The lease before the batch.
    pub(super) fn lease_before(&self) -> Option<&LeaseRow> {
        self.before.as_ref().and_then(|(_, _, lease)| lease.as_ref())
    }

    fn expected(&self) -> u64 {
        self.before.as_ref().map_or(0, |(_, head, _)| head.seq)
    }

    fn is_changed(&self) -> bool {
        !self.events.is_empty() || self.lease.as_ref() != self.lease_before() || !self.rows.is_empty()
    }
}

/// What the batch needs of its surroundings.
#[derive(Clone, Copy)]
pub(super) struct Tools<'a> {
    /// For salts.
    pub(super) random: &'a dyn Random,
    /// For receipts.
    pub(super) key: &'a SigningKey,
    /// Events between two digests.
    pub(super) digest_every: u64,
    /// Blobs that the batch's commands name, as they are known.
    pub(super) blobs: &'a HashMap<BlobKey, BlobRow>,
}

/// Everything that a batch has loaded and decided.
pub(super) struct Batch {
    /// The only time there is.
    pub(super) now: Timestamp,
    /// Tasks, in the order of their ids.
    pub(super) entries: BTreeMap<TaskId, Entry>,
    /// Keys that were there, or are new.
    pub(super) keys: HashMap<KeyHash, KeyRow>,
    /// Rows that hang on no stream.
    pub(super) rows: Vec<Row>,
    /// Heads of streams that are no task's.
    pub(super) streams: HashMap<StreamName, Head>,
    /// Audit streams that grow.
    pub(super) audit: BTreeMap<TenantId, Audit>,
}

fn broken(error: impl std::fmt::Display) -> Refusal {
    Refusal::new(Code::Internal, format!("an event could not be made: {error}"))
}

impl Batch {
    /// Whether a lease that somebody holds is not taken away by what was decided so far.
    pub(super) fn leaves(&self, task: TaskId, lease: LeaseToken) -> bool {
        let held = |entry: &Entry| entry.lease.as_ref().is_some_and(|row| row.token == lease);
        self.entries.get(&task).is_none_or(held)
    }

    /// A batch with what was loaded for it.
    pub(super) fn new(loaded: WorkingSet) -> Self {
        let entry = |task: LoadedTask| Entry {
            data_subject: task.data_subject,
            ..Entry::load(task.task, task.head, task.lease, task.relations)
        };
        Self {
            now: loaded.now,
            entries: loaded.tasks.into_iter().map(|(id, task)| (id, entry(task))).collect(),
            keys: loaded.keys,
            rows: Vec::new(),
            streams: loaded.streams,
            audit: BTreeMap::new(),
        }
    }

    /// A task of this tenant.
    pub(super) fn entry(&mut self, tenant: TenantId, task: TaskId) -> Result<&mut Entry, Refusal> {
        self.entries
            .get_mut(&task)
            .filter(|entry| entry.task.tenant == tenant)
            .ok_or_else(|| Refusal::not_found(format!("task {task}")))
    }

    /// Begins a new stream with these events.
    pub(super) fn create(
        &mut self,
        tools: Tools<'_>,
        id: TaskId,
        tenant: TenantId,
        data_subject: Option<String>,
        trace: Option<&str>,
        drafts: Vec<Draft>,
    ) -> Result<&mut Entry, Refusal> {
        let mut drafts = drafts.into_iter();
        let Some(Draft { actor, body: EventBody::Submitted(spec) }) = drafts.next() else {
            return Err(broken("a stream begins with task.submitted"));
        };
        let stream = StreamName::Task(id);
        let input = spec.input.clone();
        let task_spec = TaskSpec { input: None, ..(*spec).clone() };
        let body = EventBody::Submitted(spec);
        let draft = chain::Draft {
            tenant,
            stream,
            ts: self.now,
            kind: body.kind(),
            body_v: 1,
            actor: actor.clone(),
            trace: trace.map(str::to_owned),
            salt: tools.random.bytes16(),
            data: data_of(&body)?,
        };
        let event = chain::link(&chain::start(&stream), draft);
        let bytes = event.payload.as_ref().map_or(0, |payload| payload.data.len());
        let task = born(id, tenant, Meta { seq: 1, ts: event.ts, actor: &actor, bytes }, task_spec);
        let blob = use_of(tools, tenant, id, &body)?;
        let mut entry = Entry {
            task: Arc::new(task),
            head: chain::head_after(&event),
            lease: None,
            relations: Relations::default(),
            before: None,
            events: vec![event],
            rows: blob.into_iter().collect(),
            input: Some(input),
            data_subject,
            signature: None,
        };
        append(tools, &mut entry, self.now, drafts.collect())?;
        Ok(self.entries.entry(id).or_insert(entry))
    }

    /// What has to be written. Entries without a change are left out.
    pub(super) fn write_set(&mut self, tools: Tools<'_>) -> WriteSet {
        let mut writes = WriteSet { rows: std::mem::take(&mut self.rows), ..WriteSet::default() };
        for audit in std::mem::take(&mut self.audit).into_values() {
            writes.streams.extend(audit.into_writes());
        }
        for (id, entry) in &mut self.entries {
            if !entry.is_changed() {
                continue;
            }
            let mut rows = std::mem::take(&mut entry.rows);
            rows.extend(project::changes(
                entry.task_before(),
                entry.lease_before(),
                &entry.task,
                entry.lease.as_ref(),
            ));
            if rows.iter().any(|row| matches!(row, Row::QueuePut(_))) {
                writes.lanes.push(project::lane(&entry.task));
            }
            let ended = entry.task.state.is_terminal() && !entry.events.is_empty();
            let ties = entry.relations.has_dependents || entry.relations.has_live_children;
            if ended && (ties || entry.task.spec.parent.is_some()) {
                rows.push(Row::OutboxPut(OutboxRow { tenant: entry.task.tenant, task: *id }));
            }
            let signature =
                entry.signature.take().or_else(|| ended.then(|| sign(tools.key, entry)).flatten());
            writes.streams.push(StreamWrite {
                tenant: entry.task.tenant,
                stream: StreamName::Task(*id),
                expected: entry.expected(),
                events: std::mem::take(&mut entry.events),
                head: entry.head,
                task: Some(TaskWrite {
                    task: entry.task.clone(),
                    data_subject: entry.data_subject.clone(),
                    signature,
                }),
                rows,
            });
        }
        writes
    }

    /// A task as it is at the end of the batch.
    pub(super) fn snapshot(&self, id: TaskId) -> Option<Arc<Snapshot>> {
        self.entries.get(&id).map(|entry| Arc::new(Snapshot { task: entry.task.clone(), head: entry.head }))
    }
}

pub(super) fn sign(key: &SigningKey, entry: &Entry) -> Option<Signature> {
    let claims = receipt::claims_of(entry.events.last()?, &entry.task.spec.kind)?;
    Some(Signature { kid: key.kid().to_owned(), bytes: receipt::sign_detached_signature(key, &claims) })
}

/// Appends events to a task: links them, changes the record, adds digests where they are due, and drops the lease when the
/// task has left its holder. All of them or, where one can't be, none.
pub(super) fn append(
    tools: Tools<'_>,
    entry: &mut Entry,
    now: Timestamp,
    drafts: Vec<Draft>,
) -> Result<(), Refusal> {
    let (tenant, task) = (entry.task.tenant, entry.task.id);
    let drafts = drafts
        .into_iter()
        .map(|draft| Ok((data_of(&draft.body)?, use_of(tools, tenant, task, &draft.body)?, draft)))
        .collect::<Result<Vec<_>, Refusal>>()?;
    for (data, blob, draft) in drafts {
        entry.rows.extend(blob);
        append_one(tools, entry, now, &draft.actor, &draft.body, data)?;
        if u64::from(entry.task.since_digest) >= tools.digest_every && !entry.task.state.is_terminal() {
            let digest =
                Digest { hash: everloop_journal::hex::encode(&entry.head.hash), upto_seq: entry.head.seq }
                    .into();
            let data = data_of(&digest)?;
            append_one(tools, entry, now, everloop_types::event::SYSTEM, &digest, data)?;
        }
    }
    if !entry.task.state.is_leased() {
        entry.lease = None;
    }
    Ok(())
}

fn append_one(
    tools: Tools<'_>,
    entry: &mut Entry,
    now: Timestamp,
    actor: &str,
    body: &EventBody,
    data: Json,
) -> Result<(), Refusal> {
    let bytes = data.len();
    let draft = chain::Draft {
        tenant: entry.task.tenant,
        stream: StreamName::Task(entry.task.id),
        ts: now,
        kind: body.kind(),
        body_v: 1,
        actor: actor.to_owned(),
        trace: None,
        salt: tools.random.bytes16(),
        data,
    };
    let event = chain::link(&entry.head, draft);
    evolve(Arc::make_mut(&mut entry.task), Meta { seq: event.seq, ts: event.ts, actor, bytes }, body)
        .map_err(broken)?;
    entry.head = chain::head_after(&event);
    entry.events.push(event);
    Ok(())
}

/// That the task names a blob with this event, if it does.
pub(super) fn use_of(
    tools: Tools<'_>,
    tenant: TenantId,
    task: TaskId,
    body: &EventBody,
) -> Result<Option<Row>, Refusal> {
    let Some((field, value)) = body.value() else { return Ok(None) };
    let named = BlobName::of(value).map_err(|error| Refusal::field(field, error.to_string()))?;
    let Some(named) = named else { return Ok(None) };
    match tools.blobs.get(&(tenant, named.id.clone())) {
        // What it is called is the namer's word: equal bytes are kept once, whoever put them.
        Some(row) if blobs::is_named(row, &named) => Ok(Some(Row::BlobUse { blob: named.id, tenant, task })),
        Some(_) => {
            Err(Refusal::field(field, "names a blob with another hash, size or media type than it has"))
        }
        None => Err(Refusal::field(
            field,
            format!("names the blob {:?}, which is not there: put it first", named.id),
        )),
    }
}

pub(super) fn data_of(body: &EventBody) -> Result<Json, Refusal> {
    let data = body.data().map_err(broken)?;
    if data.len() > EVENT_DATA_BYTES {
        let detail = format!(
            "the data of a {} event is {} bytes of at most {EVENT_DATA_BYTES}",
            body.kind(),
            data.len()
        );
        return Err(Refusal::new(Code::TooLarge, detail)
            .hint("put the value into a blob and name it by {\"$blob\": …}"));
    }
    Ok(data)
}
