//! Lists of tasks.

use crate::caller::Caller;
use crate::control::Control;
use crate::cursor;
use crate::tasks::Shown;
use everloop_store::port::{Order, Part, TaskFilter};
use everloop_types::error::Refusal;
use everloop_types::id::TaskId;
use everloop_types::limits;
use everloop_types::state::State;

/// A page of tasks.
#[derive(Clone, Debug)]
pub struct TaskPage {
    /// The tasks, without input and result.
    pub items: Vec<Shown>,
    /// Where the next page begins.
    pub next_cursor: Option<String>,
    /// How many there are, counted to 10,000; none where too many would have to be looked at.
    pub total: Option<u64>,
}

/// Which page.
#[derive(Clone, Debug, Default)]
pub struct Paging {
    /// At most so many; 50 when not given.
    pub limit: Option<usize>,
    /// Behind this one.
    pub cursor: Option<String>,
}

impl Paging {
    /// The limit.
    ///
    /// # Errors
    /// If it is out of range.
    pub fn limit(&self) -> Result<usize, Refusal> {
        match self.limit {
            None => Ok(50),
            Some(limit) if (1..=limits::PAGE_ITEMS).contains(&limit) => Ok(limit),
            Some(_) => Err(Refusal::field("limit", format!("must be 1 to {}", limits::PAGE_ITEMS))),
        }
    }
}

impl Control {
    /// A page of the tasks that match.
    ///
    /// # Errors
    /// If the cursor belongs to another list.
    pub async fn list(
        &self,
        caller: &Caller,
        filter: TaskFilter,
        order: Order,
        paging: Paging,
    ) -> Result<TaskPage, Refusal> {
        let limit = paging.limit()?;
        let list = format!("{filter:?} {order:?}");
        let after = paging.cursor.map(|cursor| cursor::read(&list, &cursor)).transpose()?;
        let (tenant, looked_at) = (caller.tenant, self.options().looked_at);
        let (mut rows, upto, total) = self
            .engine()
            .read(move |store| {
                let open = filter.is_open();
                let far = |after| {
                    if open { store.task_behind(tenant, order, after, looked_at) } else { Ok(None) }
                };
                let part = Part { after, upto: far(after)? };
                let rows = store.tasks(tenant, &filter, order, part, limit + 1)?;
                let total = match far(None)? {
                    Some(_) => None,
                    None => Some(store.tasks_count(tenant, &filter, limits::COUNTED_ITEMS)?),
                };
                Ok((rows, part.upto, total))
            })
            .await?;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let last: Option<TaskId> = rows.last().map(|row| row.task.id);
        // A page that is not full may have ended where enough was looked at.
        let next = if more { last } else { upto };
        Ok(TaskPage {
            items: rows.into_iter().map(Shown::row).collect(),
            next_cursor: next.map(|next| cursor::write(&list, next)),
            total,
        })
    }

    /// A page of the children of a task, oldest first.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn children(&self, caller: &Caller, id: TaskId, paging: Paging) -> Result<TaskPage, Refusal> {
        self.row(caller, id).await?;
        let filter = TaskFilter { parent: Some(id), ..TaskFilter::default() };
        self.list(caller, filter, Order::Oldest, paging).await
    }

    /// A page of the tasks that failed, newest first.
    ///
    /// # Errors
    /// If the cursor belongs to another list.
    pub async fn dead_letters(
        &self,
        caller: &Caller,
        filter: TaskFilter,
        paging: Paging,
    ) -> Result<TaskPage, Refusal> {
        let filter = TaskFilter { states: vec![State::Failed], ..filter };
        self.list(caller, filter, Order::Newest, paging).await
    }
}
