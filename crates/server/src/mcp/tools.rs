//! The tools: one table, and what each of them does.

use super::answer::{EventList, TaskAnswer, TaskList, structured};
use super::args;
use super::handler::Asked;
use super::wait::{USUAL, Waiter, with_questions};
use super::{ask, schema, tasks};
use crate::views;
use everloop_api::command::{DecisionRequest, InputRequest};
use everloop_api::history::ReceiptView;
use everloop_control::acts::NewInput;
use everloop_control::follow::Followed;
use everloop_control::inbox::Item;
use everloop_control::lists::Paging;
use everloop_control::tasks::Shown;
use everloop_control::{Order, TaskFilter, door};
use everloop_types::error::Refusal;
use everloop_types::event::{ApprovalDecision, TypeFilter};
use everloop_types::limits;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CreateTaskResult, InputRequiredResult, JsonObject, Tool,
    ToolAnnotations,
};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use std::sync::LazyLock;
use std::time::Duration;

/// What a tool does to the world, in the protocol's hints.
#[derive(Clone, Copy)]
enum Effect {
    /// It looks.
    Reads,
    /// It adds something, once where it is repeated with a key.
    Adds,
    /// Doing it twice is doing it once.
    Settles,
    /// It ends something.
    Ends,
}

fn tool<I: JsonSchema, O: JsonSchema>(
    name: &'static str,
    title: &'static str,
    about: &'static str,
    effect: Effect,
) -> Tool {
    let (reads, ends, settles) = match effect {
        Effect::Reads => (true, false, true),
        Effect::Adds => (false, false, false),
        Effect::Settles => (false, false, true),
        Effect::Ends => (false, true, true),
    };
    let hints = ToolAnnotations::with_title(title)
        .read_only(reads)
        .destructive(ends)
        .idempotent(settles)
        .open_world(matches!(effect, Effect::Adds));
    Tool::new(name, about, schema::input::<I>())
        .with_title(title)
        .with_annotations(hints)
        .with_raw_output_schema(schema::output::<O>())
}

/// Every tool, by name.
pub(super) static TABLE: LazyLock<Vec<Tool>> = LazyLock::new(|| {
    let mut tools = vec![
        tool::<args::StartTask, TaskAnswer>(
            "start_task",
            "Start a task",
            "Starts a durable task and returns at once with its handle, task_id. The task goes on whatever happens to you, \
             to the connection or to the server; use the handle with the other tools, now or after a restart. Give a key to \
             make the call safe to repeat.",
            Effect::Adds,
        ),
        tool::<args::OneTask, TaskAnswer>(
            "get_task_status",
            "Look at a task",
            "Returns where a task stands, what it asks of a person, and its result once it has ended.",
            Effect::Reads,
        ),
        tool::<args::WaitTask, TaskAnswer>(
            "wait_task",
            "Wait for a task",
            "Waits until a task has ended, is paused or asks something, at most 50 seconds, and returns it as it stands. \
             Call it again when the task still runs: nothing is lost in between.",
            Effect::Reads,
        ),
        tool::<args::StreamTask, EventList>(
            "stream_task",
            "Read what happened to a task",
            "Returns a page of a task's events after a number. Go on with after = next_after; events come in order, without \
             gaps, and can be read again at any time.",
            Effect::Reads,
        ),
        tool::<args::OneTask, TaskAnswer>(
            "resume_task",
            "Let a paused task go on",
            "Lets a task go on that was paused.",
            Effect::Settles,
        ),
        tool::<args::CancelTask, TaskAnswer>(
            "cancel_task",
            "End a task",
            "Asks a task to end. It may clean up first; cancelling a cancelled task changes nothing.",
            Effect::Ends,
        ),
        tool::<args::SendInput, TaskAnswer>(
            "send_input",
            "Answer a task",
            "Sends a task the input that it waits for, or the decision that it asks for. Decide only what you may decide: a \
             question meant for a person is that person's.",
            Effect::Settles,
        ),
        tool::<args::OneTask, ReceiptView>(
            "get_task_receipt",
            "Get a task's receipt",
            "Returns the signed receipt of a task that has ended: a JWS that anyone can verify offline.",
            Effect::Reads,
        ),
        tool::<args::ListTasks, TaskList>(
            "list_tasks",
            "List tasks",
            "Returns a page of your tasks, newest first. Finds the handle of a task that you started before.",
            Effect::Reads,
        ),
    ];
    tools.sort_by(|a, b| a.name.cmp(&b.name));
    tools
});

/// Whether a call of this tool may be answered with a handle in place of a result.
pub(super) fn may_be_task(name: &str) -> bool {
    matches!(name, "start_task" | "wait_task") || !is_ours(name)
}

/// Whether it is one of the table, and not a kind.
pub(super) fn is_ours(name: &str) -> bool {
    TABLE.iter().any(|tool| tool.name == name)
}

/// Reads arguments as strictly as a request over HTTP.
fn read<T: DeserializeOwned>(arguments: Option<JsonObject>) -> Result<T, Refusal> {
    let text = serde_json::to_vec(&arguments.unwrap_or_default())
        .map_err(|error| Refusal::field("arguments", format!("can't be read: {error}")))?;
    Ok(door::read(&text)?.value)
}

fn task(shown: Shown, questions: Vec<Item>) -> CallToolResponse {
    structured(&TaskAnswer::of(shown, questions)).into()
}

/// Calls a tool; none if there is no such tool.
///
/// # Errors
/// Whatever is refused.
pub(super) async fn call(
    asked: &Asked,
    request: CallToolRequestParams,
    waiter: &mut Waiter,
) -> Result<Option<CallToolResponse>, Refusal> {
    let arguments = request.arguments.clone();
    let (control, caller) = (&asked.control, &asked.caller);
    let answer = match request.name.as_ref() {
        "start_task" => start(asked, arguments).await?,
        "get_task_status" => {
            let id = control.resolve(caller.tenant, &read::<args::OneTask>(arguments)?.task_id).await?;
            let (shown, questions) = with_questions(control, caller, control.get(caller, id).await?).await?;
            task(shown, questions)
        }
        "wait_task" => {
            let args = read::<args::WaitTask>(arguments)?;
            let timeout = args.timeout_s.map_or(USUAL, Duration::from_secs);
            let id = control.resolve(caller.tenant, &args.task_id).await?;
            if asked.wants_tasks() {
                return Ok(Some(handle(&control.get(caller, id).await?)));
            }
            if let Some(responses) = &request.input_responses {
                let open = control.questions(caller, id).await?;
                ask::answer(control, caller, id, &open, responses).await?;
            }
            let (shown, questions) = waiter.wait(control, caller, id, timeout).await?;
            let requests = ask::to_ask(asked, &questions, request.input_responses.as_ref());
            if !requests.is_empty() {
                return Ok(Some(InputRequiredResult::from_input_requests(requests).into()));
            }
            task(shown, questions)
        }
        "stream_task" => stream(asked, arguments, waiter).await?,
        "resume_task" => {
            let id = control.resolve(caller.tenant, &read::<args::OneTask>(arguments)?.task_id).await?;
            task(control.resume(caller, id).await?, Vec::new())
        }
        "cancel_task" => {
            let args = read::<args::CancelTask>(arguments)?;
            let id = control.resolve(caller.tenant, &args.task_id).await?;
            task(control.cancel(caller, id, args.reason).await?, Vec::new())
        }
        "send_input" => send(asked, read(arguments)?).await?,
        "get_task_receipt" => {
            let id = control.resolve(caller.tenant, &read::<args::OneTask>(arguments)?.task_id).await?;
            structured(&views::receipt(control.receipt(caller, id).await?)).into()
        }
        "list_tasks" => list(asked, read(arguments)?).await?,
        _ => return super::kinds::call(asked, request, waiter).await,
    };
    Ok(Some(answer))
}

/// The handle of a task, for clients that know handles.
pub(super) fn handle(shown: &Shown) -> CallToolResponse {
    CreateTaskResult::new(tasks::seed(shown)).into()
}

async fn start(asked: &Asked, arguments: Option<JsonObject>) -> Result<CallToolResponse, Refusal> {
    let shown = submit(asked, read::<args::StartTask>(arguments.clone())?.into(), arguments).await?;
    Ok(if asked.wants_tasks() { handle(&shown) } else { task(shown, Vec::new()) })
}

/// Starts a task. The arguments as they were sent tell the repetition of a call from another call.
pub(super) async fn submit(
    asked: &Asked,
    request: everloop_api::task::TaskRequest,
    arguments: Option<JsonObject>,
) -> Result<Shown, Refusal> {
    let sent = door::any(&serde_json::to_vec(&arguments.unwrap_or_default()).unwrap_or_default())?;
    let new = crate::call::new_task(request, Some(sent), asked.header_key.clone(), asked.trace.clone());
    Ok(asked.control.submit(&asked.caller, new, None).await?.task)
}

async fn stream(
    asked: &Asked,
    arguments: Option<JsonObject>,
    waiter: &mut Waiter,
) -> Result<CallToolResponse, Refusal> {
    let args = read::<args::StreamTask>(arguments)?;
    let (control, caller) = (&asked.control, &asked.caller);
    let id = control.resolve(caller.tenant, &args.task_id).await?;
    let types = TypeFilter::parse(&args.types.join(","))
        .map_err(|item| Refusal::field("types", format!("{item:?} is no type of event")))?;
    let limit = args.limit.unwrap_or(50);
    if !(1..=limits::PAGE_ITEMS).contains(&limit) {
        return Err(Refusal::field("limit", format!("must be 1 to {}", limits::PAGE_ITEMS)));
    }
    let mut page = control.events(caller, id, args.after, types.clone(), Some(limit)).await?;
    let wait = Duration::from_secs(args.timeout_s).min(super::wait::LONGEST);
    if page.items.is_empty() && !page.finished && !wait.is_zero() {
        let more = async {
            let Some(mut following) = control.follow(caller, id, page.next_after, false).await? else {
                return Ok(());
            };
            loop {
                match following.next().await? {
                    Followed::Events(events) if !events.iter().any(|event| types.matches(&event.kind)) => {}
                    Followed::Frame { .. } => {}
                    Followed::Events(_) | Followed::Notice { .. } | Followed::End => {
                        return Ok::<_, Refusal>(());
                    }
                }
            }
        };
        tokio::select! {
            more = more => more?,
            () = tokio::time::sleep(wait) => {}
            () = waiter.is_gone() => {}
        }
        page = control.events(caller, id, args.after, types, Some(limit)).await?;
    }
    let mut events = Vec::with_capacity(page.items.len());
    for event in &page.items {
        let mut text = String::new();
        everloop_control::write_event(&mut text, event);
        events.push(serde_json::from_str(&text).unwrap_or_default());
    }
    let finished = page.finished && page.next_after >= page.last_seq;
    let list = EventList { events, next_after: page.next_after, last_seq: page.last_seq, finished };
    Ok(structured(&list).into())
}

async fn send(asked: &Asked, args: args::SendInput) -> Result<CallToolResponse, Refusal> {
    let (control, caller) = (&asked.control, &asked.caller);
    let id = control.resolve(caller.tenant, &args.task_id).await?;
    let shown = match (args.input, args.decision) {
        (Some(InputRequest { name, data, id: own }), None) => {
            // A call that is repeated because its answer was lost is one input.
            let own = own.or_else(|| asked.header_key.as_ref().map(|key| format!("mcp:{key}")));
            control.input(caller, id, NewInput { name, data, id: own }).await?.1
        }
        (None, Some(DecisionRequest { id: request, decision, note, result })) => {
            let answer = ApprovalDecision { id: request, decision, note, result };
            control.decide(caller, id, answer).await?
        }
        _ => return Err(Refusal::field("input", "give either `input` or `decision`")),
    };
    Ok(task(shown, Vec::new()))
}

async fn list(asked: &Asked, args: args::ListTasks) -> Result<CallToolResponse, Refusal> {
    let filter = TaskFilter {
        states: args.states,
        kinds: args.kinds,
        labels: args.labels.into_iter().collect(),
        text: args.text,
        ..TaskFilter::default()
    };
    let paging = Paging { limit: args.limit, cursor: args.cursor };
    let page = asked.control.list(&asked.caller, filter, Order::Newest, paging).await?;
    let tasks = page.items.into_iter().map(|shown| TaskAnswer::of(shown, Vec::new())).collect();
    Ok(structured(&TaskList { tasks, next_cursor: page.next_cursor, total: page.total }).into())
}
