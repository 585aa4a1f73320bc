//! The kind `mcp`: one call of a tool of another MCP server, over streamable HTTP or standard input and output, as journaled
//! steps.
//!
//! Input: `{url, headers? | server, tool, arguments?, timeout_ms?}`. Three steps are recorded: what the server says of the tool
//! (`describe`), the call itself (`call`), and, where the server answers with a task of its own, each look at it (`look`).
//! Between two looks the task waits and holds no worker. What a call that was cut off comes to is decided by what the server
//! says of its tool: one that only reads, or that can be repeated, is repeated; anything else is put to a person.

mod input;
mod link;
mod other;
mod process;
mod servers;

pub use servers::Servers;

use crate::http::input::refused;
use crate::shell::ShellOptions;
use crate::{refusal, with_details};
use everloop_types::error::{Class, Code, Refusal, TaskError};
use everloop_types::event::Level;
use everloop_types::json::Json;
use everloop_types::step::OnUnknown;
use everloop_types::task::TaskSpec;
use everloop_types::worker::KindOffer;
use everloop_worker::context::{Context, Control, canonical};
use everloop_worker::executor::{Executor, Stop};
use futures_util::future::BoxFuture;
use input::{Call, Input, Place};
use link::{Answered, Link, Looked, Question};
use other::Other;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The shortest time between two looks at a task of the other side; what it asks for is never gone below.
const SHORTEST: Duration = Duration::from_secs(1);
/// The longest.
const LONGEST: Duration = Duration::from_secs(60);
/// How long the other side is told for that nobody waits for its task any more.
const FAREWELL: Duration = Duration::from_secs(2);
/// Looks at one task of the other side.
const LOOKS: u32 = 2_000;

/// Calls tools of other MCP servers.
#[derive(Clone, Debug)]
pub struct Mcp {
    servers: Servers,
    options: ShellOptions,
}

/// What the server says of the tool, as far as it is acted upon.
#[derive(Debug, Deserialize, Serialize)]
struct Described {
    server: String,
    /// It changes nothing.
    reads: bool,
    /// Doing it twice is doing it once.
    idempotent: bool,
}

impl Described {
    /// What is to be done about a call that was cut off. Hints that are not given are the worst.
    fn on_unknown(&self) -> OnUnknown {
        if self.reads || self.idempotent { OnUnknown::Rerun } else { OnUnknown::Ask }
    }
}

impl Mcp {
    /// One that may start these servers, in folders and under guards as commands have them.
    pub fn new(servers: Servers, options: ShellOptions) -> Self {
        Self { servers, options }
    }
}

impl Executor for Mcp {
    fn offer(&self) -> KindOffer {
        crate::offer::<Input>("mcp")
    }

    fn about(&self) -> &str {
        "calls a tool of an MCP server that policy.profile names (hosts or mcp), and follows its task to the end"
    }

    fn check(&self, spec: &TaskSpec) -> Result<(), Refusal> {
        let call = Call::read(spec).map_err(refusal)?;
        call.may_call().map_err(|(field, words)| Refusal::field(field, words))?;
        match &call.place {
            Place::Http { .. } => Ok(()),
            Place::Stdio { server, .. } => {
                self.servers.get(server).map(drop).map_err(|words| Refusal::field("input.server", words))
            }
        }
    }

    fn run(&self, context: Context) -> BoxFuture<'_, Result<Json, Stop>> {
        Box::pin(self.attempt(context))
    }
}

impl Mcp {
    async fn attempt(&self, context: Context) -> Result<Json, Stop> {
        let call = Call::read(&context.assignment().spec).map_err(refused)?;
        call.may_call().map_err(|(_, words)| TaskError::new(Code::NotGranted, words))?;
        let other = Other::new(&context, &call, &self.servers, &self.options);
        let describe = context.step("describe").kind("mcp").args(&(call.place.name(), &call.tool));
        let described: Described = describe.run(other.ask(None, |link| link.describe(&call.tool))).await?;
        let step = context.step("call").kind("mcp").on_unknown(described.on_unknown()).args(&context.input());
        let key = step.idempotency_key();
        let policy = context.assignment().spec.policy.on_unknown.unwrap_or(described.on_unknown());
        let answered: Json = step.run(send(&other, &call, &key, policy)).await?;
        // What a person says about a call that was cut off is its result.
        let Ok(answered) = answered.parse::<Answered>() else { return Ok(answered) };
        let (handle, wait) = match answered {
            Answered::Done { result } => return ended(&result),
            Answered::Task { handle, poll_ms } => (handle, pause(poll_ms)),
        };
        context.log(Level::Info, format!("{} goes on as task {handle} of {}", call.tool, described.server));
        let followed = follow(&context, &other, &handle, wait).await;
        if followed.is_err() && matches!(context.control(), Control::Cancel { .. } | Control::Timeout { .. })
        {
            give_up(&other, &handle).await;
        }
        followed
    }
}

/// Follows a task of the other side to its end.
async fn follow(
    context: &Context,
    other: &Other<'_>,
    handle: &str,
    mut wait: Duration,
) -> Result<Json, Stop> {
    for _ in 0..LOOKS {
        context.sleep("pause", wait).await?;
        let look = context.step("look").kind("mcp").args(&handle);
        let looked: Looked = look.run(other.ask(None, |link| link.look(handle))).await?;
        match looked {
            Looked::Done { result } => return ended(&result),
            Looked::Failed { message } => return Err(failed("mcp_task_failed", message, handle).into()),
            Looked::Cancelled => {
                let message = "the task was cancelled on the other side".to_owned();
                return Err(failed("mcp_task_cancelled", message, handle).into());
            }
            Looked::Asks { questions } => answer(context, other, handle, &questions).await?,
            Looked::Working { poll_ms } => {
                // Longer and longer: whoever works for hours is not asked every second.
                wait = pause(poll_ms).max((wait * 2).min(LONGEST));
            }
        }
    }
    Err(failed("mcp_task_failed", format!("it has not ended after {LOOKS} looks"), handle).into())
}

/// Asks the person of this task what the other side asks, and passes the answers on.
async fn answer(
    context: &Context,
    other: &Other<'_>,
    handle: &str,
    questions: &BTreeMap<String, Question>,
) -> Result<(), Stop> {
    let mut answers = BTreeMap::new();
    for (key, question) in questions {
        let choices: Vec<_> = question.choices.iter().map(String::as_str).collect();
        let (decision, value) = context.ask(&format!("ask/{key}"), &question.text, &choices, None).await?;
        let said = value.map_or_else(|| Ok(decision.into()), |value| value.parse::<serde_json::Value>())?;
        let form = if said.is_object() { said } else { serde_json::json!({&question.field: said}) };
        answers.insert(key.clone(), canonical(&form)?);
    }
    let step = context.step("answer").kind("mcp").args(&answers);
    step.run(other.ask(None, |link| link.answer(handle, &answers))).await
}

fn pause(poll_ms: Option<u64>) -> Duration {
    poll_ms.map_or(SHORTEST, Duration::from_millis).clamp(SHORTEST, LONGEST)
}

/// Calls the tool. A call that was sent and not answered has not failed, where it must not happen twice: nobody knows whether
/// it did.
async fn send(other: &Other<'_>, call: &Call, key: &str, policy: OnUnknown) -> Result<Json, TaskError> {
    let sent = AtomicBool::new(false);
    let talk = |link: Link| {
        sent.store(true, Ordering::Relaxed);
        link.call(call, key)
    };
    let answered = other.ask(Some(key), talk).await.map_err(|error| {
        let is_lost = error.code == link::UNREACHABLE && sent.load(Ordering::Relaxed);
        if !is_lost || policy == OnUnknown::Rerun {
            return error;
        }
        TaskError { code: Code::OutcomeUnknown.as_str().to_owned(), ..error }
    })?;
    link::json(&answered)
}

/// Tells the other side that nobody waits for its task any more. Nothing depends on it.
async fn give_up(other: &Other<'_>, handle: &str) {
    match Box::pin(other.exchange(FAREWELL, None, |link| link.cancel(handle))).await {
        Ok(()) => {}
        Err(error) => tracing::debug!(%error, "a task elsewhere was not cancelled"),
    }
}

fn failed(code: &str, message: String, handle: &str) -> TaskError {
    let details = canonical(&serde_json::json!({"task": handle})).ok();
    TaskError { class: Class::Validation, code: code.to_owned(), details, message }
}

/// What the tool gave: `{content, structured?}`, or that it could not.
fn ended(result: &Json) -> Result<Json, Stop> {
    let value: serde_json::Value = result.parse()?;
    if value["isError"] == true {
        let texts =
            value["content"].as_array().into_iter().flatten().filter_map(|part| part["text"].as_str());
        let said: String = texts.collect::<Vec<_>>().join("\n").chars().take(2_000).collect();
        let error =
            with_details(Code::InvalidRequest, format!("the tool refused: {said}"), &value["content"]);
        return Err(TaskError { code: "mcp_tool_failed".to_owned(), ..error }.into());
    }
    let mut given = serde_json::json!({"content": value["content"]});
    if let Some(structured) = value.get("structuredContent") {
        given["structured"] = structured.clone();
    }
    canonical(&given)
}
