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

/// Where a schema keeps what it refers to.
const DEFS: &str = "$defs";

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
        let is_required = !takes_null(&takes);
        let mut outer = json!({"type": "object"});
        put(&mut outer, WRAPPED, takes);
        if is_required {
            outer["required"] = json!([WRAPPED]);
        }
        takes = outer;
    }
    let mut gives = Value::Object(ANSWER.as_ref().clone());
    if let Some(result) = read(kind.offer.output_schema.as_ref()) {
        put(&mut gives, "result", result);
    }
    let about = kind.offer.about.as_deref().unwrap_or("A kind of task.");
    let about = format!(
        "{about}\n\nRuns as a durable task: the answer has its handle, task_id. Where it is not completed yet, go on with \
         wait_task."
    );
    // What it does to the world, nobody has said.
    let hints = ToolAnnotations::new().read_only(false);
    let object = |schema| match schema {
        Value::Object(members) => members,
        _ => Map::new(),
    };
    let gives = Arc::new(object(gives));
    Tool::new(kind.name.clone(), about, object(takes)).with_annotations(hints).with_raw_output_schema(gives)
}

/// Whether a schema says in so many words that null will do.
fn takes_null(schema: &Value) -> bool {
    let is_null = |kind: &Value| kind == "null";
    let types = schema["type"].as_array().is_some_and(|types| types.iter().any(is_null));
    let choices = schema["anyOf"].as_array().is_some_and(|any| any.iter().any(|one| is_null(&one["type"])));
    types || choices || is_null(&schema["type"])
}

/// Makes a schema that of a property of another one. What it refers to moves with it: references begin at the root. One that
/// would then refer to something else says nothing.
fn put(outer: &mut Value, property: &str, mut schema: Value) {
    let defs = schema.as_object_mut().and_then(|schema| schema.remove(DEFS)).unwrap_or_default();
    let defs = defs.as_object().cloned().unwrap_or_default();
    let taken = defs.keys().any(|name| outer[DEFS].get(name).is_some());
    if taken || schema.to_string().contains(r##""$ref":"#""##) {
        schema = json!({});
    } else {
        for (name, def) in defs {
            outer[DEFS][name] = def;
        }
    }
    outer["properties"][property] = schema;
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

#[cfg(test)]
mod tests {
    use super::*;
    use everloop_types::worker::KindOffer;

    fn shown(input: &Value, output: &Value) -> (Value, Value) {
        let schema = |schema: &Value| Json::from_canonical(schema.to_string()).ok();
        let offer = KindOffer {
            input_schema: schema(input),
            output_schema: schema(output),
            ..KindOffer::new("order")
        };
        let kind = Kind { name: "order".to_owned(), offer, ..Kind::default() };
        let tool = serde_json::to_value(tool(&kind)).unwrap();
        (tool["inputSchema"].clone(), tool["outputSchema"].clone())
    }

    #[test]
    fn references_of_a_schema_still_lead_where_they_led() {
        let order = json!({"type": "object", "properties": {"n": {"type": "integer"}}});
        let either =
            json!({"anyOf": [{"$ref": "#/$defs/Order"}, {"type": "null"}], "$defs": {"Order": order}});
        let (takes, gives) = shown(&either, &either);
        assert_eq!(takes["$defs"]["Order"], order);
        assert_eq!(takes["properties"]["input"]["anyOf"], either["anyOf"]);
        assert_eq!(takes.get("required"), None, "nothing will do");
        assert_eq!(gives["$defs"]["Order"], order);
        assert_eq!(gives["properties"]["result"]["anyOf"], either["anyOf"]);
        let (takes, _) = shown(&json!({"type": "string"}), &json!({}));
        assert_eq!(takes["required"], json!(["input"]));
        let (_, gives) = shown(&order, &json!({"items": {"$ref": "#"}, "type": "array"}));
        assert_eq!(gives["properties"]["result"], json!({}), "its root is not the root any more");
    }
}
