//! The kind `mock`: scripted steps, events, delays and failures. The yardstick of tests and benches.

use crate::refusal;
use everloop_types::error::{Class, Refusal, TaskError};
use everloop_types::json::Json;
use everloop_types::task::TaskSpec;
use everloop_types::worker::KindOffer;
use everloop_worker::context::Context;
use everloop_worker::executor::{Executor, Stop};
use futures_util::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The longest that one step may last: an hour.
const MAX_STEP_MS: u64 = 3_600_000;
/// Events that one step may write.
const MAX_EVENTS: u32 = 10_000;

/// The script: every part may be left out.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Script {
    /// Steps, in order.
    pub steps: Vec<MockStep>,
    /// What the task ends with.
    #[schemars(with = "Option<serde_json::Value>")]
    pub result: Option<Json>,
    /// After the steps, the task waits for an input of this name.
    pub wait_for_input: Option<String>,
}

/// One step of a script.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MockStep {
    /// Its name; `step` when not given.
    pub name: Option<String>,
    /// How long it lasts, in milliseconds.
    pub duration_ms: u64,
    /// How many `custom.mock` events it writes.
    pub events: u32,
    /// What it gives.
    #[schemars(with = "Option<serde_json::Value>")]
    pub result: Option<Json>,
    /// In how many tries of the task it fails first.
    pub fail_attempts: u32,
    /// The class of that failure; `transient` when not given.
    #[schemars(with = "Option<String>")]
    pub error_class: Option<Class>,
}

/// Runs scripts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mock;

impl Executor for Mock {
    fn offer(&self) -> KindOffer {
        // A task without an input has an empty script.
        crate::offer::<Option<Script>>("mock")
    }

    fn about(&self) -> &str {
        "runs a script of steps, delays, events and failures: for tests, demos and benches"
    }

    fn check(&self, spec: &TaskSpec) -> Result<(), Refusal> {
        let Some(input) = spec.input.as_ref().filter(|input| !input.is_null()) else { return Ok(()) };
        let script: Script = input.parse().map_err(|error| {
            Refusal::field("input", format!("not a script: {}", error.to_string().trim_end_matches('.')))
        })?;
        let mut wrong = Vec::new();
        for (i, step) in script.steps.iter().enumerate() {
            let mut refuse =
                |field: &str, why: String| wrong.push((format!("input.steps[{i}].{field}"), why));
            if step.duration_ms > MAX_STEP_MS {
                refuse("duration_ms", format!("at most {MAX_STEP_MS}"));
            }
            if step.events > MAX_EVENTS {
                refuse("events", format!("at most {MAX_EVENTS}"));
            }
            if step.name.as_ref().is_some_and(|name| name.is_empty() || name.len() > 64) {
                refuse("name", "1 to 64 characters".to_owned());
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(refusal(wrong)) }
    }

    fn run(&self, context: Context) -> BoxFuture<'_, Result<Json, Stop>> {
        Box::pin(run(context))
    }
}

#[derive(Serialize)]
struct MockEvent<'a> {
    n: u32,
    step: &'a str,
}

async fn run(context: Context) -> Result<Json, Stop> {
    let script: Script = if context.input().is_null() { Script::default() } else { context.input_as()? };
    for step in &script.steps {
        let name = step.name.as_deref().unwrap_or("step");
        let tries = context.assignment().tries;
        let work = async {
            let until = tokio::time::Instant::now() + Duration::from_millis(step.duration_ms);
            for n in 1..=step.events {
                let share = Duration::from_millis(step.duration_ms) / step.events;
                tokio::time::sleep(share).await;
                context.custom("mock", &MockEvent { n, step: name }).map_err(|_| internal())?;
            }
            if step.duration_ms > 0 {
                tokio::time::sleep_until(until).await;
            }
            if tries < step.fail_attempts {
                return Err(TaskError {
                    class: step.error_class.unwrap_or(Class::Transient),
                    code: "mock_failure".to_owned(),
                    details: None,
                    message: format!(
                        "step {name} fails in its first {} tries; this is try {}",
                        step.fail_attempts,
                        tries + 1
                    ),
                });
            }
            Ok(step.result.clone().unwrap_or_default())
        };
        tokio::select! {
            done = context.step(name).kind("mock").run::<Json, _>(work) => { done?; }
            _ = context.stopped() => { context.boundary()?; }
        }
    }
    let input = match &script.wait_for_input {
        Some(name) => Some(context.wait_input(name).await?),
        None => None,
    };
    Ok(script.result.or(input).unwrap_or_default())
}

fn internal() -> TaskError {
    TaskError::new(everloop_types::error::Code::Internal, "a mock event could not be written")
}
