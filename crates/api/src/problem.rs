//! Errors: RFC 9457 problems, and the table from codes to HTTP.

use everloop_types::error::{Class, Code, FieldError, Refusal};
use everloop_types::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The media type of a problem.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// The HTTP status that a refusal with this code has.
pub fn status(code: Code) -> u16 {
    match code {
        Code::NotCanonical | Code::InvalidRequest | Code::UnknownKind => 400,
        Code::Unauthorized => 401,
        Code::Forbidden | Code::NotGranted => 403,
        Code::NotFound => 404,
        Code::MethodNotAllowed => 405,
        Code::LimitReached
        | Code::IllegalTransition
        | Code::IdempotencyConflict
        | Code::LeaseLost
        | Code::AlreadyDecided
        | Code::NotFinished
        | Code::DependencyFailed
        | Code::Nondeterminism
        | Code::OutcomeUnknown
        | Code::Poisoned
        | Code::Cancelled
        | Code::Timeout
        | Code::Deadline => 409,
        Code::TaskDeleted => 410,
        Code::PreconditionFailed => 412,
        Code::TooLarge => 413,
        Code::UnsupportedMediaType => 415,
        Code::ExitStatus
        | Code::ExitSignal
        | Code::CommandNotStarted
        | Code::HttpStatus
        | Code::HttpFailed => 422,
        Code::Overloaded | Code::StorageFull | Code::StorageUnavailable | Code::ShuttingDown => 503,
        Code::Internal | Code::ExecutorPanicked => 500,
    }
}

/// The JSON-RPC error that a refusal with this code has, where the protocol leaves no other shape for it.
pub fn json_rpc(code: Code) -> i32 {
    match status(code) {
        401 | 403 => -32600,
        400..=499 => -32602,
        _ => -32603,
    }
}

/// The name that agents know a code by, over MCP: `ADAPTER_TIMEOUT`, `RATE_LIMIT`. Codes without a name of their own are
/// written in capitals.
pub fn agent_code(code: &str) -> String {
    let known = match code.parse() {
        Ok(Code::Timeout) => "ADAPTER_TIMEOUT",
        Ok(Code::ExecutorPanicked) => "ADAPTER_CRASHED",
        Ok(Code::UnknownKind) => "UNKNOWN_ADAPTER",
        Ok(Code::Overloaded) => "RATE_LIMIT",
        Ok(Code::LimitReached) => "QUOTA_EXCEEDED",
        Ok(Code::NotGranted) => "PERMISSION_DENIED",
        Ok(Code::NotFound) => "TASK_NOT_FOUND",
        _ => return code.to_ascii_uppercase(),
    };
    known.to_owned()
}

/// Which field is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProblemField {
    /// Path of the field: `policy.retry.max_tries`.
    pub field: String,
    /// What is wrong with it and what would be right.
    pub message: String,
}

/// Why a request was refused, as `application/problem+json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// Where the code is explained.
    pub r#type: String,
    /// What this code means, the same for every occurrence.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened to this request.
    pub detail: String,
    /// Stable snake_case code.
    pub code: String,
    /// What kind of trouble it is.
    #[schemars(with = "crate::schema::Class")]
    pub class: Class,
    /// Wrong fields, where it is about fields.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<ProblemField>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Names this request in the server's log.
    pub request_id: String,
    /// When.
    #[schemars(with = "crate::schema::Timestamp")]
    pub timestamp: Timestamp,
}

impl Problem {
    /// The problem that a refusal is.
    pub fn new(refusal: Refusal, request: &str, now: Timestamp) -> Self {
        let field = |error: FieldError| ProblemField { field: error.field, message: error.message };
        Self {
            r#type: format!("{}/docs#{}", crate::BASE, refusal.code),
            title: refusal.code.title().to_owned(),
            status: status(refusal.code),
            detail: refusal.detail,
            code: refusal.code.as_str().to_owned(),
            class: refusal.code.class(),
            errors: refusal.errors.into_iter().map(field).collect(),
            hint: refusal.hint,
            request_id: request.to_owned(),
            timestamp: now,
        }
    }

    /// The refusal that this is, for a client. A code of a newer server counts as `internal`.
    pub fn into_refusal(self, retry_after_ms: Option<u64>) -> Refusal {
        let field = |error: ProblemField| FieldError { field: error.field, message: error.message };
        Refusal {
            code: self.code.parse().unwrap_or(Code::Internal),
            detail: self.detail,
            errors: self.errors.into_iter().map(field).collect(),
            hint: self.hint,
            retry_after_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_json_rpc_error_and_a_name_of_its_own_for_agents() {
        let names: std::collections::HashSet<String> =
            Code::ALL.iter().map(|code| agent_code(code.as_str())).collect();
        assert_eq!(names.len(), Code::ALL.len());
        for code in Code::ALL {
            let name = agent_code(code.as_str());
            assert!(name.bytes().all(|c| c.is_ascii_uppercase() || c == b'_'), "{name}");
            assert!([-32600, -32602, -32603].contains(&json_rpc(*code)), "{code}");
            assert_eq!(json_rpc(*code) == -32603, status(*code) >= 500, "{code}");
        }
        assert_eq!(agent_code("timeout"), "ADAPTER_TIMEOUT");
        assert_eq!(agent_code("overloaded"), "RATE_LIMIT");
        assert_eq!(agent_code("an_executors_own"), "AN_EXECUTORS_OWN");
    }

    #[test]
    fn every_refusal_is_a_client_or_server_error_and_reads_back() {
        for code in Code::ALL {
            assert!((400..600).contains(&status(*code)), "{code}");
            let mut refusal = Refusal::field("policy.retry.max_tries", "must be at least 1").hint("say 3");
            refusal.code = *code;
            let problem = Problem::new(refusal.clone(), "req_1", Timestamp::from_micros(0));
            let read: Problem = serde_json::from_str(&serde_json::to_string(&problem).unwrap()).unwrap();
            assert_eq!(read.into_refusal(None), refusal);
        }
    }
}
