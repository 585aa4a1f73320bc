//! `everloop explain`: the page of an error code, the table of limits, the line of a kind.

use super::args::ExplainArgs;
use crate::config::closest;
use crate::failure::{Exit, Failure, Outcome};
use crate::output;
use everloop_types::limits;

/// The pages of `docs/errors/`, by code.
const PAGES: &[(&str, &str)] = &[
    ("already_decided", include_str!("../../../../docs/errors/already_decided.md")),
    ("cancelled", include_str!("../../../../docs/errors/cancelled.md")),
    ("command_not_started", include_str!("../../../../docs/errors/command_not_started.md")),
    ("deadline", include_str!("../../../../docs/errors/deadline.md")),
    ("dependency_failed", include_str!("../../../../docs/errors/dependency_failed.md")),
    ("executor_panicked", include_str!("../../../../docs/errors/executor_panicked.md")),
    ("exit_signal", include_str!("../../../../docs/errors/exit_signal.md")),
    ("exit_status", include_str!("../../../../docs/errors/exit_status.md")),
    ("forbidden", include_str!("../../../../docs/errors/forbidden.md")),
    ("http_failed", include_str!("../../../../docs/errors/http_failed.md")),
    ("http_status", include_str!("../../../../docs/errors/http_status.md")),
    ("idempotency_conflict", include_str!("../../../../docs/errors/idempotency_conflict.md")),
    ("illegal_transition", include_str!("../../../../docs/errors/illegal_transition.md")),
    ("internal", include_str!("../../../../docs/errors/internal.md")),
    ("invalid_request", include_str!("../../../../docs/errors/invalid_request.md")),
    ("lease_lost", include_str!("../../../../docs/errors/lease_lost.md")),
    ("limit_reached", include_str!("../../../../docs/errors/limit_reached.md")),
    ("method_not_allowed", include_str!("../../../../docs/errors/method_not_allowed.md")),
    ("nondeterminism", include_str!("../../../../docs/errors/nondeterminism.md")),
    ("not_canonical", include_str!("../../../../docs/errors/not_canonical.md")),
    ("not_finished", include_str!("../../../../docs/errors/not_finished.md")),
    ("not_found", include_str!("../../../../docs/errors/not_found.md")),
    ("not_granted", include_str!("../../../../docs/errors/not_granted.md")),
    ("outcome_unknown", include_str!("../../../../docs/errors/outcome_unknown.md")),
    ("overloaded", include_str!("../../../../docs/errors/overloaded.md")),
    ("poisoned", include_str!("../../../../docs/errors/poisoned.md")),
    ("precondition_failed", include_str!("../../../../docs/errors/precondition_failed.md")),
    ("shutting_down", include_str!("../../../../docs/errors/shutting_down.md")),
    ("storage_full", include_str!("../../../../docs/errors/storage_full.md")),
    ("storage_unavailable", include_str!("../../../../docs/errors/storage_unavailable.md")),
    ("task_deleted", include_str!("../../../../docs/errors/task_deleted.md")),
    ("timeout", include_str!("../../../../docs/errors/timeout.md")),
    ("too_large", include_str!("../../../../docs/errors/too_large.md")),
    ("unauthorized", include_str!("../../../../docs/errors/unauthorized.md")),
    ("unknown_kind", include_str!("../../../../docs/errors/unknown_kind.md")),
    ("unsupported_media_type", include_str!("../../../../docs/errors/unsupported_media_type.md")),
];

pub(crate) fn run(explain: &ExplainArgs) -> Outcome {
    let topic = explain.topic.to_lowercase();
    if topic == "limits" {
        output::bytes(limits_table().as_bytes());
        return Ok(Exit::Done);
    }
    if let Some((_, page)) = PAGES.iter().find(|(code, _)| *code == topic) {
        output::bytes(page.as_bytes());
        return Ok(Exit::Done);
    }
    let known = PAGES.iter().map(|(code, _)| *code).chain(["limits"]);
    let hint = match closest(&topic, known, 4) {
        Some(meant) => format!("did you mean {meant}?"),
        None => {
            let codes: Vec<&str> = PAGES.iter().map(|(code, _)| *code).collect();
            format!("limits, or one of: {}", codes.join(", "))
        }
    };
    Err(Failure::usage(format!("there is nothing to explain about {:?}", explain.topic)).hint(hint))
}

fn limits_table() -> String {
    let mut rows = vec![["LIMIT", "VALUE", "WHAT TO DO"].map(str::to_owned).to_vec()];
    rows.extend(
        limits::TABLE.iter().map(|row| [row.name, row.value, row.remedy].map(str::to_owned).to_vec()),
    );
    output::table(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use everloop_types::error::Code;

    #[test]
    fn every_code_has_its_page() {
        let codes: Vec<&str> = PAGES.iter().map(|(code, _)| *code).collect();
        for code in Code::ALL {
            assert!(codes.contains(&code.as_str()), "{code}");
        }
        for (code, page) in PAGES {
            assert!(page.starts_with(&format!("# {code}\n")), "{code}");
        }
    }
}
