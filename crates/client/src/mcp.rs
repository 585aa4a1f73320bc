//! Passing messages of MCP on to a server, as they are.

use crate::error::ClientError;
use crate::http::{Call, Client, protocol};
use crate::sse::Reader;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use everloop_api::IDEMPOTENCY_HEADER;
use futures_util::stream::{self, Stream};
use reqwest::header::CONTENT_TYPE;
use serde::Deserialize;
use serde_json::Value;
use std::collections::VecDeque;

/// Where the server takes them.
const PATH: &str = "/mcp";
/// The member of `_meta` that names the revision of a request, from 2026-07-28 on.
const REVISION: &str = "io.modelcontextprotocol/protocolVersion";

/// What is looked at of a message.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Seen {
    /// Its id; none where no answer is expected.
    #[serde(default)]
    pub id: Option<Value>,
    /// Its method; none where it is an answer itself.
    #[serde(default)]
    pub method: Option<String>,
    #[serde(default)]
    params: SeenParams,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct SeenParams {
    name: Option<String>,
    uri: Option<String>,
    task_id: Option<String>,
    request_id: Option<Value>,
    #[serde(rename = "_meta")]
    meta: Option<serde_json::Map<String, Value>>,
}

impl Seen {
    /// Looks at a message.
    ///
    /// # Errors
    /// If it is no message.
    pub fn of(message: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(message)
    }

    /// The id of the request that it takes back.
    pub fn cancels(&self) -> Option<&Value> {
        self.params.request_id.as_ref().filter(|_| self.method.as_deref() == Some("notifications/cancelled"))
    }

    fn revision(&self) -> Option<&str> {
        self.params.meta.as_ref()?.get(REVISION)?.as_str()
    }

    /// What it is about, in the protocol's header.
    fn name(&self) -> Option<&str> {
        let params = &self.params;
        params.name.as_deref().or(params.uri.as_deref()).or(params.task_id.as_deref())
    }
}

/// Text as it stands in a header of the protocol.
fn header(text: &str) -> String {
    let is_plain = text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) && text.trim() == text;
    match is_plain && !text.starts_with("=?") {
        true => text.to_owned(),
        false => format!("=?base64?{}?=", STANDARD.encode(text)),
    }
}

impl Client {
    /// Sends a message, and gives what the server says to it: nothing, an answer, or notifications and then an answer.
    ///
    /// `key` names the message however often it is sent. `agreed` is the revision that an earlier `initialize` agreed upon.
    ///
    /// # Errors
    /// The server's refusal, or that it can't be reached.
    pub async fn mcp(
        &self,
        message: &str,
        seen: &Seen,
        key: &str,
        agreed: Option<&str>,
    ) -> Result<impl Stream<Item = Result<String, ClientError>> + use<>, ClientError> {
        let mut call = Call::post(PATH)
            .bytes(Bytes::from(message.to_owned()), "application/json")
            .header("accept", "application/json, text/event-stream")?
            .header(IDEMPOTENCY_HEADER, key)?
            .passing()
            .streaming();
        let method = seen.method.as_deref().unwrap_or_default();
        if let Some(revision) = seen.revision() {
            call = call.header("mcp-protocol-version", revision)?.header("mcp-method", method)?;
            if let Some(name) = seen.name() {
                call = call.header("mcp-name", &header(name))?;
            }
        } else if let Some(agreed) = agreed.filter(|_| method != "initialize") {
            call = call.header("mcp-protocol-version", agreed)?;
        }
        let place = self.place(&call);
        let answer = self.open(&call).await?;
        let kind =
            answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let is_stream = kind.starts_with("text/event-stream");
        let rest = (answer, Reader::default(), VecDeque::new(), Vec::new());
        Ok(stream::try_unfold(rest, move |(mut answer, mut reader, mut ready, mut whole)| {
            let place = place.clone();
            async move {
                loop {
                    if let Some(message) = ready.pop_front() {
                        return Ok(Some((message, (answer, reader, ready, whole))));
                    }
                    match answer.chunk().await.map_err(|error| protocol(&place, error))? {
                        Some(bytes) if is_stream => {
                            ready.extend(reader.take(&bytes).into_iter().filter_map(|block| block.data));
                            ready.retain(|data: &String| !data.is_empty());
                        }
                        Some(bytes) => whole.extend_from_slice(&bytes),
                        None if whole.is_empty() => return Ok(None),
                        None => {
                            let text = String::from_utf8(std::mem::take(&mut whole));
                            ready.push_back(text.map_err(|error| protocol(&place, error))?);
                        }
                    }
                }
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_says_what_its_headers_are() {
        let call = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"wait_task","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
        let seen = Seen::of(call).unwrap();
        assert_eq!((seen.name(), seen.revision()), (Some("wait_task"), Some("2026-07-28")));
        assert_eq!(seen.cancels(), None);
        let back = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}"#;
        assert_eq!(Seen::of(back).unwrap().cancels(), seen.id.as_ref());
        assert!(Seen::of("[]x").is_err());
        for (text, expected) in
            [("wait_task", "wait_task"), ("ä", "=?base64?w6Q=?="), (" a", "=?base64?IGE=?=")]
        {
            assert_eq!(header(text), expected);
        }
    }
}
