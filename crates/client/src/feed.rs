//! Following many tasks over one connection, however often it is lost.

use crate::error::ClientError;
use crate::http::{Call, Client, protocol};
use crate::sse::{Block, Blocks};
use everloop_api::BASE;
use everloop_api::event::FeedPage;
use everloop_types::id::{SessionId, TaskId};
use everloop_types::json::Json;
use futures_util::stream::{self, Stream};
use std::collections::BTreeMap;

/// The address of the feed.
const PATH: &str = "/events";

/// From where many streams are followed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum From {
    /// From the first event that there is.
    #[default]
    Beginning,
    /// From now on.
    Now,
    /// From behind an event, by its cursor.
    After(String),
}

/// Which events of many streams to follow. Everything that is given must hold.
#[derive(Clone, Debug, Default)]
pub struct FollowMany {
    /// From where.
    pub from: From,
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
    /// Of these types (`prefix.*` too).
    pub types: Vec<String>,
}

/// An event of one of many streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedEvent {
    /// Where to go on behind it: [`From::After`].
    pub cursor: String,
    /// Its type.
    pub kind: String,
    /// The whole event, byte for byte; it says which stream it stands in.
    pub event: Json,
}

impl FollowMany {
    fn call(&self) -> Call {
        let list = |items: &[String]| (!items.is_empty()).then(|| items.join(","));
        let tasks: Vec<_> = self.tasks.iter().map(TaskId::to_string).collect();
        let mut call = Call::get(format!("{BASE}{PATH}"))
            .maybe("task", list(&tasks))
            .maybe("session", self.session)
            .maybe("parent", self.parent)
            .maybe("kind", list(&self.kinds))
            .maybe("types", list(&self.types));
        for (name, value) in &self.labels {
            call = call.query("label", format!("{name}:{value}"));
        }
        call
    }
}

/// The state of a follower between two events.
struct Follower {
    follow: FollowMany,
    /// Where to go on; empty at the beginning.
    cursor: String,
    blocks: Blocks,
}

impl Client {
    /// Follows the events of many streams, without end, in the order of the database. A lost connection is made anew from where
    /// it broke off: every event that matches comes exactly once, or the stream ends with an error.
    pub fn follow_many(
        &self,
        follow: FollowMany,
    ) -> impl Stream<Item = Result<FeedEvent, ClientError>> + use<> {
        let cursor = match &follow.from {
            From::After(cursor) => cursor.clone(),
            From::Beginning | From::Now => String::new(),
        };
        let (client, now) = (self.clone(), follow.from == From::Now);
        let follower = Follower { follow, cursor, blocks: Blocks::new(self.clone()) };
        stream::unfold(Some((follower, now)), move |state| {
            let client = client.clone();
            async move {
                let (mut follower, now) = state?;
                if now {
                    // Asked for once: what happens while a connection is lost comes after it.
                    match client.feed(&follower.follow, Some("now"), 1).await {
                        Ok(page) => follower.cursor = page.next_cursor,
                        Err(error) => return Some((Err(error), None)),
                    }
                }
                match follower.next().await {
                    Ok(Some(event)) => Some((Ok(event), Some((follower, false)))),
                    Ok(None) => None,
                    Err(error) => Some((Err(error), None)),
                }
            }
        })
    }

    /// A page of the events of many streams after a cursor, or from `now`; at most so many. Where it starts does not come from
    /// `follow.from`.
    ///
    /// # Errors
    /// What the server refuses, or that it can't be reached.
    pub async fn feed(
        &self,
        follow: &FollowMany,
        after: Option<&str>,
        limit: usize,
    ) -> Result<FeedPage, ClientError> {
        self.read(follow.call().maybe("after", after).query("limit", limit)).await
    }
}

impl Follower {
    async fn next(&mut self) -> Result<Option<FeedEvent>, ClientError> {
        loop {
            let (follow, cursor) = (&self.follow, &self.cursor);
            let call = || {
                Ok(follow
                    .call()
                    .header("accept", "text/event-stream")?
                    .header("last-event-id", cursor)?
                    .streaming())
            };
            let Some(block) = self.blocks.next(call).await? else { return Ok(None) };
            if let Some(event) = self.block(block)? {
                return Ok(Some(event));
            }
        }
    }

    fn block(&mut self, block: Block) -> Result<Option<FeedEvent>, ClientError> {
        // What only moves the position lets the next connection begin later.
        let Some(cursor) = block.id else { return Ok(None) };
        self.cursor.clone_from(&cursor);
        let Some(data) = block.data else { return Ok(None) };
        let event = Json::from_canonical(data)
            .map_err(|error| protocol(PATH, format!("an event is not JSON: {error}")))?;
        Ok(Some(FeedEvent { cursor, kind: block.event.unwrap_or_else(|| "message".to_owned()), event }))
    }
}
