//! Submitting tasks.

use crate::caller::Caller;
use crate::check;
use crate::control::Control;
use crate::tasks::{Shown, ending};
use everloop_engine::live::Subscription;
use everloop_engine::pipeline::op::{Fork, Submit};
use everloop_journal::digest;
use everloop_types::error::{FieldError, Refusal};
use everloop_types::id::TaskId;
use everloop_types::json::Json;
use everloop_types::limits;
use everloop_types::names::is_key;
use everloop_types::task::TaskSpec;
use futures_util::StreamExt;
use std::time::Duration;

/// A request for a new task.
#[derive(Clone, Debug)]
pub struct NewTask {
    /// What for.
    pub spec: TaskSpec,
    /// Whose data it is about.
    pub data_subject: Option<String>,
    /// The request as it was sent; only needed with a key, to tell a retry from another request.
    pub request: Option<Json>,
    /// The `Idempotency-Key` header.
    pub header_key: Option<String>,
    /// The W3C trace context of the request.
    pub trace: Option<String>,
}

/// What became of it.
#[derive(Clone, Debug)]
pub struct Submitted {
    /// The task.
    pub task: Shown,
    /// Whether this request made it.
    pub created: bool,
}

impl Control {
    /// Submits a task. With `wait`, answers when it has ended or the time is over.
    ///
    /// # Errors
    /// Whatever is wrong with the request, or the engine refuses.
    pub async fn submit(
        &self,
        caller: &Caller,
        new: NewTask,
        wait: Option<Duration>,
    ) -> Result<Submitted, Refusal> {
        let id = TaskId(self.engine().new_id());
        let submit = self.prepare(caller, id, new, None).await?;
        self.enter(caller, submit, wait).await
    }

    /// Everything that is checked before the engine is asked.
    pub(crate) async fn prepare(
        &self,
        caller: &Caller,
        id: TaskId,
        mut new: NewTask,
        fork: Option<Fork>,
    ) -> Result<Submit, Refusal> {
        check::spec(&new.spec, new.data_subject.as_ref())?;
        self.check_kind(caller, &mut new.spec).await?;
        let room = check::input_room(&new.spec)?;
        self.fit(caller.tenant, new.spec.input.as_mut(), room, "input").await?;
        let (keys, request) = self.keys(caller, &new).await?;
        Ok(Submit {
            id,
            tenant: caller.tenant,
            actor: caller.actor.clone(),
            spec: new.spec,
            data_subject: new.data_subject,
            keys,
            request,
            trace: new.trace,
            fork,
            takes_key_of: None,
        })
    }

    pub(crate) async fn enter(
        &self,
        caller: &Caller,
        submit: Submit,
        wait: Option<Duration>,
    ) -> Result<Submitted, Refusal> {
        let key = submit.spec.key.clone();
        let until = self.monotonic() + wait.unwrap_or_default();
        let submitted = self.wait_there(caller, submit, wait).await?;
        match key.filter(|_| wait.is_some()) {
            Some(key) => {
                let task = self.wait_on(caller, submitted.task, &key, until).await?;
                Ok(Submitted { task, ..submitted })
            }
            None => Ok(submitted),
        }
    }

    /// Waits for the end of the task itself.
    async fn wait_there(
        &self,
        caller: &Caller,
        submit: Submit,
        wait: Option<Duration>,
    ) -> Result<Submitted, Refusal> {
        let (input, data_subject) = (submit.spec.input.clone(), submit.data_subject.clone());
        // A place among the followers first: then the task's end cannot be missed.
        let mut subscription = wait.map(|_| self.engine().subscribe(submit.id));
        let (snapshot, created) = self.engine().submit(submit).await?;
        let mut shown = Shown { input, data_subject, ..Shown::of(snapshot) };
        if !created {
            // Its end may lie before the subscription: look at what is stored.
            drop(subscription.take());
            let task = self.wait(caller, shown.task().id, wait.unwrap_or_default()).await?;
            return Ok(Submitted { task, created });
        }
        if let (Some(wait), Some(subscription)) = (wait, &mut subscription) {
            finish(&mut shown, subscription, wait).await;
            if shown.task().state.is_terminal() && shown.end.is_none() {
                // Its last event is not in memory any more.
                shown = self.get(caller, shown.task().id).await?;
            }
        }
        Ok(Submitted { task: shown, created })
    }

    async fn keys(&self, caller: &Caller, new: &NewTask) -> Result<(Vec<[u8; 16]>, [u8; 16]), Refusal> {
        let mut keys = Vec::new();
        if let Some(key) = &new.spec.key {
            keys.push(digest::key_hash(caller.tenant, "key", key));
        }
        if let Some(header) = &new.header_key {
            if !is_key(header) {
                let message = "must be 1 to 200 characters, without control characters";
                return Err(Refusal::field("Idempotency-Key", message));
            }
            keys.push(digest::key_hash(caller.tenant, "request", header));
        }
        let mut request = [0; 16];
        if let (false, Some(sent)) = (keys.is_empty(), &new.request) {
            let secret = self.secret(caller.tenant).await?;
            request.copy_from_slice(&digest::request_hash(&secret, sent)[..16]);
        }
        Ok((keys, request))
    }

    /// Submits many tasks: each is taken or refused by itself, in the order of the request.
    ///
    /// # Errors
    /// If there are none or too many.
    pub async fn submit_batch(
        &self,
        caller: &Caller,
        batch: Vec<NewTask>,
    ) -> Result<Vec<Result<Submitted, Refusal>>, Refusal> {
        if batch.is_empty() || batch.len() > limits::BATCH_TASKS {
            let message = format!("are {}; a batch has 1 to {}", batch.len(), limits::BATCH_TASKS);
            return Err(Refusal::field("tasks", message));
        }
        let mut prepared = Vec::with_capacity(batch.len());
        for new in batch {
            prepared.push(self.prepare(caller, TaskId(self.engine().new_id()), new, None).await);
        }
        // They are sent in their order, so that of two with one key the first makes the task.
        let enter = |(i, prepared): (usize, Result<Submit, Refusal>)| async move {
            let done = match prepared {
                Ok(submit) => self.enter(caller, submit, None).await,
                Err(refusal) => Err(refusal),
            };
            done.map_err(|refusal| within(refusal, i))
        };
        let tasks = futures_util::stream::iter(prepared.into_iter().enumerate().map(enter));
        Ok(tasks.buffered(limits::COMMIT_COMMANDS).collect().await)
    }
}

/// Puts the fields of a refusal under the item of the batch that they belong to.
fn within(refusal: Refusal, item: usize) -> Refusal {
    let field = |error: FieldError| FieldError { field: format!("tasks[{item}].{}", error.field), ..error };
    Refusal { errors: refusal.errors.into_iter().map(field).collect(), ..refusal }
}

/// Waits for the end of a task and takes everything that there is to show from memory.
pub(crate) async fn finish(shown: &mut Shown, subscription: &mut Subscription, wait: Duration) {
    let wait = wait.min(limits::WAIT_MAX);
    if let Ok(snapshot) = tokio::time::timeout(wait, subscription.finished()).await {
        shown.snapshot = snapshot;
    } else if let Some(snapshot) = subscription.snapshot() {
        shown.snapshot = snapshot;
    }
    if shown.task().state.is_terminal()
        && let Some(last) = subscription.last_event()
        && last.seq == shown.last_seq()
    {
        shown.end = ending(&last);
    }
}
