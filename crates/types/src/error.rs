//! Error codes, their classes, and the error that a task or step ends with.

use crate::json::Json;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What kind of trouble an error is: decides whether trying again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// It may pass: a network, a rate, a restart. Tried again.
    Transient,
    /// Ours, or the executor's own fault. Tried again, because many are races.
    Internal,
    /// The input is wrong, and stays wrong.
    Validation,
    /// Who asks may not.
    Auth,
    /// A quota of the plan is used up.
    Quota,
    /// The budget is used up.
    Budget,
    /// Somebody wanted it to stop.
    Cancelled,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 7] = [
        Self::Transient,
        Self::Internal,
        Self::Validation,
        Self::Auth,
        Self::Quota,
        Self::Budget,
        Self::Cancelled,
    ];

    /// Whether a retry policy spends a try on it.
    pub fn is_retried(self) -> bool {
        match self {
            Self::Transient | Self::Internal => true,
            Self::Validation | Self::Auth | Self::Quota | Self::Budget | Self::Cancelled => false,
        }
    }
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])* $name:ident = $text:literal, $class:ident, $title:literal;)*) => {
        /// A stable error code of ours. Each has a page in `docs/errors/`, which `everloop explain CODE` shows.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[doc = $doc])* $name,)* }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Its snake_case text.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Its class.
            pub fn class(self) -> Class {
                match self { $(Self::$name => Class::$class,)* }
            }

            /// A short title, the same for every occurrence.
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }
        }
    };
}

codes! {
    /// JSON that has no canonical form.
    NotCanonical = "not_canonical", Validation, "The JSON has no canonical form";
    /// A field is missing, unknown, of the wrong type or out of range.
    InvalidRequest = "invalid_request", Validation, "The request is not valid";
    /// No executor or worker has ever offered this kind.
    UnknownKind = "unknown_kind", Validation, "Nothing here runs this kind of task";
    /// A size limit of a request.
    TooLarge = "too_large", Validation, "The request is too large";
    /// A limit of a task.
    LimitReached = "limit_reached", Validation, "The task has reached a limit";
    /// There is no such thing, or it is not the caller's.
    NotFound = "not_found", Validation, "There is nothing here";
    /// The key belonged to a task that was deleted less than 30 days ago.
    TaskDeleted = "task_deleted", Validation, "The task was deleted";
    /// The path exists, the method does not.
    MethodNotAllowed = "method_not_allowed", Validation, "The method is not allowed here";
    /// The body has a media type that this path does not take.
    UnsupportedMediaType = "unsupported_media_type", Validation, "The media type is not supported";
    /// The state of the task does not allow it.
    IllegalTransition = "illegal_transition", Validation, "The state of the task does not allow this";
    /// The same key with another request.
    IdempotencyConflict = "idempotency_conflict", Validation, "The key was used for another request";
    /// The attempt is over, or was never this worker's.
    LeaseLost = "lease_lost", Validation, "The lease is not valid any more";
    /// Somebody decided first.
    AlreadyDecided = "already_decided", Validation, "This was decided already";
    /// The task has no result yet.
    NotFinished = "not_finished", Validation, "The task has not finished";
    /// `If-Match` names another version.
    PreconditionFailed = "precondition_failed", Validation, "The resource has changed";
    /// No key, or a wrong one.
    Unauthorized = "unauthorized", Auth, "An API key is needed";
    /// The key is good, but not for this.
    Forbidden = "forbidden", Auth, "This is not allowed";
    /// Too much at once.
    Overloaded = "overloaded", Transient, "The server has too much to do";
    /// The disk is full.
    StorageFull = "storage_full", Transient, "The disk is full";
    /// The database can't be written or reached.
    StorageUnavailable = "storage_unavailable", Transient, "The database is not available";
    /// The server is stopping.
    ShuttingDown = "shutting_down", Transient, "The server is stopping";
    /// A bug of ours.
    Internal = "internal", Internal, "Something went wrong inside Everloop";
    /// The attempt ran longer than `policy.timeout_ms`.
    Timeout = "timeout", Cancelled, "The attempt took too long";
    /// The task did not end before `policy.deadline`.
    Deadline = "deadline", Cancelled, "The deadline has passed";
    /// A prerequisite did not end as needed.
    DependencyFailed = "dependency_failed", Validation, "A prerequisite failed";
    /// Five attempts in a row were lost without a newly recorded step.
    Poisoned = "poisoned", Internal, "The task kills its workers";
    /// The task was cancelled.
    Cancelled = "cancelled", Cancelled, "The task was cancelled";
    /// The code does not follow the recorded steps.
    Nondeterminism = "nondeterminism", Validation, "The code does not follow the recorded steps";
    /// A step was cut off, and its policy says to fail.
    OutcomeUnknown = "outcome_unknown", Validation, "The outcome of a step is unknown";
    /// An executor panicked.
    ExecutorPanicked = "executor_panicked", Internal, "The executor panicked";
    /// A command ended with a status other than zero.
    ExitStatus = "exit_status", Validation, "The command failed";
    /// A command was ended by a signal.
    ExitSignal = "exit_signal", Transient, "The command was killed";
    /// A command could not be started.
    CommandNotStarted = "command_not_started", Validation, "The command could not be started";
    /// An HTTP request was answered by an error status.
    HttpStatus = "http_status", Validation, "The HTTP server refused the request";
    /// An HTTP request got no answer.
    HttpFailed = "http_failed", Transient, "The HTTP request failed";
    /// The profile does not allow it.
    NotGranted = "not_granted", Auth, "The profile does not grant this";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Code {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.iter().copied().find(|code| code.as_str() == text).ok_or(())
    }
}

/// What a try, a step or a task ended with. Executors choose their own codes; ours are those of [`Code`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskError {
    /// Decides whether it is tried again.
    pub class: Class,
    /// Stable snake_case code.
    pub code: String,
    /// More about it, for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Json>,
    /// What happened, for people.
    pub message: String,
}

impl TaskError {
    /// An error with one of our codes and its class.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { class: code.class(), code: code.as_str().to_owned(), details: None, message: message.into() }
    }

    /// An error with a code of the caller's own.
    pub fn of(class: Class, code: &str, message: impl fmt::Display) -> Self {
        Self { class, code: code.to_owned(), details: None, message: message.to_string() }
    }

    /// One that may pass: it is tried again.
    pub fn transient(code: &str, message: impl fmt::Display) -> Self {
        Self::of(Class::Transient, code, message)
    }

    /// One that stays: it is not tried again.
    pub fn validation(code: &str, message: impl fmt::Display) -> Self {
        Self::of(Class::Validation, code, message)
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for TaskError {}

/// Which field of a request is wrong, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldError {
    /// Path of the field: `policy.retry.max_tries`, `depends_on[2].task`.
    pub field: String,
    /// What is wrong with it and what would be right.
    pub message: String,
}

/// A request that was refused and changed nothing. Every face shows it in its own shape.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Refusal {
    /// The stable code.
    pub code: Code,
    /// What happened to this request.
    pub detail: String,
    /// Wrong fields, when it is about fields.
    pub errors: Vec<FieldError>,
    /// What to do about it.
    pub hint: Option<String>,
    /// How long to wait before trying again, in milliseconds.
    pub retry_after_ms: Option<u64>,
}

impl Refusal {
    /// A refusal without fields or hint.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), errors: Vec::new(), hint: None, retry_after_ms: None }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds when to come again.
    #[must_use]
    pub fn retry_after_ms(mut self, millis: u64) -> Self {
        self.retry_after_ms = Some(millis);
        self
    }

    /// `400 invalid_request` about one field.
    pub fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::fields(vec![FieldError { field: field.into(), message: message.into() }])
    }

    /// `400 invalid_request` about several fields.
    pub fn fields(errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [one] => format!("{}: {}", one.field, one.message),
            many => format!("{} fields are wrong", many.len()),
        };
        Self { errors, ..Self::new(Code::InvalidRequest, detail) }
    }

    /// `404 not_found`.
    pub fn not_found(what: impl fmt::Display) -> Self {
        Self::new(Code::NotFound, format!("there is no {what}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn codes_are_distinct_and_read_back() {
        let texts: HashSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(texts.len(), Code::ALL.len());
        for code in Code::ALL {
            assert_eq!(code.as_str().parse(), Ok(*code));
        }
    }

    #[test]
    fn only_transient_and_internal_errors_are_retried() {
        let retried: Vec<_> = Class::ALL.into_iter().filter(|class| class.is_retried()).collect();
        assert_eq!(retried, [Class::Transient, Class::Internal]);
    }
}
