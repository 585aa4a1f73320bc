//! What a task asks of a person, as MCP asks it: elicitation.

use super::handler::Asked;
use everloop_control::acts::NewInput;
use everloop_control::inbox::{Item, Want};
use everloop_control::{Caller, Control, door};
use everloop_types::error::{Code, Refusal};
use everloop_types::event::ApprovalDecision;
use everloop_types::id::TaskId;
use everloop_types::json::Json;
use rmcp::model::{InputRequest, InputRequests, InputResponses};
use serde_json::{Map, Value, json};

/// The questions that are open, by the step keys of their waits: those are unique in the life of a task.
pub(super) fn requests(items: &[Item]) -> InputRequests {
    let request = |item: &Item| {
        let params = json!({"mode": "form", "message": message(item), "requestedSchema": form(item)?});
        let request = json!({"method": "elicitation/create", "params": params});
        Some((item.step.clone(), serde_json::from_value::<InputRequest>(request).ok()?))
    };
    items.iter().filter_map(request).collect()
}

fn message(item: &Item) -> String {
    let about = item.title.as_deref().unwrap_or(&item.kind);
    let mut text = match (&item.prompt, item.want) {
        (Some(prompt), _) => prompt.clone(),
        (None, Want::Decision) => format!("{about}: a decision is needed"),
        (None, Want::Input | Want::Repair) => format!("{about} waits for {:?}", item.id),
    };
    if let Some(details) = &item.details {
        text.push_str("\n\n");
        text.push_str(details.as_str());
    }
    text
}

/// The form to fill in; none where a form can't help.
fn form(item: &Item) -> Option<Value> {
    let (properties, required) = match item.want {
        Want::Decision => {
            let mut decision = json!({"type": "string", "title": "Decision"});
            if !item.choices.is_empty() {
                decision["enum"] = json!(item.choices);
            }
            (json!({"decision": decision, "note": {"type": "string", "title": "Why"}}), "decision")
        }
        Want::Input => {
            let about = "Text. A JSON object or array is taken as such.";
            (json!({"value": {"type": "string", "title": item.id, "description": about}}), "value")
        }
        Want::Repair => return None,
    };
    Some(json!({"type": "object", "properties": properties, "required": [required]}))
}

/// Passes answers on to the task. Those to questions that are not open, or not any more, are left aside, as are refusals to
/// answer: the question stays open for somebody else.
///
/// # Errors
/// `invalid_request` for an answer that does not fit its question.
pub(super) async fn answer(
    control: &Control,
    caller: &Caller,
    task: TaskId,
    items: &[Item],
    responses: &InputResponses,
) -> Result<(), Refusal> {
    for (step, response) in responses {
        let Some(item) = items.iter().find(|item| item.step == *step) else { continue };
        if !accepts(response) {
            continue;
        }
        let empty = Map::new();
        let content = response.get("content").and_then(Value::as_object).unwrap_or(&empty);
        let done = match item.want {
            Want::Decision => {
                let text = |name: &str| content.get(name).and_then(Value::as_str).map(str::to_owned);
                let decision = text("decision").ok_or_else(|| {
                    Refusal::field(format!("inputResponses.{step}.content.decision"), "is required, as text")
                })?;
                let decided =
                    ApprovalDecision { id: item.id.clone(), decision, note: text("note"), result: None };
                control.decide(caller, task, decided).await.map(|_| ())
            }
            Want::Input => {
                // Its own id makes the same answer, sent twice, one input.
                let input =
                    NewInput { name: item.id.clone(), data: data(content)?, id: Some(format!("mcp:{step}")) };
                control.input(caller, task, input).await.map(|_| ())
            }
            Want::Repair => Ok(()),
        };
        match done {
            Err(refusal) if !is_late(refusal.code) => return Err(refusal),
            _ => {}
        }
    }
    Ok(())
}

fn accepts(response: &Value) -> bool {
    response.get("action").and_then(Value::as_str) == Some("accept")
}

/// What a client that can ask a person shall ask: all but what that person has turned down.
pub(super) fn to_ask(asked: &Asked, items: &[Item], responses: Option<&InputResponses>) -> InputRequests {
    if !asked.can_ask() {
        return InputRequests::new();
    }
    let declined = |step: &String| {
        responses.and_then(|given| given.get(step)).is_some_and(|response| !accepts(response))
    };
    let mut requests = requests(items);
    requests.retain(|step, _| !declined(step));
    requests
}

/// Whether an answer came after another, or after the task's end.
fn is_late(code: Code) -> bool {
    matches!(code, Code::AlreadyDecided | Code::IdempotencyConflict | Code::IllegalTransition)
}

/// What was filled in: the value of our own form, or all fields of another.
fn data(content: &Map<String, Value>) -> Result<Json, Refusal> {
    let value = match (content.len(), content.get("value")) {
        (1, Some(Value::String(text))) => match serde_json::from_str::<Value>(text) {
            Ok(value) if value.is_object() || value.is_array() => value,
            _ => Value::String(text.clone()),
        },
        (1, Some(value)) => value.clone(),
        _ => Value::Object(content.clone()),
    };
    door::any(value.to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_filled_in_is_the_value_of_our_form_or_the_whole_of_another() {
        for (content, expected) in [
            (json!({"value": "yes"}), r#""yes""#),
            (json!({"value": "42"}), r#""42""#),
            (json!({"value": "{\"b\": 1, \"a\": 2}"}), r#"{"a":2,"b":1}"#),
            (json!({"value": true}), "true"),
            (json!({"value": 1, "more": 2}), r#"{"more":2,"value":1}"#),
            (json!({"confirm": true}), r#"{"confirm":true}"#),
            (json!({}), "{}"),
        ] {
            assert_eq!(data(content.as_object().unwrap()).unwrap().as_str(), expected);
        }
    }
}
