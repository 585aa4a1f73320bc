//! Forks: a new task that begins with recorded steps of another one.

use crate::caller::Caller;
use crate::control::Control;
use crate::submit::{NewTask, Submitted};
use crate::tasks::{Shown, lacks, no_task};
use everloop_engine::pipeline::op::Fork;
use everloop_journal::hex;
use everloop_store::rows::TaskRow;
use everloop_types::error::{Code, Refusal};
use everloop_types::event::{Event, EventBody};
use everloop_types::id::TaskId;
use everloop_types::json::Json;
use everloop_types::limits;
use everloop_types::state::State;
use everloop_types::stream::StreamName;
use everloop_types::task::{ForkedFrom, TaskSpec};
use std::sync::Arc;

/// How a task is forked.
#[derive(Clone, Debug, Default)]
pub struct ForkPlan {
    /// Keep what was recorded before this step.
    pub from_step: Option<String>,
    /// Keep what was recorded up to this event.
    pub upto_seq: Option<u64>,
    /// Key of the fork.
    pub key: Option<String>,
    /// Another input.
    pub input: Option<Json>,
    /// The request as it was sent.
    pub request: Option<Json>,
    /// The `Idempotency-Key` header.
    pub header_key: Option<String>,
}

/// The step that an event is the outcome or the beginning of.
fn step_of(event: &Event) -> Option<String> {
    match event.body() {
        Ok(Some(EventBody::StepStarted(body))) => Some(body.step),
        Ok(Some(EventBody::StepCompleted(body))) => Some(body.step),
        Ok(Some(EventBody::StepFailed(body))) => Some(body.step),
        _ => None,
    }
}

impl Control {
    /// Forks a task.
    ///
    /// # Errors
    /// If the step or event is not there, or whatever submitting refuses.
    pub async fn fork(&self, caller: &Caller, id: TaskId, plan: ForkPlan) -> Result<Submitted, Refusal> {
        if plan.from_step.is_some() && plan.upto_seq.is_some() {
            return Err(Refusal::field("upto_seq", "can't be given together with from_step"));
        }
        let (row, events) = self.whole(caller, id).await?;
        let upto = match (&plan.from_step, plan.upto_seq) {
            (Some(step), _) => before_step(step, &events)?,
            (None, Some(seq)) if (1..=row.head.seq).contains(&seq) => seq,
            (None, Some(_)) => {
                return Err(Refusal::field("upto_seq", format!("must be 1 to {}", row.head.seq)));
            }
            (None, None) => row.head.seq,
        };
        self.fork_at(caller, &row, events, upto, plan, None).await
    }

    /// Redrives a task that failed or was cancelled: forks it with everything that succeeded.
    ///
    /// # Errors
    /// `illegal_transition` where it did neither.
    pub async fn redrive(&self, caller: &Caller, id: TaskId, plan: ForkPlan) -> Result<Submitted, Refusal> {
        let (row, events) = self.whole(caller, id).await?;
        match row.task.state {
            State::Failed | State::Cancelled => {}
            State::Pending
            | State::Queued
            | State::Running
            | State::Waiting
            | State::Pausing
            | State::Paused
            | State::Cancelling
            | State::Completed => {
                let detail = format!("task {id} is {} and can't be redriven", row.task.state);
                return Err(Refusal::new(Code::IllegalTransition, detail)
                    .hint("only a failed or cancelled task is redriven; any task can be forked"));
            }
        }
        let upto = before_last_failures(&events).unwrap_or(row.head.seq);
        // It does the same work again: under the same key, and its steps show the outside the same ones.
        let keys_of = row.task.forked_from.as_ref().and_then(|from| from.keys_of).unwrap_or(id);
        let plan = ForkPlan { key: plan.key.or_else(|| row.task.spec.key.clone()), ..plan };
        let key = plan.key.clone();
        let redriven = self.fork_at(caller, &row, events, upto, plan, Some(keys_of)).await;
        match (redriven, key) {
            (Err(refusal), Some(key)) if refusal.code == Code::IdempotencyConflict => {
                let task = self.redriven(caller, id, &key).await?;
                task.map(|task| Submitted { task, created: false }).ok_or(refusal)
            }
            (redriven, _) => redriven,
        }
    }

    /// The task that has a key now, where it came about by redriving this one.
    async fn redriven(&self, caller: &Caller, source: TaskId, key: &str) -> Result<Option<Shown>, Refusal> {
        let task = self.resolve(caller.tenant, &format!("key:{key}")).await?;
        let shown = self.get(caller, task).await?;
        let from = shown.task().forked_from.as_ref();
        let is_it = from.is_some_and(|from| from.task == source && from.keys_of.is_some());
        Ok(is_it.then_some(shown))
    }

    async fn fork_at(
        &self,
        caller: &Caller,
        row: &TaskRow,
        events: Vec<Event>,
        upto: u64,
        plan: ForkPlan,
        keys_of: Option<TaskId>,
    ) -> Result<Submitted, Refusal> {
        let source = row.task.id;
        let Some(last) = events.iter().find(|event| event.seq == upto) else {
            return Err(Refusal::field("upto_seq", "names an event that is not kept any more"));
        };
        let original = events.first().and_then(|first| match first.body() {
            Ok(Some(EventBody::Submitted(spec))) => Some(spec.input),
            _ => None,
        });
        let Some(original) = original else {
            let detail = format!("the input of task {source} is not kept any more");
            return Err(Refusal::new(Code::IllegalTransition, detail).hint("submit a new task with an input"));
        };
        let from = ForkedFrom { hash: hex::encode(&last.hash), keys_of, task: source, upto_seq: upto };
        let spec = TaskSpec {
            key: plan.key,
            input: plan.input.or(original),
            not_before: None,
            depends_on: Vec::new(),
            continues: None,
            // A parent that has ended can't have new children.
            parent: None,
            ..row.task.spec.clone()
        };
        let mut spec = spec;
        if spec.policy.deadline.is_some_and(|deadline| deadline <= self.now()) {
            spec.policy.deadline = None;
        }
        // The same body for another source or point is another request.
        let sent = plan.request.unwrap_or_default();
        let request = format!("{{\"fork\":\"{source}\",\"request\":{sent}}}");
        let new = NewTask {
            spec,
            data_subject: row.data_subject.clone(),
            request: Json::from_canonical(request).ok(),
            header_key: plan.header_key,
            trace: None,
        };
        let fork = Fork { from, events: Arc::new(events) };
        let id = TaskId(self.new_id());
        let mut submit = self.prepare(caller, id, new, Some(fork)).await?;
        submit.takes_key_of = row.task.state.is_terminal().then_some(source);
        self.enter(caller, submit, None).await
    }

    /// A task and all of its events.
    pub(crate) async fn whole(&self, caller: &Caller, id: TaskId) -> Result<(TaskRow, Vec<Event>), Refusal> {
        let (tenant, stream) = (caller.tenant, StreamName::Task(id));
        let found = self
            .engine()
            .read(move |store| {
                let Some(row) = store.task(tenant, id)? else { return Ok(None) };
                let mut events: Vec<Event> = Vec::new();
                loop {
                    let after = events.last().map_or(0, |event| event.seq);
                    let page = store.events(tenant, stream, after, limits::PAGE_EVENTS)?;
                    let full = page.len() == limits::PAGE_EVENTS;
                    events.extend(page.into_iter().filter(|event| event.seq <= row.head.seq));
                    if !full {
                        let last = events.last().map_or(0, |event| event.seq);
                        if last < row.head.seq {
                            lacks(store, tenant, id, last + 1)?;
                        }
                        return Ok(Some((row, events)));
                    }
                }
            })
            .await?;
        found.ok_or_else(|| no_task(id))
    }
}

/// The event before the first one of a step.
fn before_step(step: &str, events: &[Event]) -> Result<u64, Refusal> {
    let mut steps: Vec<String> = Vec::new();
    for event in events {
        match step_of(event) {
            Some(found) if found == step => return Ok(event.seq - 1),
            Some(found) if !steps.contains(&found) && steps.len() < 20 => steps.push(found),
            Some(_) | None => {}
        }
    }
    let known = if steps.is_empty() {
        "it has recorded none".to_owned()
    } else {
        format!("it has {}", steps.join(", "))
    };
    Err(Refusal::field("from_step", format!("is not a step of the task; {known}")))
}

/// The event before the failures that came after the last success; none if there are no such failures.
fn before_last_failures(events: &[Event]) -> Option<u64> {
    let succeeded =
        events.iter().rev().find(|event| event.kind == "step.completed").map_or(0, |event| event.seq);
    let failed = events.iter().filter(|event| event.seq > succeeded).find(
        |event| matches!(event.body(), Ok(Some(EventBody::StepFailed(body))) if body.next_at.is_none()),
    );
    failed.map(|event| event.seq - 1)
}
