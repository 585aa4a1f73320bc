//! The older tasks of revision 2025-11-25, which `rmcp` does not speak: a call that carries `task`, and `tasks/get`,
//! `tasks/result`, `tasks/list`, `tasks/cancel`. They are looked for before `rmcp` sees the request, and its answers to
//! `initialize` and `tools/list` are amended by what says that they are there.
//!
//! Requests of newer revisions are passed on unread.

use super::handler::{Asked, Handler, is_modern};
use super::wait::Waiter;
use super::{errors, tasks, tools};
use crate::answer::Fail;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use axum::http::{Method, Response as HttpResponse};
use axum::response::{IntoResponse, Response};
use everloop_control::inbox::Item;
use everloop_control::lists::Paging;
use everloop_control::tasks::Shown;
use everloop_control::{Caller, Order, TaskFilter};
use everloop_types::error::{Code, Refusal};
use everloop_types::limits;
use rmcp::model::{CallToolRequestParams, CallToolResponse, RequestId};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::borrow::Cow;

/// What becomes of a request.
pub(super) enum Next {
    /// It was one of the older tasks.
    Answered(Response),
    /// It is not ours.
    Pass(Request),
    /// It is not ours, but its answer lacks something.
    Amend(Request, Amendment),
}

/// What an answer lacks.
#[derive(Clone, Copy)]
pub(super) enum Amendment {
    /// `capabilities.tasks`.
    Capabilities,
    /// `execution.taskSupport` of each tool.
    Tools,
}

/// As much of a message as is needed to know whose it is.
#[derive(Deserialize)]
struct Peek<'a> {
    #[serde(borrow, default)]
    method: Option<Cow<'a, str>>,
    #[serde(default)]
    id: Option<RequestId>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
}

/// Parameters of an older task's method.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Params {
    #[serde(default)]
    task_id: String,
    #[serde(default)]
    cursor: Option<String>,
    #[serde(default)]
    task: Option<Value>,
    #[serde(rename = "_meta", default)]
    meta: Option<Value>,
}

/// Takes what is ours.
pub(super) async fn intercept(handler: &Handler, request: Request) -> Next {
    let header = request.headers().get("mcp-protocol-version").and_then(|value| value.to_str().ok());
    if request.method() != Method::POST || header.is_some_and(is_modern) {
        return Next::Pass(request);
    }
    let (parts, body) = request.into_parts();
    let Ok(bytes) = axum::body::to_bytes(body, limits::REQUEST_BYTES).await else {
        let detail = format!("the body broke off, or is larger than {} MiB", limits::REQUEST_BYTES >> 20);
        return Next::Answered(Fail(Refusal::new(Code::TooLarge, detail)).into_response());
    };
    let amend = {
        let Ok(peek) = serde_json::from_slice::<Peek<'_>>(&bytes) else {
            return Next::Pass(Request::from_parts(parts, Body::from(bytes)));
        };
        let params = || -> Option<Params> { serde_json::from_str(peek.params?.get()).ok() };
        let amend = match peek.method.as_deref() {
            Some("initialize") => Some(Amendment::Capabilities),
            Some("tools/list") => Some(Amendment::Tools),
            Some("tools/call" | "tasks/get" | "tasks/result" | "tasks/list" | "tasks/cancel") => None,
            _ => return Next::Pass(Request::from_parts(parts, Body::from(bytes))),
        };
        let params = params().unwrap_or_default();
        let modern = |meta: &Value| meta.get("io.modelcontextprotocol/protocolVersion").is_some();
        if params.meta.as_ref().is_some_and(modern) {
            return Next::Pass(Request::from_parts(parts, Body::from(bytes)));
        }
        let (Some(method), Some(id)) = (peek.method.as_deref(), peek.id) else {
            return Next::Pass(Request::from_parts(parts, Body::from(bytes)));
        };
        if method.starts_with("tasks/") || (method == "tools/call" && params.task.is_some()) {
            let Some(caller) = parts.extensions.get::<Caller>().cloned() else {
                return Next::Pass(Request::from_parts(parts, Body::from(bytes)));
            };
            let asked = Asked::legacy(handler, caller, &parts.headers);
            let answer = match method {
                "tools/call" => create(handler, &asked, peek.params).await,
                "tasks/get" => {
                    tasks::get(&asked, &params.task_id).await.map(|(shown, open)| view(&shown, &open))
                }
                "tasks/result" => result(handler, &asked, &params.task_id).await,
                "tasks/cancel" => cancel(&asked, &params.task_id).await,
                _ => list(&asked, params.cursor).await,
            };
            return Next::Answered(message(&id, answer));
        }
        amend
    };
    let request = Request::from_parts(parts, Body::from(bytes));
    match amend {
        Some(what) => Next::Amend(request, what),
        None => Next::Pass(request),
    }
}

fn message(id: &RequestId, answer: Result<Value, Refusal>) -> Response {
    let message = match answer {
        Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
        Err(refusal) => json!({"jsonrpc": "2.0", "id": id, "error": errors::rpc(&refusal)}),
    };
    let mut response = HttpResponse::new(Body::from(message.to_string()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A task as this revision writes it.
fn view(shown: &Shown, questions: &[Item]) -> Value {
    let task = tasks::detailed(shown, questions).task;
    json!({
        "taskId": task.task_id,
        "status": task.status,
        "statusMessage": task.status_message,
        "createdAt": task.created_at,
        "lastUpdatedAt": task.last_updated_at,
        "ttl": task.ttl_ms,
        "pollInterval": task.poll_interval_ms,
    })
}

async fn create(handler: &Handler, asked: &Asked, params: Option<&RawValue>) -> Result<Value, Refusal> {
    let text = params.map_or("{}", RawValue::get);
    let request: CallToolRequestParams = serde_json::from_str(text)
        .map_err(|error| Refusal::field("params", format!("can't be read: {error}")))?;
    if !tools::may_be_task(&request.name) {
        let detail = format!("the tool {:?} is never run as a task", request.name);
        return Err(Refusal::new(Code::InvalidRequest, detail).hint("call it without `task`"));
    }
    let mut waiter = Waiter::silent(handler.stopping.clone());
    match tools::call(asked, request, &mut waiter).await? {
        Some(CallToolResponse::Task(made)) => {
            let (shown, questions) = tasks::get(asked, &made.task.task_id).await?;
            Ok(json!({"task": view(&shown, &questions)}))
        }
        _ => Err(Refusal::new(Code::Internal, "the tool gave no handle")),
    }
}

/// The result, once there is one: this revision waits for it.
async fn result(handler: &Handler, asked: &Asked, handle: &str) -> Result<Value, Refusal> {
    let id = tasks::id(handle)?;
    loop {
        let mut stopping = handler.stopping.clone();
        let wait = asked.control.wait(&asked.caller, id, limits::WAIT_MAX);
        let shown = tokio::select! {
            shown = wait => shown?,
            () = crate::app::stopped(&mut stopping) => {
                return Err(Refusal::new(Code::ShuttingDown, "the server stops; ask again"));
            }
        };
        if !shown.task().state.is_terminal() {
            continue;
        }
        let mut result = serde_json::to_value(tasks::result(shown, Vec::new())).unwrap_or_default();
        if let Some(object) = result.as_object_mut() {
            object.remove("resultType");
        }
        result["_meta"]["io.modelcontextprotocol/related-task"] = json!({"taskId": handle});
        return Ok(result);
    }
}

async fn cancel(asked: &Asked, handle: &str) -> Result<Value, Refusal> {
    let shown = asked.control.cancel(&asked.caller, tasks::id(handle)?, None).await?;
    let mut cancelled = view(&shown, &[]);
    // This revision has no word for a task that is about to end.
    cancelled["status"] = json!("cancelled");
    Ok(cancelled)
}

async fn list(asked: &Asked, cursor: Option<String>) -> Result<Value, Refusal> {
    let paging = Paging { limit: None, cursor };
    let page = asked.control.list(&asked.caller, TaskFilter::default(), Order::Newest, paging).await?;
    let mut list = json!({"tasks": page.items.iter().map(|shown| view(shown, &[])).collect::<Vec<_>>()});
    if let Some(next) = page.next_cursor {
        list["nextCursor"] = json!(next);
    }
    Ok(list)
}

/// Adds what an answer lacks.
pub(super) async fn amend(response: Response, what: Amendment) -> Response {
    let (mut parts, body) = response.into_parts();
    let json = parts.headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes() == b"application/json");
    if !json {
        return Response::from_parts(parts, body);
    }
    let bytes = axum::body::to_bytes(body, limits::REQUEST_BYTES).await.unwrap_or_default();
    let amended = amended(&bytes, what).map_or(bytes, Bytes::from);
    parts.headers.remove(CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(amended))
}

fn amended(bytes: &[u8], what: Amendment) -> Option<String> {
    let mut message: Value = serde_json::from_slice(bytes).ok()?;
    let result = message.get_mut("result")?;
    match what {
        Amendment::Capabilities => {
            result.get_mut("capabilities")?["tasks"] =
                json!({"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}});
        }
        Amendment::Tools => {
            for tool in result.get_mut("tools")?.as_array_mut()? {
                let name = tool.get("name").and_then(Value::as_str).unwrap_or_default();
                let support = if tools::may_be_task(name) { "optional" } else { "forbidden" };
                tool["execution"] = json!({"taskSupport": support});
            }
        }
    }
    Some(message.to_string())
}
