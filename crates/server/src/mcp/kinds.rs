//! Kinds that are tools of their own: those that were registered with `expose: ["mcp"]`.

use super::answer::TaskAnswer;
use super::handler::Asked;
use super::wait::{USUAL, Waiter};
use super::{ask, schema, tasks, tools};
use everloop_api::task::TaskRequest;
use everloop_control::door;
use everloop_control::kinds::Kind;
use everloop_types::error::Refusal;
use everloop_types::json::Json;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, InputRequiredResult, JsonObject, Tool, ToolAnnotations,
};
use serde_json::{Map, Value, json};
use std::sync::{Arc, LazyLock};

/// The face, in the registration of a kind.
const FACE: &str = "mcp";
/// Where an input goes that is no object, and so can't be the arguments of a tool.
const WRAPPED: &str = "input";

static ANSWER: LazyLock<Arc<JsonObject>> = LazyLock::new(schema::output::<TaskAnswer>);

/// Every one of them, by name. A kind that is called like a tool of ours is none.
///
/// # Errors
/// If the database can't be read.
pub(super) async fn tools(asked: &Asked) -> Result<Vec<Tool>, Refusal> {
    let kinds = asked.control.kinds(&asked.caller).await?;
    Ok(kinds.iter().filter(|kind| is_exposed(kind)).map(tool).collect())
}

fn is_exposed(kind: &Kind) -> bool {
    kind.offer.expose.iter().any(|face| face == FACE) && !tools::is_ours(&kind.name)
}

fn read(schema: Option<&Json>) -> Option<Value> {
    schema.and_then(|schema| schema.parse().ok())
}

/// Whether the input of a kind has to stand in a field of its own.
fn is_wrapped(kind: &Kind) -> bool {
    read(kind.offer.input_schema.as_ref()).is_some_and(|schema| schema["type"] != "object")
}

fn tool(kind: &Kind) -> Tool {
    let mut takes = read(kind.offer.input_schema.as_ref()).unwrap_or_else(|| json!({"type": "object"}));
    if is_wrapped(kind) {
        takes = json!({"type": "object", "properties": {WRAPPED: takes}, "required": [WRAPPED]});
    }
    let mut gives = ANSWER.as_ref().clone();
    if let (Some(result), Some(Value::Object(properties))) =
        (read(kind.offer.output_schema.as_ref()), gives.get_mut("properties"))
    {
        properties.insert("result".to_owned(), result);
    }
    let about = kind.offer.about.as_deref().unwrap_or("A kind of task.");
    let about = format!(
        "{about}\n\nRuns as a durable task: the answer has its handle, task_id. Where it is not completed yet, go on with \
         wait_task."
    );
    // What it does to the world, nobody has said.
    let hints = ToolAnnotations::new().read_only(false);
    let takes = match takes {
        Value::Object(takes) => takes,
        _ => Map::new(),
    };
    Tool::new(kind.name.clone(), about, takes).with_annotations(hints).with_raw_output_schema(Arc::new(gives))
}

/// Runs a task of a kind and waits for it a while; none if there is no such tool.
///
/// # Errors
/// Whatever is refused.
pub(super) async fn call(
    asked: &Asked,
    request: CallToolRequestParams,
    waiter: &mut Waiter,
) -> Result<Option<CallToolResponse>, Refusal> {
    let (control, caller) = (&asked.control, &asked.caller);
    let kinds = control.kinds(caller).await?;
    let Some(kind) = kinds.iter().find(|kind| kind.name == request.name && is_exposed(kind)) else {
        return Ok(None);
    };
    // The second round of a call goes on with the task of the first. Its id is no secret and gives no right.
    let shown = match &request.request_state {
        Some(handle) => {
            let shown = control.get(caller, tasks::id(handle)?).await?;
            if shown.task().spec.kind != kind.name {
                return Err(Refusal::field("requestState", "belongs to another call"));
            }
            shown
        }
        None => {
            let arguments = request.arguments.clone().unwrap_or_default();
            let input = match is_wrapped(kind) {
                true => arguments.get(WRAPPED).cloned().unwrap_or_default(),
                false => Value::Object(arguments),
            };
            let mut task = TaskRequest::new(kind.name.clone());
            task.input = Some(door::any(input.to_string().as_bytes())?);
            tools::submit(asked, task, request.arguments).await?
        }
    };
    if asked.wants_tasks() {
        return Ok(Some(tools::handle(&shown)));
    }
    let id = shown.task().id;
    if let Some(responses) = &request.input_responses {
        let open = control.questions(caller, id).await?;
        ask::answer(control, caller, id, &open, responses).await?;
    }
    let (shown, questions) = waiter.wait(control, caller, id, USUAL).await?;
    let requests = ask::to_ask(asked, &questions, request.input_responses.as_ref());
    if !requests.is_empty() {
        return Ok(Some(InputRequiredResult::new(Some(requests), Some(id.to_string())).into()));
    }
    Ok(Some(tasks::result(shown, questions).into()))
}
