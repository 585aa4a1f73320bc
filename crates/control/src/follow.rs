//! Reading streams: pages, live, and many at once.

use crate::caller::Caller;
use crate::control::Control;
use crate::cursor;
use crate::tasks::{lacks, no_task};
use everloop_engine::live::{FeedPlace, Follower, Step};
use everloop_store::error::StoreError;
use everloop_store::port::ReadStore;
use everloop_types::error::Refusal;
use everloop_types::event::{Event, TypeFilter};
use everloop_types::id::{SessionId, TaskId, TenantId};
use everloop_types::json::Json;
use everloop_types::limits;
use everloop_types::stream::StreamName;
use everloop_types::task::Task;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Events that one JSON page looks at, at most, before it ends early.
const LOOKED_AT: usize = 5_000;
/// Events of the feed that are read at once.
const FEED_PAGE: usize = 256;
/// Tasks whose ties a reader of the feed remembers.
const REMEMBERED: usize = 10_000;
/// How long a reader of the feed sleeps when nobody wakes it.
const POLL: Duration = Duration::from_secs(1);

/// A page of the events of one stream.
#[derive(Clone, Debug)]
pub struct Events {
    /// The events.
    pub items: Vec<Event>,
    /// Number of the last event that was looked at.
    pub next_after: u64,
    /// Number of the last event that there is.
    pub last_seq: u64,
    /// Whether no event will follow.
    pub finished: bool,
}

/// What a follower gets.
#[derive(Clone, Debug)]
pub enum Followed {
    /// The next events, in order and without gaps, unfiltered.
    Events(Vec<Arc<Event>>),
    /// A passing word of the executor.
    Frame {
        /// What kind.
        kind: String,
        /// What.
        data: Json,
    },
    /// The server's word about the stream: the follower's number is now `seq`.
    Notice {
        /// `stream.compacted` or `stream.reset`.
        kind: &'static str,
        /// What it says, as JSON.
        data: Json,
        /// Where the follower stands now.
        seq: u64,
    },
    /// The task has ended: nothing follows.
    End,
}

/// Follows one stream. Dropping it frees its place.
pub struct Following {
    control: Control,
    tenant: TenantId,
    stream: StreamName,
    /// What comes before anything that is read.
    first: Option<Followed>,
    /// Events behind some that are not kept any more: they come after the word about those.
    behind: Option<Vec<Arc<Event>>>,
    follower: Follower,
    /// Number of the last event that was given or told of.
    at: u64,
    over: bool,
}

impl Following {
    /// Waits for what comes next. Dropping the future loses nothing.
    ///
    /// # Errors
    /// If the store can't be read; calling again goes on from the same point.
    pub async fn next(&mut self) -> Result<Followed, Refusal> {
        if let Some(first) = self.first.take() {
            return Ok(first);
        }
        if self.over {
            return Ok(Followed::End);
        }
        if self.behind.is_none() {
            match self.follower.next().await {
                Ok(Step::Events(events)) => self.behind = Some(events),
                Ok(Step::Frame(frame)) => return Ok(Followed::Frame { kind: frame.kind, data: frame.data }),
                Ok(Step::End) => return Ok(Followed::End),
                Err(error) => return Err(self.control.engine().read_failed(&error)),
            }
        }
        let first = self.behind.as_ref().and_then(|events| events.first()).map_or(0, |event| event.seq);
        if first > self.at + 1 {
            return self.compacted(first - 1).await;
        }
        let events = self.behind.take().unwrap_or_default();
        self.at = events.last().map_or(self.at, |event| event.seq);
        Ok(Followed::Events(events))
    }

    /// Tells of events up to a number that are not kept any more, however the follower came to miss them.
    async fn compacted(&mut self, upto: u64) -> Result<Followed, Refusal> {
        let (tenant, stream) = (self.tenant, self.stream);
        let anchor = self.control.engine().read(move |store| store.anchor(tenant, stream)).await?;
        let anchor = anchor.map(|(_, jws)| format!("\"anchor\":\"{jws}\",")).unwrap_or_default();
        let data = format!(
            "{{{anchor}\"first_seq\":{},\"last_seq\":{upto},\"summary\":\"{} events are not kept any more\"}}",
            self.at + 1,
            upto - self.at
        );
        self.at = upto;
        Ok(notice("stream.compacted", data, upto))
    }

    /// Number of the last event that was given or told of.
    pub fn position(&self) -> u64 {
        self.at
    }
}

fn notice(kind: &'static str, data: String, seq: u64) -> Followed {
    Followed::Notice { kind, data: Json::from_canonical(data).unwrap_or_default(), seq }
}

impl Control {
    /// A page of the events of a task after a number, those of the types.
    ///
    /// # Errors
    /// `not_found`, or a limit out of range.
    pub async fn events(
        &self,
        caller: &Caller,
        id: TaskId,
        after: u64,
        types: TypeFilter,
        limit: Option<usize>,
    ) -> Result<Events, Refusal> {
        let limit = page_limit(limit)?;
        let (tenant, stream) = (caller.tenant, StreamName::Task(id));
        let page = self
            .engine()
            .read(move |store| {
                let Some(row) = store.task(tenant, id)? else { return Ok(None) };
                let mut items = Vec::new();
                let (mut at, mut looked) = (after, 0);
                while items.len() < limit && looked < LOOKED_AT {
                    let want = if types.is_empty() { limit - items.len() } else { limits::PAGE_EVENTS };
                    let page = store.events(tenant, stream, at, want)?;
                    let full = page.len() == want;
                    looked += page.len();
                    let read_to = page.last().map_or(at, |event| event.seq);
                    for event in page {
                        if items.len() == limit {
                            break;
                        }
                        at = event.seq;
                        if types.matches(&event.kind) {
                            items.push(event);
                        }
                    }
                    if !full {
                        if read_to < row.head.seq {
                            lacks(store, tenant, id, read_to + 1)?;
                        }
                        break;
                    }
                }
                Ok(Some(Events {
                    items,
                    next_after: at,
                    last_seq: row.head.seq,
                    finished: row.task.state.is_terminal(),
                }))
            })
            .await?;
        page.ok_or_else(|| no_task(id))
    }

    /// Follows a task from after a number, with frames if they are asked for. None if it has ended and there is nothing
    /// after that number.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn follow(
        &self,
        caller: &Caller,
        id: TaskId,
        after: u64,
        frames: bool,
    ) -> Result<Option<Following>, Refusal> {
        let (tenant, stream) = (caller.tenant, StreamName::Task(id));
        let found = self
            .engine()
            .read(move |store| {
                let Some(row) = store.task(tenant, id)? else { return Ok(None) };
                Ok(Some((row.head.seq, row.task.state.is_terminal())))
            })
            .await?;
        let (last, ended) = found.ok_or_else(|| no_task(id))?;
        if ended && after == last {
            return Ok(None);
        }
        let following = |first, at, over| {
            let follower = self.engine().follow(tenant, stream, at, last);
            let follower = if frames { follower.with_frames() } else { follower };
            Some(Following { control: self.clone(), tenant, stream, first, behind: None, follower, at, over })
        };
        if after > last {
            let data = format!("{{\"asked\":{after},\"last_seq\":{last}}}");
            return Ok(following(Some(notice("stream.reset", data, last)), last, ended));
        }
        Ok(following(None, after, false))
    }

    /// Reads the events of many streams after a cursor: from the beginning without one, or from `now`.
    ///
    /// # Errors
    /// If it is no cursor.
    pub async fn feed(
        &self,
        caller: &Caller,
        filter: FeedFilter,
        after: Option<&str>,
    ) -> Result<Feed, Refusal> {
        let tenant = caller.tenant;
        let commits = self.engine().tails().commits();
        let pos = match after {
            None => 0,
            Some("now") => self.engine().read(move |store| store.last_position(tenant)).await?,
            Some(cursor) => cursor::read_pos(cursor)?,
        };
        Ok(Feed {
            control: self.clone(),
            tenant,
            filter: Arc::new(filter),
            place: self.engine().tails().feed(tenant, pos),
            pos,
            ties: Some(HashMap::new()),
            commits,
        })
    }
}

/// The limit of a page of events.
pub(crate) fn page_limit(limit: Option<usize>) -> Result<usize, Refusal> {
    match limit {
        None => Ok(limits::PAGE_ITEMS),
        Some(limit) if (1..=limits::PAGE_EVENTS).contains(&limit) => Ok(limit),
        Some(_) => Err(Refusal::field("limit", format!("must be 1 to {}", limits::PAGE_EVENTS))),
    }
}

/// Which events of many streams. Everything that is given must hold.
#[derive(Clone, Debug, Default)]
pub struct FeedFilter {
    /// Of one of these tasks.
    pub tasks: Vec<TaskId>,
    /// Of tasks of this session.
    pub session: Option<SessionId>,
    /// Of children of this task.
    pub parent: Option<TaskId>,
    /// Of tasks of one of these kinds.
    pub kinds: Vec<String>,
    /// Of tasks with all of these labels.
    pub labels: BTreeMap<String, String>,
    /// Of these types.
    pub types: TypeFilter,
}

impl FeedFilter {
    fn needs_task(&self) -> bool {
        self.session.is_some() || self.parent.is_some() || !self.kinds.is_empty() || !self.labels.is_empty()
    }

    fn holds_for(&self, task: &Task) -> bool {
        let spec = &task.spec;
        self.session.is_none_or(|session| spec.session == Some(session))
            && self.parent.is_none_or(|parent| spec.parent.as_ref().is_some_and(|of| of.task == parent))
            && (self.kinds.is_empty() || self.kinds.contains(&spec.kind))
            && self.labels.iter().all(|(key, value)| spec.labels.get(key) == Some(value))
    }
}

/// Events of many streams, in the database's own order.
pub struct Feed {
    control: Control,
    tenant: TenantId,
    filter: Arc<FeedFilter>,
    pos: i64,
    place: FeedPlace,
    /// Which tasks match; lent to the read that is under way.
    ties: Option<HashMap<TaskId, bool>>,
    commits: watch::Receiver<u64>,
}

/// Some events of the feed.
#[derive(Clone, Debug)]
pub struct FeedEvents {
    /// The events, each with the cursor behind it.
    pub items: Vec<(String, Event)>,
    /// The cursor behind all that was looked at.
    pub cursor: String,
    /// Whether there was more.
    pub more: bool,
}

impl Feed {
    /// The cursor behind all that was looked at.
    pub fn cursor(&self) -> String {
        cursor::write_pos(self.pos)
    }

    /// Looks at the next events, without waiting for any.
    ///
    /// # Errors
    /// If the store can't be read.
    pub async fn page(&mut self, limit: Option<usize>) -> Result<FeedEvents, Refusal> {
        let limit = page_limit(limit.or(Some(FEED_PAGE)))?;
        let (tenant, pos, filter) = (self.tenant, self.pos, self.filter.clone());
        let mut ties = self.ties.take().unwrap_or_default();
        let (items, pos, more, ties) = self
            .control
            .engine()
            .read(move |store| {
                let (mut items, mut pos, mut more, mut looked) = (Vec::new(), pos, true, 0);
                while more && items.len() < limit && looked < LOOKED_AT {
                    let want = limit.max(FEED_PAGE);
                    let page = store.feed(tenant, pos, want)?;
                    more = page.len() == want;
                    looked += page.len();
                    for found in page {
                        if items.len() == limit {
                            more = true;
                            break;
                        }
                        pos = found.pos;
                        if matches(store, &filter, &mut ties, &found.event)? {
                            items.push((cursor::write_pos(pos), found.event));
                        }
                    }
                }
                if ties.len() > REMEMBERED {
                    ties.clear();
                }
                Ok((items, pos, more, ties))
            })
            .await?;
        self.pos = pos;
        self.place.at(pos);
        self.ties = Some(ties);
        Ok(FeedEvents { items, cursor: self.cursor(), more })
    }

    /// Waits for events that match, or gives none when time has passed and only the cursor has moved.
    ///
    /// # Errors
    /// If the store can't be read; calling again goes on from the same point.
    pub async fn next(&mut self) -> Result<FeedEvents, Refusal> {
        loop {
            self.commits.mark_unchanged();
            let page = self.page(None).await?;
            if !page.items.is_empty() || page.more {
                return Ok(page);
            }
            let _ = tokio::time::timeout(POLL, self.commits.changed()).await;
        }
    }
}

fn matches(
    store: &dyn ReadStore,
    filter: &FeedFilter,
    ties: &mut HashMap<TaskId, bool>,
    event: &Event,
) -> Result<bool, StoreError> {
    let task = event.stream.task();
    if !filter.tasks.is_empty() && !task.is_some_and(|task| filter.tasks.contains(&task)) {
        return Ok(false);
    }
    if filter.needs_task() {
        let Some(task) = task else { return Ok(false) };
        // Labels may have changed.
        let known = ties.get(&task).copied().filter(|_| event.kind != "task.updated");
        let holds = match known {
            Some(holds) => holds,
            None => {
                let holds = store.task(event.tenant, task)?.is_some_and(|row| filter.holds_for(&row.task));
                ties.insert(task, holds);
                holds
            }
        };
        if !holds {
            return Ok(false);
        }
    }
    Ok(filter.types.matches(&event.kind))
}
