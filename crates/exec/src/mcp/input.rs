//! What a task of the kind `mcp` is asked to call.

use crate::Wrong;
use crate::http::hosts::{Grant, granted};
use crate::http::input::check_url;
use everloop_types::json::Json;
use everloop_types::profile::ExecProfile;
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
    #[serde(default)]
    url: Option<String>,
    /// In place of url: the name of a server that the operator has set up and policy.profile.mcp names.
    #[serde(default)]
    server: Option<String>,
    /// Name of the tool.
    tool: String,
    /// Its arguments: an object.
    #[serde(default)]
    #[schemars(with = "Option<Map<String, Value>>")]
    arguments: Option<Json>,
    /// Headers for the server at the url, such as Authorization.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// How long one exchange with the server may take, in milliseconds; a minute when not given.
    #[serde(default)]
    timeout_ms: Option<u64>,
}

/// Where a tool is called.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// At an URL.
    Http { url: Url, headers: HashMap<HeaderName, HeaderValue>, grants: Vec<Grant> },
    /// In a process of a server that the operator has named.
    Stdio { server: String, granted: bool },
}

/// A call that can be made.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) place: Place,
    pub(super) tool: String,
    pub(super) arguments: Map<String, Value>,
    pub(super) timeout: Duration,
}

impl Place {
    /// Reads where, and what of it the profile grants.
    fn read(input: &mut Input, profile: &ExecProfile) -> Result<Self, Wrong> {
        let mut wrong = Vec::new();
        let mut refuse = |field: &str, message: String| wrong.push((field.to_owned(), message));
        let place = match (input.url.take(), input.server.take()) {
            (Some(url), None) => {
                let url = Url::parse(&url).map_err(|error| format!("not an URL: {error}"));
                let url = url.and_then(|url| check_url(&url).map(|()| url));
                let url = url.map_err(|message| refuse("input.url", message)).ok();
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
                let mut grants = Vec::new();
                for (i, text) in profile.hosts.iter().enumerate() {
                    match Grant::parse(text) {
                        Ok(grant) => grants.push(grant),
                        Err(message) => refuse(&format!("policy.profile.hosts[{i}]"), message),
                    }
                }
                url.map(|url| Self::Http { url, headers, grants })
            }
            (None, Some(server)) => {
                if !input.headers.is_empty() {
                    refuse("input.headers", "go with url, not with server".to_owned());
                }
                let granted = profile.mcp.contains(&server);
                Some(Self::Stdio { server, granted })
            }
            (Some(_), Some(_)) => {
                refuse("input.server", "there is url too: give one of them".to_owned());
                None
            }
            (None, None) => {
                refuse(
                    "input",
                    "give url (of a server) or server (a name that the operator gave it)".to_owned(),
                );
                None
            }
        };
        place.filter(|_| wrong.is_empty()).ok_or(wrong)
    }

    /// What it is called.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Http { url, .. } => url.as_str(),
            Self::Stdio { server, .. } => server,
        }
    }
}

impl Call {
    /// Reads the input and the grants of a task.
    pub(super) fn read(spec: &TaskSpec) -> Result<Self, Wrong> {
        let one = |field: &str, message: String| vec![(field.to_owned(), message)];
        let Some(input) = &spec.input else {
            return Err(one("input", "needed: {\"url\": \"https://…/mcp\", \"tool\": \"…\"}".to_owned()));
        };
        let mut input: Input = input.parse().map_err(|error| one("input", format!("not a call: {error}")))?;
        let mut wrong = Vec::new();
        let place = Place::read(&mut input, &spec.policy.profile).map_err(|fields| wrong.extend(fields));
        let mut refuse = |field: &str, message: String| wrong.push((field.to_owned(), message));
        if input.tool.is_empty() || input.tool.len() > 128 {
            refuse("input.tool", "1 to 128 characters".to_owned());
        }
        let arguments = input.arguments.map_or(Ok(Map::new()), |arguments| arguments.parse());
        let arguments = arguments.map_err(|_| refuse("input.arguments", "must be an object".to_owned()));
        let timeout_ms = input.timeout_ms.unwrap_or(TIMEOUT_MS);
        if !(1..=MAX_TIMEOUT_MS).contains(&timeout_ms) {
            refuse("input.timeout_ms", format!("1 to {MAX_TIMEOUT_MS}"));
        }
        match (place, arguments) {
            (Ok(place), Ok(arguments)) if wrong.is_empty() => {
                Ok(Self { place, tool: input.tool, arguments, timeout: Duration::from_millis(timeout_ms) })
            }
            _ => Err(wrong),
        }
    }

    /// Refuses a place that the profile does not grant, with the field that would.
    pub(super) fn may_call(&self) -> Result<(), (&'static str, String)> {
        match &self.place {
            Place::Http { url, grants, .. } => {
                granted(grants, url).map_err(|words| ("policy.profile.hosts", words))
            }
            Place::Stdio { granted: true, .. } => Ok(()),
            Place::Stdio { server, .. } => {
                let words = format!("server {server:?} is not granted: add {server:?} to policy.profile.mcp");
                Err(("policy.profile.mcp", words))
            }
        }
    }
}
