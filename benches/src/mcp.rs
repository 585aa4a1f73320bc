//! The same call over MCP and over REST, in turns: what the protocol costs.

use crate::load::{Connection, block_on, load, request};
use crate::report::{Figure, Row};
use anyhow::Context as _;
use std::time::Duration;

/// Calls at once.
const AT_ONCE: usize = 16;
/// Turns of each: what else the machine does falls on both.
const TURNS: u32 = 3;

/// A call of a tool, as a client of the newest revision sends it.
fn call(tool: &str, arguments: &str) -> Vec<u8> {
    let meta = r#"{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}","arguments":{arguments},"_meta":{meta}}}}}"#
    );
    let headers = format!(
        "accept: application/json, text/event-stream\r\nmcp-protocol-version: 2026-07-28\r\nmcp-method: tools/call\r\nmcp-name: {tool}\r\n"
    );
    request("POST", "/mcp", &headers, &body)
}

/// Starting a task and looking at one, by both ways; the figures are the ratios of the medians.
pub(crate) fn beside_rest(
    address: &str,
    time: Duration,
    rows: &mut Vec<Row>,
    figures: &mut Vec<Figure>,
) -> anyhow::Result<()> {
    let new = r#"{"kind":"mock","input":{"result":42}}"#;
    let id = block_on(async {
        let mut connection = Connection::open(address).await?;
        let task = connection.json("POST", "/api/v1/tasks?wait=30s", "", new).await?;
        Ok(task["id"].as_str().context("no id")?.to_owned())
    })?;
    let handle = format!(r#"{{"task_id":"{id}"}}"#);
    for (what, rest, mcp) in [
        ("start a task", request("POST", "/api/v1/tasks", "", new), call("start_task", new)),
        (
            "look at a task",
            request("GET", &format!("/api/v1/tasks/{id}"), "", ""),
            call("get_task_status", &handle),
        ),
    ] {
        let mut medians = [Vec::new(), Vec::new()];
        for turn in 1..=TURNS {
            for (way, (name, bytes)) in [("REST", &rest), ("MCP", &mcp)].into_iter().enumerate() {
                let bytes = bytes.clone();
                let name = format!("{what} over {name}, turn {turn}");
                let row = block_on(load(
                    &name,
                    address,
                    time,
                    AT_ONCE,
                    move |_| bytes.clone(),
                    &Default::default(),
                ))?;
                medians[way].push(row.p50_ms);
                super::tell(rows, row);
            }
        }
        let mean = |medians: &[f64]| medians.iter().sum::<f64>() / f64::from(TURNS);
        let ratio = mean(&medians[1]) / mean(&medians[0]);
        let name = format!("{what}: a call over MCP");
        figures.push(Figure::new(&name, ratio, "calls over REST", "at most 2"));
    }
    Ok(())
}
