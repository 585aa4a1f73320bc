//! Tasks: submitting, looking at and steering them.
//!
//! Wherever a task is named, its id and `key:` with its key are the same.

use crate::error::ClientError;
use crate::http::{Call, Client, segment};
use everloop_api::command::{
    BatchAnswer, BatchRequest, BulkAnswer, BulkRequest, CancelRequest, DecisionRequest, ForkRequest,
    InputAnswer, InputRequest, PatchRequest, PauseRequest, ResumeRequest,
};
use everloop_api::event::EventPage;
use everloop_api::history::{
    AttemptView, ControlState, LogLine, OutputView, ProgressView, ReceiptView, StepView,
};
use everloop_api::page::Page;
use everloop_api::task::{TaskRequest, TaskView};
use everloop_api::{BASE, IDEMPOTENCY_HEADER};
use everloop_types::limits;
use everloop_types::state::State;
use futures_util::stream::{self, Stream};
use reqwest::{Method, StatusCode};
use std::time::Duration;

/// A task that was submitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submitted {
    /// The task as it stands.
    pub task: TaskView,
    /// Whether it is new: with a key it may have existed.
    pub is_new: bool,
}

/// Which tasks, in which order. Everything that is given must hold.
#[derive(Clone, Debug, Default)]
pub struct TaskQuery {
    /// In one of these states.
    pub state: Vec<State>,
    /// Of this kind.
    pub kind: Option<String>,
    /// In this queue.
    pub queue: Option<String>,
    /// Of this priority.
    pub priority: Option<i32>,
    /// With these labels, each as `name=value`.
    pub label: Vec<String>,
    /// Children of this task.
    pub parent: Option<String>,
    /// In this session.
    pub session: Option<String>,
    /// With a key that begins so.
    pub key_prefix: Option<String>,
    /// With these words in name, title, key or kind.
    pub q: Option<String>,
    /// The oldest first.
    pub oldest_first: bool,
    /// At most so many on a page.
    pub limit: Option<usize>,
    /// The page that begins here.
    pub cursor: Option<String>,
}

impl TaskQuery {
    fn call(&self) -> Call {
        let states: Vec<&str> = self.state.iter().map(|state| state.as_str()).collect();
        let mut call = Call::get(format!("{BASE}/tasks"))
            .maybe("state", (!states.is_empty()).then(|| states.join(",")))
            .maybe("kind", self.kind.as_ref())
            .maybe("queue", self.queue.as_ref())
            .maybe("priority", self.priority)
            .maybe("parent", self.parent.as_ref())
            .maybe("session", self.session.as_ref())
            .maybe("key_prefix", self.key_prefix.as_ref())
            .maybe("q", self.q.as_ref())
            .maybe("order", self.oldest_first.then_some("oldest"))
            .maybe("limit", self.limit)
            .maybe("cursor", self.cursor.as_ref());
        for label in &self.label {
            call = call.query("label", label);
        }
        call
    }
}

/// The path of a task, and of what lies below it.
fn path(task: &str, below: &str) -> String {
    format!("{BASE}/tasks/{}{below}", segment(task))
}

impl Client {
    /// Submits a task, and waits so long for its end where `wait` says so. The request bears a key of its own: however often
    /// it is sent, there is one task.
    ///
    /// # Errors
    /// The server's refusal, or that it can't be reached.
    pub async fn submit(
        &self,
        request: &TaskRequest,
        wait: Option<Duration>,
    ) -> Result<Submitted, ClientError> {
        self.submit_as(request, wait, &self.request_key()).await
    }

    /// Submits a task under a request key of the caller's, for callers that repeat requests across restarts.
    ///
    /// # Errors
    /// The server's refusal, or that it can't be reached.
    pub async fn submit_as(
        &self,
        request: &TaskRequest,
        wait: Option<Duration>,
        request_key: &str,
    ) -> Result<Submitted, ClientError> {
        let call = Call::post(format!("{BASE}/tasks"))
            .wait(wait.unwrap_or_default())
            .header(IDEMPOTENCY_HEADER, request_key)?
            .json(request)?
            .repeatable();
        let (status, task) = self.read_with_status(call).await?;
        Ok(Submitted { task, is_new: status == StatusCode::CREATED })
    }

    /// Submits several tasks; each is taken or refused by itself. It is repeated only where every task has a key.
    ///
    /// # Errors
    /// The server's refusal of the whole, or that it can't be reached.
    pub async fn submit_batch(&self, request: &BatchRequest) -> Result<BatchAnswer, ClientError> {
        let call = Call::post(format!("{BASE}/tasks/batch")).json(request)?;
        let has_keys = request.tasks.iter().all(|task| task.key.is_some());
        self.read(if has_keys { call.repeatable() } else { call }).await
    }

    /// Does something to many tasks, or counts them first.
    ///
    /// # Errors
    /// The server's refusal, or that it can't be reached.
    pub async fn bulk(&self, request: &BulkRequest) -> Result<BulkAnswer, ClientError> {
        self.read(Call::post(format!("{BASE}/tasks/bulk")).json(request)?).await
    }

    /// The task as it stands, or, with `wait`, once it has ended or that time has passed.
    ///
    /// # Errors
    /// The server's refusal, or that it can't be reached.
    pub async fn task(&self, task: &str, wait: Option<Duration>) -> Result<TaskView, ClientError> {
        self.read(Call::get(path(task, "")).wait(wait.unwrap_or_default())).await
    }

    /// The task once it has ended, however long that takes.
    ///
    /// # Errors
    /// The server's refusal, or that it can't be reached.
    pub async fn finished(&self, task: &str) -> Result<TaskView, ClientError> {
        loop {
            let view = self.task(task, Some(limits::WAIT_MAX)).await?;
            if view.state.is_terminal() {
                return Ok(view);
            }
        }
    }

    /// A page of tasks.
    ///
    /// # Errors
    /// The server's refusal, or that it can't be reached.
    pub async fn tasks(&self, query: &TaskQuery) -> Result<Page<TaskView>, ClientError> {
        self.read(query.call()).await
    }

    /// Changes what may change of a live task.
    ///
    /// # Errors
    /// The server's refusal, or that it can't be reached.
    pub async fn update(&self, task: &str, patch: &PatchRequest) -> Result<TaskView, ClientError> {
        self.read(Call::new(Method::PATCH, path(task, "")).json(patch)?.repeatable()).await
    }

    /// Deletes a finished task with its events.
    ///
    /// # Errors
    /// The server's refusal, or that it can't be reached.
    pub async fn delete(&self, task: &str) -> Result<(), ClientError> {
        self.done(Call::new(Method::DELETE, path(task, ""))).await
    }

    /// Lets a task stand still at its next step. Pausing the paused changes nothing.
    ///
    /// # Errors
    /// The server's refusal, or that it can't be reached.
    pub async fn pause(&self, task: &str, request: &PauseRequest) -> Result<TaskView, ClientError> {
        self.read(Call::post(path(task, "/pause")).json(request)?.repeatable()).await
    }

    /// Lets a paused task go on.
    ///
    /// # Errors
    /// The server's refusal, or that it can't be reached.
    pub async fn resume(&self, task: &str) -> Result<TaskView, ClientError> {
        self.read(Call::post(path(task, "/resume")).json(&ResumeRequest {})?).await
    }

    /// Ends a task. Cancelling the cancelled changes nothing.
    ///
    /// # Errors
    /// The server's refusal, or that it can't be reached.
    pub async fn cancel(&self, task: &str, request: &CancelRequest) -> Result<TaskView, ClientError> {
        self.read(Call::post(path(task, "/cancel")).json(request)?.repeatable()).await
    }

    /// Sends something to a task. Repeated only where the input has an id of the caller's.
    ///
    /// # Errors
    /// The server's refusal, or that it can't be reached.
    pub async fn input(&self, task: &str, request: &InputRequest) -> Result<InputAnswer, ClientError> {
        let call = Call::post(path(task, "/input")).json(request)?;
        self.read(if request.id.is_some() { call.repeatable() } else { call }).await
    }

    /// Answers a question of a task. The first answer counts.
    ///
    /// # Errors
    /// The server's refusal, or that it can't be reached.
    pub async fn decide(&self, task: &str, request: &DecisionRequest) -> Result<TaskView, ClientError> {
        self.read(Call::post(path(task, "/decision")).json(request)?).await
    }

    /// Makes a new task that begins with recorded steps of this one.
    ///
    /// # Errors
    /// The server's refusal, or that it can't be reached.
    pub async fn fork(&self, task: &str, request: &ForkRequest) -> Result<TaskView, ClientError> {
        let call = Call::post(path(task, "/fork")).json(request)?;
        self.read(call).await
    }

    /// How a finished task ended.
    ///
    /// # Errors
    /// `not_finished` while it lives; the server's other refusals, or that it can't be reached.
    pub async fn output(&self, task: &str) -> Result<OutputView, ClientError> {
        self.read(Call::get(path(task, "/output"))).await
    }

    /// How far a task has got.
    ///
    /// # Errors
    /// The server's refusal, or that it can't be reached.
    pub async fn progress(&self, task: &str) -> Result<ProgressView, ClientError> {
        self.read(Call::get(path(task, "/progress"))).await
    }

    /// Who wants what of a task, and what it waits for.
    ///
    /// # Errors
    /// The server's refusal, or that it can't be reached.
    pub async fn control_state(&self, task: &str) -> Result<ControlState, ClientError> {
        self.read(Call::get(path(task, "/control-state"))).await
    }

    /// The signed receipt of a finished task.
    ///
    /// # Errors
    /// `not_finished` while it lives; the server's other refusals, or that it can't be reached.
    pub async fn receipt(&self, task: &str) -> Result<ReceiptView, ClientError> {
        self.read(Call::get(path(task, "/receipt"))).await
    }

    /// A page of the events of a task after a number, of these types (none: all).
    ///
    /// # Errors
    /// The server's refusal, or that it can't be reached.
    pub async fn events(&self, task: &str, after: u64, types: &[String]) -> Result<EventPage, ClientError> {
        let call = Call::get(path(task, "/events"))
            .query("after", after)
            .maybe("types", (!types.is_empty()).then(|| types.join(",")));
        self.read(call).await
    }

    /// The steps of a task.
    ///
    /// # Errors
    /// The server's refusal, or that it can't be reached.
    pub async fn steps(&self, task: &str, cursor: Option<&str>) -> Result<Page<StepView>, ClientError> {
        self.read(Call::get(path(task, "/steps")).maybe("cursor", cursor)).await
    }

    /// The attempts of a task.
    ///
    /// # Errors
    /// The server's refusal, or that it can't be reached.
    pub async fn attempts(&self, task: &str) -> Result<Page<AttemptView>, ClientError> {
        self.read(Call::get(path(task, "/attempts"))).await
    }

    /// The log of an attempt.
    ///
    /// # Errors
    /// The server's refusal, or that it can't be reached.
    pub async fn attempt_logs(
        &self,
        task: &str,
        attempt: u32,
        cursor: Option<&str>,
    ) -> Result<Page<LogLine>, ClientError> {
        self.read(Call::get(path(task, &format!("/attempts/{attempt}/logs"))).maybe("cursor", cursor)).await
    }

    /// The children of a task.
    ///
    /// # Errors
    /// The server's refusal, or that it can't be reached.
    pub async fn children(&self, task: &str, cursor: Option<&str>) -> Result<Page<TaskView>, ClientError> {
        self.read(Call::get(path(task, "/children")).maybe("cursor", cursor)).await
    }

    /// The export of a task, line by line without line ends: its events, and the receipt last where it has ended.
    pub fn export<'a>(&'a self, task: &'a str) -> impl Stream<Item = Result<String, ClientError>> + 'a {
        let start = Some((0, std::collections::VecDeque::new()));
        stream::try_unfold(start, move |state| async move {
            let Some((mut after, mut lines)) = state else { return Ok(None) };
            loop {
                if let Some(line) = lines.pop_front() {
                    return Ok(Some((line, Some((after, lines)))));
                }
                let page = self.events(task, after, &[]).await?;
                lines.extend(page.items.iter().map(|event| event.as_str().to_owned()));
                let is_end = page.next_after >= page.last_seq || page.next_after == after;
                after = page.next_after;
                if !is_end || !lines.is_empty() {
                    continue;
                }
                if !page.finished {
                    return Ok(None);
                }
                let receipt = self.receipt(task).await?;
                return Ok(Some((everloop_journal::export::receipt_line(&receipt.receipt), None)));
            }
        })
    }
}
