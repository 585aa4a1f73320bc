//! Every executor is shown to succeed, to fail, to run out of time and to be cancelled.

use crate::harness::{Setup, completed, failed, spec, start, start_with};
use crate::server::Server;
use crate::shell::{Place, ends_soon};
use everloop_exec::http::Http;
use everloop_exec::mock::Mock;
use everloop_types::task::TaskSpec;
use everloop_worker::source::AttemptEnd;
use std::time::Duration;
use tokio::time::{Instant, sleep};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Case {
    Success,
    Failure,
    Timeout,
    Cancel,
}

fn input(kind: &str, case: Case, server: &Server) -> TaskSpec {
    let url = |path: &str| format!(r#"{{"url":"{}"}}"#, server.url(path));
    let input = match (kind, case) {
        ("mock", Case::Success) => r#"{"steps":[{"name":"a","result":1}],"result":"done"}"#.to_owned(),
        ("mock", Case::Failure) => {
            r#"{"steps":[{"name":"a","fail_attempts":1,"error_class":"validation"}]}"#.to_owned()
        }
        ("mock", _) => r#"{"steps":[{"name":"a","duration_ms":600000}]}"#.to_owned(),
        ("http", Case::Success) => url("/json"),
        ("http", Case::Failure) => url("/status?404_Not_Found"),
        ("http", _) => url("/hang"),
        ("shell", Case::Success) => r#"{"argv":["true"]}"#.to_owned(),
        ("shell", Case::Failure) => r#"{"argv":["false"]}"#.to_owned(),
        ("shell", _) => r#"{"argv":["sleep","600"]}"#.to_owned(),
        (kind, _) => panic!("{kind}"),
    };
    let mut spec = spec(kind, &input);
    spec.policy.grace_ms = Some(5_000);
    spec.policy.profile.hosts = vec![server.host.clone()];
    if case == Case::Timeout {
        spec.policy.timeout_ms = Some(300);
    }
    spec
}

#[tokio::test]
async fn every_kind_succeeds_fails_times_out_and_is_cancelled() {
    let server = Server::start().await;
    let failures = [("mock", "mock_failure"), ("http", "http_status"), ("shell", "exit_status")];
    for (kind, failure) in failures {
        for case in [Case::Success, Case::Failure, Case::Timeout, Case::Cancel] {
            let place = Place::new();
            let spec = input(kind, case, &server);
            let attempt = match kind {
                "mock" => start(Mock, spec),
                "http" => start(Http::new(), spec),
                _ => start(place.shell(), spec),
            };
            let mut asked = Instant::now();
            if case == Case::Cancel {
                sleep(Duration::from_millis(300)).await;
                assert!(!attempt.has_ended(), "{kind} {case:?}");
                asked = Instant::now();
                attempt.cancel(5_000);
            }
            let end = attempt.end().await;
            match case {
                Case::Success => {
                    completed(end);
                    assert_eq!(attempt.counts()["step.completed"], 1, "{kind}");
                }
                Case::Failure => assert_eq!(failed(end).0, failure, "{kind}"),
                Case::Timeout => assert_eq!(failed(end).0, "timeout", "{kind}"),
                Case::Cancel => assert_eq!(end, AttemptEnd::Cancelled, "{kind}"),
            }
            // Whoever ends at once needs no grace.
            assert!(asked.elapsed() < Duration::from_secs(3), "{kind} {case:?} took {:?}", asked.elapsed());
            ends_soon(&place).await;
        }
    }
}

#[tokio::test]
async fn a_cancel_that_comes_while_events_are_written_is_not_lost() {
    let spec = spec("mock", r#"{"steps":[{"events":1},{"events":1},{"events":1}]}"#);
    let setup = Setup { delay: Duration::from_millis(300), ..Setup::default() };
    let attempt = start_with(Mock, spec, setup);
    sleep(Duration::from_millis(150)).await;
    attempt.cancel(5_000);
    assert_eq!(attempt.end().await, AttemptEnd::Cancelled);
}
