//! The OpenAPI document and the page.

use crate::harness::Server;
use serde_json::Value;
use std::collections::BTreeSet;

fn committed() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json")
}

#[expect(clippy::disallowed_methods, reason = "the committed copy is a file")]
#[test]
fn the_committed_document_is_the_one_of_the_routes() {
    let made = everloop_server::openapi_json();
    if std::env::var_os("EVERLOOP_BLESS").is_some() {
        std::fs::write(committed(), &made).unwrap();
    }
    let kept = std::fs::read_to_string(committed()).unwrap_or_default();
    assert!(
        kept == made,
        "docs/openapi.json is not what the routes say: run this test with EVERLOOP_BLESS=1 and look at the difference"
    );
}

/// Every `$ref` in a value.
fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(reference)) = map.get("$ref") {
                found.insert(reference);
            }
            map.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_operation_has_its_own_name() {
    let document: Value = serde_json::from_str(&everloop_server::openapi_json()).unwrap();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.len() > 20);
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
    let mut names = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            assert!(names.insert(operation["operationId"].as_str().unwrap()), "{method} {path}");
            let named: Vec<_> = operation["parameters"]
                .as_array()
                .into_iter()
                .flatten()
                .filter(|p| p["in"] == "path")
                .map(|p| p["name"].as_str().unwrap())
                .collect();
            for name in named {
                assert!(path.contains(&format!("{{{name}}}")), "{method} {path}: {name}");
            }
        }
    }
    assert!(names.len() > 50, "{}", names.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_document_is_served_as_json_yaml_and_a_page_of_its_own() {
    let server = Server::start_idle().await;
    let json = server.get("/api/v1/openapi.json").await;
    assert_eq!((json.status, json.text()), (200, everloop_server::openapi_json()));
    let yaml = server.get("/api/v1/openapi.yaml").await;
    assert!(yaml.text().starts_with("components:\n"), "{}", &yaml.text()[..80]);
    let page = server.get("/api/v1/docs").await;
    let policy = &page.headers["content-security-policy"];
    assert!(policy.contains("script-src 'nonce-req_") && !policy.contains("unsafe"), "{policy}");
    let text = page.text();
    for foreign in ["http://", "https://", "src=", "{{"] {
        assert!(!text.contains(foreign), "{foreign}");
    }
    assert_ne!(server.get("/api/v1/docs").await.text(), text, "a nonce is used once");
}

/// `METHOD /path` in the last column of a row, with `{}` for what stands in braces; "the same" is the column before.
fn mapped(row: &str) -> Vec<(String, String)> {
    let columns: Vec<&str> = row.split('|').map(str::trim).collect();
    let [_, _, older, now, ..] = columns[..] else { return Vec::new() };
    let is_same = now == "the same" || now.starts_with("the same;") || now.starts_with("the same, both");
    let words = if is_same { older } else { now };
    let code = words.split('`').skip(1).step_by(2);
    let calls = code.filter_map(|code| {
        let (method, path) = code.split_once(' ')?;
        let path = path.split('?').next()?.replace(':', "{");
        let parts = path.split('/').map(|part| if part.starts_with('{') { "{}" } else { part });
        ["GET", "POST", "PATCH", "DELETE"]
            .contains(&method)
            .then(|| (method.to_lowercase(), parts.collect::<Vec<_>>().join("/")))
    });
    calls.collect()
}

#[test]
fn the_map_of_older_paths_names_paths_that_are_served() {
    let document: Value = serde_json::from_str(&everloop_server::openapi_json()).unwrap();
    let served: std::collections::BTreeSet<(String, String)> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            let parts = path.split('/').map(|part| if part.starts_with('{') { "{}" } else { part });
            let path = parts.collect::<Vec<_>>().join("/");
            methods.as_object().unwrap().keys().map(move |method| (method.clone(), path.clone()))
        })
        .collect();
    let map = include_str!("../../../../docs/api-map.md");
    let mut found = 0;
    for row in map.lines().filter(|row| row.starts_with("| R-")) {
        for call in mapped(row) {
            assert!(served.contains(&call), "{call:?} of {row}");
            found += 1;
        }
    }
    assert!(found >= 35, "{found}");
}

/// Every path that takes a body is tried with its own example: the shape at least must be right.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_examples_have_the_right_shape() {
    let server = Server::start_idle().await;
    let document: Value = serde_json::from_str(&everloop_server::openapi_json()).unwrap();
    let mut tried = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let Some(example) = operation.pointer("/requestBody/content/application~1json/example") else {
                continue;
            };
            let path = path
                .replace("{id}", "task_01h2xcejqtf2nbrexx3vqjhp41")
                .replace("{worker}", "wkr_01h2xcejqtf2nbrexx3vqjhp41")
                .replace("{n}", "1");
            let headers = [("Everloop-Lease", "0.1.000000000000feed")];
            let answer =
                server.call(&method.to_uppercase(), &path, &headers, example.to_string().as_bytes()).await;
            assert!(
                ![400, 405, 415, 500].contains(&answer.status),
                "{method} {path} {example}: {}",
                answer.text()
            );
            tried += 1;
        }
    }
    assert!(tried > 15, "{tried}");
}
