//! What a task of the kind `mcp` is asked to call.

use crate::Wrong;
use crate::http::hosts::{Grant, granted};
use crate::http::input::check_url;
use everloop_types::error::{Code, TaskError};
use everloop_types::json::Json;
use everloop_types::task::TaskSpec;
use reqwest::header::{HeaderName, HeaderValue};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;
use url::Url;

/// How long one exchange may take unless the input says otherwise.
const TIMEOUT_MS: u64 = 60_000;
/// The longest that it may take: ten minutes. What takes longer is a task of the other side.
const MAX_TIMEOUT_MS: u64 = 600_000;

/// One call of a tool.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    /// Where the server is: http or https, on a host that policy.profile.hosts names.
    url: String,
    /// Name of the tool.
    tool: String,
    /// Its arguments: an object.
    #[serde(default)]
    #[schemars(with = "Option<Map<String, Value>>")]
    arguments: Option<Json>,
    /// Headers for the server, such as Authorization.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// How long one exchange with the server may take, in milliseconds; a minute when not given.
    #[serde(default)]
    timeout_ms: Option<u64>,
}

/// A call that can be made.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) url: Url,
    pub(super) tool: String,
    pub(super) arguments: Map<String, Value>,
    pub(super) headers: HashMap<HeaderName, HeaderValue>,
    pub(super) timeout: Duration,
    grants: Vec<Grant>,
}

impl Call {
    /// Reads the input and the grants of a task.
    pub(super) fn read(spec: &TaskSpec) -> Result<Self, Wrong> {
        let one = |field: &str, message: String| vec![(field.to_owned(), message)];
        let Some(input) = &spec.input else {
            return Err(one("input", "needed: {\"url\": \"https://…/mcp\", \"tool\": \"…\"}".to_owned()));
        };
        let input: Input = input.parse().map_err(|error| one("input", format!("not a call: {error}")))?;
        let mut wrong = Vec::new();
        let mut refuse = |field: &str, message: String| wrong.push((field.to_owned(), message));
        let url = Url::parse(&input.url).map_err(|error| format!("not an URL: {error}"));
        let url = url.and_then(|url| check_url(&url).map(|()| url));
        let url = url.map_err(|message| refuse("input.url", message)).ok();
        if input.tool.is_empty() || input.tool.len() > 128 {
            refuse("input.tool", "1 to 128 characters".to_owned());
        }
        let arguments = input.arguments.map_or(Ok(Map::new()), |arguments| arguments.parse());
        let arguments = arguments.map_err(|_| refuse("input.arguments", "must be an object".to_owned()));
        let mut headers = HashMap::new();
        for (name, value) in &input.headers {
            match (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                (Ok(name), Ok(mut value)) => {
                    value.set_sensitive(true);
                    headers.insert(name, value);
                }
                _ => refuse(&format!("input.headers.{name}"), "not a header".to_owned()),
            }
        }
        let timeout_ms = input.timeout_ms.unwrap_or(TIMEOUT_MS);
        if !(1..=MAX_TIMEOUT_MS).contains(&timeout_ms) {
            refuse("input.timeout_ms", format!("1 to {MAX_TIMEOUT_MS}"));
        }
        let mut grants = Vec::new();
        for (i, text) in spec.policy.profile.hosts.iter().enumerate() {
            match Grant::parse(text) {
                Ok(grant) => grants.push(grant),
                Err(message) => refuse(&format!("policy.profile.hosts[{i}]"), message),
            }
        }
        match (url, arguments) {
            (Some(url), Ok(arguments)) if wrong.is_empty() => Ok(Self {
                url,
                tool: input.tool,
                arguments,
                headers,
                timeout: Duration::from_millis(timeout_ms),
                grants,
            }),
            _ => Err(wrong),
        }
    }

    /// Refuses a host that the profile does not grant.
    pub(super) fn may_call(&self) -> Result<(), TaskError> {
        granted(&self.grants, &self.url).map_err(|words| TaskError::new(Code::NotGranted, words))
    }
}
