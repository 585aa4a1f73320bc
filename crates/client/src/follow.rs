//! Following a task: one stream of events, however often the connection is lost.

use crate::error::ClientError;
use crate::http::{Call, Client, segment};
use crate::sse::{Block, Blocks};
use everloop_api::BASE;
use everloop_types::event::is_terminal;
use everloop_types::json::Json;
use futures_util::stream::{self, Stream, StreamExt};

/// What to follow.
#[derive(Clone, Debug, Default)]
pub struct Follow {
    /// From after this number.
    pub after: u64,
    /// Only events of these types (`prefix.*` too); all when there are none.
    pub types: Vec<String>,
    /// Passing words as well: tokens and progress that are never stored.
    pub frames: bool,
}

/// What a follower sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// An event, byte for byte.
    Event {
        /// Its number.
        seq: u64,
        /// Its type.
        kind: String,
        /// The whole event.
        event: Json,
    },
    /// A passing word: not stored, not numbered.
    Frame {
        /// What kind of frame.
        kind: String,
        /// What it says.
        data: Json,
    },
    /// The server's word about the stream.
    Notice {
        /// `stream.compacted` or `stream.reset`.
        kind: String,
        /// What it says.
        data: Json,
    },
}

/// The state of a follower between two items.
struct Follower {
    task: String,
    follow: Follow,
    /// The last number that was passed.
    position: u64,
    blocks: Blocks,
    is_over: bool,
}

impl Client {
    /// Follows a task to its end. A lost connection is made anew from where it broke off; without a filter every number comes
    /// exactly once and in order, or the stream ends with an error.
    pub fn follow(
        &self,
        task: &str,
        follow: Follow,
    ) -> impl Stream<Item = Result<Item, ClientError>> + use<> {
        let follower = Follower {
            task: task.to_owned(),
            position: follow.after,
            follow,
            blocks: Blocks::new(self.clone()),
            is_over: false,
        };
        stream::unfold(Some(follower), |state| async move {
            let mut follower = state?;
            match follower.next().await {
                Ok(Some(item)) => Some((Ok(item), Some(follower))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        })
    }
}

impl Follower {
    async fn next(&mut self) -> Result<Option<Item>, ClientError> {
        while !self.is_over {
            let (task, follow, position) = (&self.task, &self.follow, self.position);
            let Some(block) = self.blocks.next(|| call(task, follow, position)).await? else { break };
            if let Some(item) = self.block(block)? {
                return Ok(Some(item));
            }
        }
        Ok(None)
    }

    fn block(&mut self, block: Block) -> Result<Option<Item>, ClientError> {
        let wrong = |reason: String| crate::http::protocol(&format!("{}/events", self.task), reason);
        let seq = match &block.id {
            Some(id) => {
                Some(id.parse::<u64>().map_err(|_| wrong(format!("the position {id:?} is no number")))?)
            }
            None => None,
        };
        let Some(data) = block.data else {
            // Only the position moves: what lies between was filtered out.
            if let Some(seq) = seq {
                self.position = self.position.max(seq);
            }
            return Ok(None);
        };
        let data =
            Json::from_canonical(data).map_err(|error| wrong(format!("an event is not JSON: {error}")))?;
        let kind = block.event.unwrap_or_else(|| "message".to_owned());
        let Some(seq) = seq else {
            return Ok(Some(if kind.starts_with("stream.") {
                Item::Notice { kind, data }
            } else {
                frame(&kind, data).map_err(|error| wrong(format!("a frame is not one: {error}")))?
            }));
        };
        if kind.starts_with("stream.") {
            // The stream begins, or begins again, after this number.
            self.position = seq;
            return Ok(Some(Item::Notice { kind, data }));
        }
        if seq <= self.position {
            return Ok(None);
        }
        if self.follow.types.is_empty() && seq != self.position + 1 {
            return Err(wrong(format!(
                "event {} is missing: after {} came {seq}",
                self.position + 1,
                self.position
            )));
        }
        self.position = seq;
        if is_terminal(&kind) {
            self.is_over = true;
        }
        Ok(Some(Item::Event { seq, kind, event: data }))
    }
}

/// A frame comes as an event of the type `frame`, with its own type and data in it.
fn frame(kind: &str, data: Json) -> Result<Item, serde_json::Error> {
    #[derive(serde::Deserialize)]
    struct Wrapped {
        r#type: String,
        data: Json,
    }
    if kind != "frame" {
        return Ok(Item::Frame { kind: kind.to_owned(), data });
    }
    let Wrapped { r#type, data } = data.parse()?;
    Ok(Item::Frame { kind: r#type, data })
}

fn call(task: &str, follow: &Follow, position: u64) -> Result<Call, ClientError> {
    let types = (!follow.types.is_empty()).then(|| follow.types.join(","));
    Ok(Call::get(format!("{BASE}/tasks/{}/events", segment(task)))
        .header("accept", "text/event-stream")?
        .header("last-event-id", &position.to_string())?
        .maybe("types", types)
        .maybe("frames", follow.frames.then_some(1))
        .streaming())
}

/// Everything that a stream gives, for callers that want it whole.
///
/// # Errors
/// The first error of the stream.
pub async fn collect(items: impl Stream<Item = Result<Item, ClientError>>) -> Result<Vec<Item>, ClientError> {
    let mut items = std::pin::pin!(items);
    let mut all = Vec::new();
    while let Some(item) = items.next().await {
        all.push(item?);
    }
    Ok(all)
}

/// The bytes of a log chunk that is not UTF-8.
pub fn decode_base64(text: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).ok()
}
