//! What is wanted of a live task.

use crate::caller::Caller;
use crate::check::Checks;
use crate::control::Control;
use crate::tasks::Shown;
use everloop_engine::pipeline::op::Wish;
use everloop_types::error::{Code, Refusal};
use everloop_types::event::{ApprovalDecision, EventBody};
use everloop_types::id::{SignalId, TaskId};
use everloop_types::json::Json;
use everloop_types::limits;
use everloop_types::stream::StreamName;

/// Something for a task.
#[derive(Clone, Debug)]
pub struct NewInput {
    /// For whom in the task.
    pub name: String,
    /// What.
    pub data: Json,
    /// The caller's own id for it.
    pub id: Option<String>,
}

fn reason(reason: Option<&String>) -> Result<(), Refusal> {
    let mut checks = Checks::default();
    checks.line(reason, "reason", limits::TITLE_CHARS);
    checks.done()
}

impl Control {
    /// Lets a task stand still.
    ///
    /// # Errors
    /// `illegal_transition` where it can't.
    pub async fn pause(&self, caller: &Caller, id: TaskId, why: Option<String>) -> Result<Shown, Refusal> {
        reason(why.as_ref())?;
        self.wish(caller, id, Wish::Pause { reason: why }).await
    }

    /// Lets a paused task go on.
    ///
    /// # Errors
    /// `illegal_transition` where it can't.
    pub async fn resume(&self, caller: &Caller, id: TaskId) -> Result<Shown, Refusal> {
        self.wish(caller, id, Wish::Resume).await
    }

    /// Ends a task.
    ///
    /// # Errors
    /// `illegal_transition` where it has ended otherwise.
    pub async fn cancel(&self, caller: &Caller, id: TaskId, why: Option<String>) -> Result<Shown, Refusal> {
        reason(why.as_ref())?;
        self.wish(caller, id, Wish::Cancel { reason: why }).await
    }

    /// Sends something to a task; gives the id that it has.
    ///
    /// # Errors
    /// `illegal_transition` once it has ended, `limit_reached` where it has too many, `idempotency_conflict` if another input
    /// was sent under its id.
    pub async fn input(
        &self,
        caller: &Caller,
        task: TaskId,
        mut new: NewInput,
    ) -> Result<(String, Shown), Refusal> {
        let mut checks = Checks::default();
        checks.that(!new.name.is_empty(), "name", || "must not be empty".to_owned());
        checks.line(Some(&new.name), "name", limits::NAME_CHARS);
        checks.key(new.id.as_ref(), "id");
        checks.done()?;
        self.fit(caller.tenant, Some(&mut new.data), limits::VALUE_BYTES, "data").await?;
        let Some(id) = new.id else {
            let id = SignalId(self.new_id()).to_string();
            let wish = Wish::Input { id: id.clone(), name: new.name, data: new.data };
            return Ok((id, self.wish(caller, task, wish).await?));
        };
        let wish = Wish::Input { id: id.clone(), name: new.name.clone(), data: new.data.clone() };
        let shown = self.wish(caller, task, wish).await?;
        // The one that came first under this id is the one that counts: is it this one?
        if let Some(seq) = shown.task().known_input(&id) {
            let (tenant, stream) = (caller.tenant, StreamName::Task(task));
            let first = self.engine().read(move |store| store.event(tenant, stream, seq)).await?;
            if let Some(Ok(Some(EventBody::Input(first)))) = first.map(|event| event.body())
                && (first.name != new.name || first.data != new.data)
            {
                let detail =
                    format!("another input was sent to task {task} under the id {id:?} (event {seq})");
                return Err(
                    Refusal::new(Code::IdempotencyConflict, detail).hint("send it under an id of its own")
                );
            }
        }
        Ok((id, shown))
    }

    /// Answers a question of a task.
    ///
    /// # Errors
    /// `already_decided`, or `not_found` for a question that it does not ask.
    pub async fn decide(
        &self,
        caller: &Caller,
        task: TaskId,
        mut answer: ApprovalDecision,
    ) -> Result<Shown, Refusal> {
        let mut checks = Checks::default();
        checks.that(!answer.id.is_empty(), "id", || "must not be empty".to_owned());
        checks.line(Some(&answer.id), "id", limits::STEP_KEY_CHARS);
        checks.that(!answer.decision.is_empty(), "decision", || "must not be empty".to_owned());
        checks.line(Some(&answer.decision), "decision", limits::NAME_CHARS);
        checks.line(answer.note.as_ref(), "note", limits::TITLE_CHARS);
        checks.done()?;
        self.fit(caller.tenant, answer.result.as_mut(), limits::VALUE_BYTES, "result").await?;
        self.wish(caller, task, Wish::Decide(answer)).await
    }
}
