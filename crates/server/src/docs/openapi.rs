//! The OpenAPI 3.1 document, made of the table of routes.

use crate::answer;
use crate::route::{Param, Payload, Route, SchemaOf};
use everloop_api::LEASE_HEADER;
use everloop_api::problem::{self, Problem};
use everloop_types::error::Code;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Codes that every route can refuse with.
const ALWAYS: &[Code] = &[
    Code::InvalidRequest,
    Code::Unauthorized,
    Code::Forbidden,
    Code::Overloaded,
    Code::StorageUnavailable,
    Code::Internal,
];

/// What the groups of routes are about, in their order.
const TAGS: &[(&str, &str)] = &[
    ("tasks", "Durable units of work: submit, watch, stop, resume."),
    ("streams", "The events of tasks, from any point, live."),
    ("history", "What happened to a task, in the shapes in which people ask for it."),
    ("inbox", "Everything that waits for a person."),
    ("queues", "Where tasks wait for workers."),
    ("kinds", "What can be done."),
    ("workers", "Who does it."),
    ("worker protocol", "How a worker in any language claims tasks and writes their events."),
    ("blobs", "Values that are too large for an event."),
    ("server", "Health, figures, public keys."),
    ("docs", "This document."),
];

/// The document.
pub(super) fn document(routes: &[Route]) -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    let problem = generator.subschema_for::<Problem>();
    for route in routes {
        let operation = operation(route, &mut generator, problem.as_value());
        paths.entry(route.full_path()).or_default().insert(route.method.to_owned(), operation);
    }
    let tags: Vec<Value> =
        TAGS.iter().map(|(name, what)| json!({"name": name, "description": what})).collect();
    let schemas = generator.take_definitions(true);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Everloop",
            "version": "1",
            "summary": "The durable runtime and control plane for AI agents.",
            "description": description(),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"key": []}, {}],
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "An API key, `evl_…`. Not needed in dev mode."}},
        },
    })
}

fn description() -> String {
    let mut text = String::from(
        "Every error is an RFC 9457 problem with a stable `code`. Unknown fields and parameters are refused by name. \
         Wherever a path takes the id of a task it takes `key:` and its key, too. Lists have an opaque cursor.\n\n\
         | code | status | meaning |\n|---|---|---|\n",
    );
    for code in Code::ALL {
        text.push_str(&format!("| `{code}` | {} | {} |\n", problem::status(*code), code.title()));
    }
    text
}

fn schema(generator: &mut SchemaGenerator, of: SchemaOf) -> Value {
    of(generator).to_value()
}

fn parameter(place: &str, param: &Param, required: bool) -> Value {
    json!({
        "name": param.name,
        "in": place,
        "required": required,
        "description": param.what,
        "schema": param.schema,
    })
}

/// The names between braces.
fn path_names(path: &str) -> impl Iterator<Item = &str> {
    path.split('{').skip(1).filter_map(|rest| rest.split('}').next())
}

fn operation(route: &Route, generator: &mut SchemaGenerator, problem: &Value) -> Value {
    let mut parameters: Vec<Value> = path_names(route.path)
        .map(|name| {
            let text = json!({"type": "string"});
            let (what, schema) = match name {
                "id" => ("Id of the task, or `key:` and its key.", text),
                "n" => ("Number of the attempt.", json!({"type": "integer", "minimum": 0})),
                "worker" => ("Id of the worker.", text),
                "blob" => ("Id of the blob.", text),
                _ => ("Its name.", json!({"type": "string", "pattern": "^[a-z0-9][a-z0-9._-]{0,63}$"})),
            };
            json!({"name": name, "in": "path", "required": true, "description": what, "schema": schema})
        })
        .collect();
    parameters.extend(route.params.iter().map(|param| parameter("query", param, false)));
    let lease = |param: &Param| param.name == LEASE_HEADER;
    // OpenAPI leaves Accept and Content-Type to the content of requests and answers.
    let headers = route.headers.iter().filter(|param| !matches!(param.name, "Accept" | "Content-Type"));
    parameters.extend(headers.map(|param| parameter("header", param, lease(param))));
    let mut operation = json!({
        "operationId": route.name,
        "tags": [route.tag],
        "summary": route.what,
        "responses": responses(route, generator, problem),
    });
    if !parameters.is_empty() {
        operation["parameters"] = Value::Array(parameters);
    }
    match &route.payload {
        Payload::Nothing => {}
        Payload::Json { schema: of, optional, example } => {
            let example: Value = serde_json::from_str(example).unwrap_or_default();
            operation["requestBody"] = json!({
                "required": !optional,
                "content": {"application/json": {"schema": schema(generator, *of), "example": example}},
            });
        }
        Payload::Raw => {
            operation["requestBody"] = json!({"required": false, "content": {"*/*": {}}});
        }
    }
    operation
}

fn responses(route: &Route, generator: &mut SchemaGenerator, problem: &Value) -> Value {
    let mut responses: BTreeMap<String, Value> = BTreeMap::new();
    for answer in &route.answers {
        let entry =
            responses.entry(answer.status.to_string()).or_insert_with(|| json!({"description": answer.what}));
        if !answer.media_type.is_empty() {
            let content = match answer.schema {
                Some(of) => json!({"schema": schema(generator, of)}),
                None if answer.media_type.starts_with("text/") => json!({"schema": {"type": "string"}}),
                None => json!({}),
            };
            if entry.get("content").is_none() {
                entry["content"] = json!({});
            } else {
                let description =
                    format!("{} {}", entry["description"].as_str().unwrap_or_default(), answer.what);
                entry["description"] = Value::String(description);
            }
            entry["content"][answer.media_type] = content;
        }
    }
    let (param, linked) = route.links;
    for name in linked {
        for (status, entry) in &mut responses {
            if status.starts_with("20") {
                entry["links"][name] =
                    json!({"operationId": name, "parameters": {param: "$response.body#/id"}});
            }
        }
    }
    let mut refusals: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
    for code in ALWAYS.iter().chain(&route.refusals) {
        let codes = refusals.entry(answer::status(*code).as_u16()).or_default();
        if !codes.contains(&code.as_str()) {
            codes.push(code.as_str());
        }
    }
    // A path may name a task by its key, and the key outlives the task.
    if route.path.contains("{id}") {
        refusals
            .entry(answer::status(Code::TaskDeleted).as_u16())
            .or_default()
            .push(Code::TaskDeleted.as_str());
    }
    if !matches!(route.payload, Payload::Nothing) {
        for code in [Code::NotCanonical, Code::TooLarge, Code::UnsupportedMediaType] {
            let codes = refusals.entry(answer::status(code).as_u16()).or_default();
            if !codes.contains(&code.as_str()) {
                codes.push(code.as_str());
            }
        }
    }
    for (status, codes) in refusals {
        let listed = codes.iter().map(|code| format!("`{code}`")).collect::<Vec<_>>().join(", ");
        responses.entry(status.to_string()).or_insert_with(|| {
            json!({"description": format!("Refused: {listed}."), "content": {problem::MEDIA_TYPE: {"schema": problem}}})
        });
    }
    json!(responses)
}
