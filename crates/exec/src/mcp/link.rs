//! The other side: one connection for one exchange, since nothing may be lost with it.

use super::Described;
use super::input::Call;
use crate::http::IDEMPOTENCY_KEY;
use everloop_types::error::{Class, Code, TaskError};
use everloop_types::json::Json;
use everloop_types::step::IDEMPOTENCY_META;
use everloop_worker::context::canonical;
use reqwest::header::{HeaderName, HeaderValue};
use rmcp::RoleClient;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CancelTaskParams, ClientCapabilities, ClientConfig,
    GetTaskParams, Implementation, InputRequest, ProtocolVersion, TASKS_EXTENSION_ID, TaskPayload, Tool,
    UpdateTaskParams,
};
use rmcp::service::{ClientLifecycleMode, ClientServiceExt, Peer, RunningService, ServiceError};
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::transport::{IntoTransport, StreamableHttpClientTransport};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use url::Url;

/// What a call was answered with.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answered {
    /// It is done.
    Done {
        /// The result of the tool.
        result: Json,
    },
    /// It goes on as a task of the other side.
    Task {
        /// Its handle.
        handle: String,
        /// How often the other side wants to be asked.
        poll_ms: Option<u64>,
    },
}

/// How a task of the other side stands.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Looked {
    /// It goes on.
    Working {
        /// How often the other side wants to be asked.
        poll_ms: Option<u64>,
    },
    /// It asks something: the questions by their keys.
    Asks {
        /// Each of them.
        questions: BTreeMap<String, Question>,
    },
    /// It has ended with a result of the tool.
    Done {
        /// The result.
        result: Json,
    },
    /// It broke.
    Failed {
        /// What was said about it.
        message: String,
    },
    /// Somebody ended it.
    Cancelled,
}

/// A question of the other side: a form, as far as a person here can fill it in.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Question {
    /// In words.
    pub(super) text: String,
    /// The field that an answer of one value belongs into.
    pub(super) field: String,
    /// What may stand in it; anything where nothing is said.
    pub(super) choices: Vec<String>,
}

impl Question {
    fn of(request: &InputRequest) -> Self {
        let request = serde_json::to_value(request).unwrap_or_default();
        let (params, schema) = (&request["params"], &request["params"]["requestedSchema"]);
        let needed = schema["required"].as_array().filter(|needed| needed.len() == 1);
        let field = needed.and_then(|needed| needed[0].as_str()).unwrap_or("value");
        let choices = schema["properties"][field]["enum"].as_array().into_iter().flatten();
        Self {
            text: params["message"].as_str().unwrap_or("input is needed").to_owned(),
            field: field.to_owned(),
            choices: choices.filter_map(|choice| choice.as_str().map(str::to_owned)).collect(),
        }
    }
}

/// The error of an exchange that came to no end.
pub(super) const UNREACHABLE: &str = "mcp_unreachable";

/// The other side of a connection.
pub(super) struct Link(Peer<RoleClient>);

/// What the other side can't be reached is told by: it may pass.
pub(super) fn unreachable(error: impl std::fmt::Display) -> TaskError {
    TaskError::transient(UNREACHABLE, format!("the MCP server can't be talked to: {error}"))
}

/// An error of the protocol: the other side's word, which stays.
fn told(error: ServiceError) -> TaskError {
    match error {
        ServiceError::McpError(error) => {
            let class = if error.code.0 == -32603 { Class::Transient } else { Class::Validation };
            let message = format!("the MCP server refused: {} ({})", error.message, error.code.0);
            TaskError { class, code: "mcp_refused".to_owned(), details: None, message }
        }
        other => unreachable(other),
    }
}

pub(super) fn json(value: &impl Serialize) -> Result<Json, TaskError> {
    canonical(value)
        .map_err(|_| TaskError::new(Code::Internal, "what the MCP server gave has no canonical form"))
}

/// A connection, for as long as it is kept.
pub(super) type Service = RunningService<RoleClient, ClientConfig>;

/// Connects over HTTP. The key makes a call that is repeated known to servers that look for it.
pub(super) async fn over_http(
    url: &Url,
    headers: &HashMap<HeaderName, HeaderValue>,
    key: Option<&str>,
) -> Result<Service, TaskError> {
    let mut headers = headers.clone();
    if let Some(key) = key.and_then(|key| HeaderValue::from_str(key).ok()) {
        headers.insert(IDEMPOTENCY_KEY, key);
    }
    let config = StreamableHttpClientTransportConfig::with_uri(url.as_str())
        .custom_headers(headers)
        .reinit_on_expired_session(false);
    let client = crate::http::build_client().map_err(unreachable)?;
    over(StreamableHttpClientTransport::with_client(client, config)).await
}

/// Connects, and agrees upon a revision.
pub(super) async fn over<T, E, A>(transport: T) -> Result<Service, TaskError>
where
    T: IntoTransport<RoleClient, E, A>,
    E: std::error::Error + Send + Sync + 'static,
{
    let capabilities = serde_json::json!({"elicitation": {}, "extensions": {TASKS_EXTENSION_ID: {}}});
    let capabilities: ClientCapabilities = serde_json::from_value(capabilities).unwrap_or_default();
    let me = Implementation::new("everloop", env!("CARGO_PKG_VERSION"));
    let lifecycle = ClientLifecycleMode::Auto {
        preferred_versions: vec![ProtocolVersion::V_2026_07_28],
        legacy_version: Some(ProtocolVersion::V_2025_11_25),
    };
    let opening = ClientConfig::new(capabilities, me).serve_with_lifecycle(transport, lifecycle);
    Box::pin(opening).await.map_err(unreachable)
}

impl Link {
    pub(super) fn of(service: &Service) -> Self {
        Self(service.peer().clone())
    }

    /// What the server calls itself.
    fn server(&self) -> String {
        let info = self.0.peer_info();
        let name = info.and_then(|info| info.server_info.as_ref().map(|server| server.name.clone()));
        name.unwrap_or_else(|| "the MCP server".to_owned())
    }

    /// What the server says of a tool.
    pub(super) async fn describe(self, name: &str) -> Result<Described, TaskError> {
        let hints = self.tool(name).await?.annotations.unwrap_or_default();
        Ok(Described {
            server: self.server(),
            reads: hints.read_only_hint.unwrap_or(false),
            idempotent: hints.is_idempotent(),
        })
    }

    async fn tool(&self, name: &str) -> Result<Tool, TaskError> {
        let tools = self.0.list_all_tools().await.map_err(told)?;
        let names: Vec<String> = tools.iter().map(|tool| tool.name.to_string()).collect();
        tools.into_iter().find(|tool| tool.name == name).ok_or_else(|| {
            let known: String = names.join(", ").chars().take(500).collect();
            let message = format!("the MCP server has no tool {name:?}; it has {known}");
            TaskError { class: Class::Validation, code: "mcp_refused".to_owned(), details: None, message }
        })
    }

    /// Calls a tool. Where there are no headers, the key goes with what is said about the call.
    pub(super) async fn call(self, call: &Call, key: &str) -> Result<Answered, TaskError> {
        let mut params = CallToolRequestParams::new(call.tool.clone()).with_arguments(call.arguments.clone());
        params.meta.get_or_insert_default().0.0.insert(IDEMPOTENCY_META.to_owned(), key.into());
        match self.0.call_tool_once(params).await.map_err(told)? {
            CallToolResponse::Complete(result) => Ok(Answered::Done { result: json(&result)? }),
            CallToolResponse::Task(made) => {
                Ok(Answered::Task { handle: made.task.task_id, poll_ms: made.task.poll_interval_ms })
            }
            _ => {
                let message = "the tool asks for input before it begins, which nobody is there to give";
                Err(TaskError {
                    class: Class::Validation,
                    code: "mcp_refused".to_owned(),
                    details: None,
                    message: message.to_owned(),
                })
            }
        }
    }

    /// Looks at a task.
    pub(super) async fn look(self, handle: &str) -> Result<Looked, TaskError> {
        let found = self.0.get_task(GetTaskParams::new(handle)).await.map_err(told)?.task;
        Ok(match found.payload {
            TaskPayload::InputRequired { input_requests } => {
                let question =
                    |(key, request): (&String, &InputRequest)| (key.clone(), Question::of(request));
                Looked::Asks { questions: input_requests.iter().map(question).collect() }
            }
            TaskPayload::Completed { result } => Looked::Done { result: json(&result)? },
            TaskPayload::Failed { error } => {
                let message = error.get("message").and_then(Value::as_str).unwrap_or("it failed");
                Looked::Failed { message: message.to_owned() }
            }
            TaskPayload::Cancelled => Looked::Cancelled,
            _ => Looked::Working { poll_ms: found.task.poll_interval_ms },
        })
    }

    /// Answers what a task asks.
    pub(super) async fn answer(
        self,
        handle: &str,
        answers: &BTreeMap<String, Json>,
    ) -> Result<(), TaskError> {
        let mut responses = BTreeMap::new();
        for (key, content) in answers {
            let content: Value = content.parse().unwrap_or_default();
            responses.insert(key.clone(), serde_json::json!({"action": "accept", "content": content}));
        }
        self.0.update_task(UpdateTaskParams::new(handle, responses)).await.map_err(told)
    }

    /// Asks a task to end.
    pub(super) async fn cancel(self, handle: &str) -> Result<(), TaskError> {
        self.0.cancel_task(CancelTaskParams::new(handle)).await.map_err(told)
    }
}
