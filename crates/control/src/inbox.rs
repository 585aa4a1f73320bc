//! Everything that waits for a person.

use crate::caller::Caller;
use crate::control::Control;
use crate::cursor;
use crate::lists::Paging;
use crate::tasks::no_task;
use everloop_engine::machine::holds;
use everloop_store::error::StoreError;
use everloop_store::port::{Order, ReadStore, TaskFilter};
use everloop_store::rows::TaskRow;
use everloop_types::error::Refusal;
use everloop_types::event::EventBody;
use everloop_types::id::TaskId;
use everloop_types::json::Json;
use everloop_types::state::State;
use everloop_types::stream::StreamName;
use everloop_types::time::Timestamp;
use everloop_types::wait::Wait;

/// What is wanted of a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// A decision.
    Decision,
    /// An input.
    Input,
    /// To look at a task that does not follow its journal.
    Repair,
}

/// Something that waits for a person.
#[derive(Clone, Debug)]
pub struct Item {
    /// The task that asks.
    pub task: TaskId,
    /// Its kind.
    pub kind: String,
    /// Its title.
    pub title: Option<String>,
    /// What is wanted.
    pub want: Want,
    /// What to answer with: the request's id, the input's name, or why it is paused.
    pub id: String,
    /// Step key of the wait, unique in the task: the request's id where it is a decision.
    pub step: String,
    /// The question.
    pub prompt: Option<String>,
    /// Words that may be answered.
    pub choices: Vec<String>,
    /// What whoever decides should see.
    pub details: Option<Json>,
    /// Since when.
    pub since: Timestamp,
}

/// Tasks that one page looks at, at most.
const LOOKED_AT: usize = 1_000;

impl Control {
    /// A page of the inbox, oldest task first. The page ends with a task, so it may be longer than the limit.
    ///
    /// # Errors
    /// If the cursor belongs to another list.
    pub async fn inbox(
        &self,
        caller: &Caller,
        paging: Paging,
    ) -> Result<(Vec<Item>, Option<String>), Refusal> {
        let limit = paging.limit()?;
        let mut after = paging.cursor.map(|cursor| cursor::read("inbox", &cursor)).transpose()?;
        let tenant = caller.tenant;
        let (items, next) = self
            .engine()
            .read(move |store| {
                let filter =
                    TaskFilter { states: vec![State::Waiting, State::Paused], ..TaskFilter::default() };
                let mut items = Vec::new();
                let mut looked = 0;
                loop {
                    let page = store.tasks(tenant, &filter, Order::Oldest, after.into(), 100)?;
                    let full = page.len() == 100;
                    for row in page {
                        after = Some(row.task.id);
                        looked += 1;
                        items.extend(of_task(store, &row)?);
                        if items.len() >= limit {
                            return Ok((items, after));
                        }
                    }
                    if !full {
                        return Ok((items, None));
                    }
                    if looked >= LOOKED_AT {
                        return Ok((items, after));
                    }
                }
            })
            .await?;
        Ok((items, next.map(|after| cursor::write("inbox", after))))
    }
}

impl Control {
    /// What one task asks of a person.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn questions(&self, caller: &Caller, id: TaskId) -> Result<Vec<Item>, Refusal> {
        let tenant = caller.tenant;
        let found = self
            .engine()
            .read(move |store| match store.task(tenant, id)? {
                Some(row) => of_task(store, &row).map(Some),
                None => Ok(None),
            })
            .await?;
        found.ok_or_else(|| no_task(id))
    }
}

fn of_task(store: &dyn ReadStore, row: &TaskRow) -> Result<Vec<Item>, StoreError> {
    let task = &row.task;
    let item = |want, id: String, since| Item {
        task: task.id,
        kind: task.spec.kind.clone(),
        title: task.spec.title.clone().or_else(|| task.spec.name.clone()),
        want,
        step: id.clone(),
        id,
        prompt: None,
        choices: Vec::new(),
        details: None,
        since,
    };
    let mut items = Vec::new();
    for open in &task.open_requests {
        let mut found = item(Want::Decision, open.id.clone(), task.updated_at);
        if let Some(event) = store.event(task.tenant, StreamName::Task(task.id), open.seq)? {
            found.since = event.ts;
            if let Ok(Some(EventBody::ApprovalRequested(body))) = event.body() {
                found.prompt = Some(body.prompt);
                found.choices = body.choices;
                found.details = body.details;
            }
        }
        items.push(found);
    }
    if let Some(wait) = &task.waiting_for {
        wait.leaves(&mut |leaf| {
            // One of several may have come already.
            if let Wait::Input { name, id } = leaf
                && !holds(task, leaf, task.updated_at)
            {
                let found = item(Want::Input, name.clone(), task.updated_at);
                items.push(Item { step: id.clone(), ..found });
            }
        });
    }
    if let Some(paused) = task.paused.as_ref().filter(|paused| paused.reason == "nondeterminism") {
        let found = item(Want::Repair, paused.reason.clone(), task.updated_at);
        items.push(Item { details: paused.details.clone(), ..found });
    }
    Ok(items)
}
