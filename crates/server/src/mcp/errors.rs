//! Refusals in the shapes of MCP. The codes come from the one table in `everloop_api::problem`.
//!
//! What a tool can't do is a result with `isError`, so that the model reads it and can do better; what a method of the
//! protocol can't do is a JSON-RPC error.

use everloop_api::problem::{agent_code, json_rpc};
use everloop_types::error::{Refusal, TaskError};
use rmcp::ErrorData;
use rmcp::model::{CallToolResult, ContentBlock, ErrorCode};
use serde_json::{Value, json};

/// What is said about a refusal, in either shape.
fn said(refusal: &Refusal) -> Value {
    let mut said = json!({
        "code": agent_code(refusal.code.as_str()),
        "class": refusal.code.class(),
        "message": refusal.detail,
    });
    if let Some(hint) = &refusal.hint {
        said["hint"] = json!(hint);
    }
    if !refusal.errors.is_empty() {
        said["fields"] = json!(refusal.errors);
    }
    if let Some(millis) = refusal.retry_after_ms {
        said["retry_after_ms"] = json!(millis);
    }
    said
}

/// The result of a tool that refused.
///
/// It has no structured content: clients hold that against the schema of what the tool gives when all is well.
pub(super) fn tool(refusal: &Refusal) -> CallToolResult {
    CallToolResult::error(vec![ContentBlock::text(json!({"error": said(refusal)}).to_string())])
}

/// The error of a method of the protocol.
pub(super) fn rpc(refusal: &Refusal) -> ErrorData {
    ErrorData::new(ErrorCode(json_rpc(refusal.code)), refusal.detail.clone(), Some(said(refusal)))
}

/// The error of a task that broke down, as a JSON-RPC error object.
pub(super) fn broken(error: &TaskError) -> Value {
    let data = json!({"code": agent_code(&error.code), "class": error.class});
    json!({"code": ErrorCode::INTERNAL_ERROR, "message": error.message, "data": data})
}

#[cfg(test)]
mod tests {
    use super::*;
    use everloop_types::error::Code;

    #[test]
    fn each_refusal_gives_its_code_in_both_shapes() {
        for code in Code::ALL {
            let refusal = Refusal { code: *code, ..Refusal::field("kind", "is required").hint("say one") };
            let expected = agent_code(code.as_str());
            let result = serde_json::to_value(tool(&refusal)).unwrap();
            assert_eq!(result["isError"], true);
            assert!(result.get("structuredContent").is_none(), "{result}");
            let text: Value = serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
            assert_eq!(text["error"]["code"], expected);
            assert_eq!(text["error"]["fields"][0]["field"], "kind");
            let error = rpc(&refusal);
            assert_eq!(error.code.0, json_rpc(*code));
            assert_eq!(error.data.unwrap()["code"], expected);
        }
    }
}
