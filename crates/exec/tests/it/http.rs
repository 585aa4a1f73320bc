//! The kind `http`, against a real server on a real socket.

use crate::harness::{Setup, completed, failed, spec, start, start_unchecked, start_with};
use crate::server::Server;
use everloop_exec::http::Http;
use everloop_types::event::EventBody;
use everloop_types::task::TaskSpec;
use everloop_worker::executor::Executor;
use everloop_worker::source::AttemptEnd;
use serde_json::json;
use std::time::Duration;
use tokio::time::{Instant, sleep};

fn request(server: &Server, input: serde_json::Value) -> TaskSpec {
    let mut spec = spec("http", &input.to_string());
    spec.policy.profile.hosts = vec![server.host.clone()];
    spec
}

#[tokio::test]
async fn the_answer_is_recorded_and_the_body_streamed() {
    let server = Server::start().await;
    let spec = request(&server, json!({"url": server.url("/json"), "headers": {"x-a": "b"}}));
    let attempt = start(Http::new(), spec);
    let result = completed(attempt.end().await);
    let headers = json!({"content-length": "21", "content-type": "application/json"});
    assert_eq!(
        result,
        json!({"body": {"a": [true], "b": 1}, "bytes": 21, "headers": headers, "status": 200})
    );
    assert_eq!(attempt.text("body"), r#"{"b": 1, "a": [true]}"#.to_owned());
    let seen = server.seen();
    assert_eq!((seen.len(), seen[0].method.as_str(), seen[0].headers["x-a"].as_str()), (1, "GET", "b"));
    assert!(seen[0].headers["user-agent"].starts_with("everloop/"));
    // A GET may be sent again: its start needs no record.
    assert_eq!(attempt.counts().get("step.started"), None);
}

#[tokio::test]
async fn a_post_is_recorded_before_it_is_sent_and_keeps_its_key() {
    let server = Server::start().await;
    let mut keys = Vec::new();
    for number in 1..=2 {
        let spec =
            request(&server, json!({"url": server.url("/any"), "method": "POST", "body": {"b": 2, "a": 1}}));
        let attempt = start_with(Http::new(), spec, Setup { attempt: number, ..Setup::default() });
        completed(attempt.end().await);
        assert!(matches!(&attempt.events()[0], EventBody::StepStarted(step) if step.kind == "http"));
        let seen = server.seen().pop().unwrap();
        // Canonical text reaches the executor as it was submitted.
        assert_eq!(
            (seen.body.as_str(), seen.headers["content-type"].as_str()),
            (r#"{"a":1,"b":2}"#, "application/json")
        );
        keys.push(seen.headers["idempotency-key"].clone());
    }
    assert_eq!(keys[0], keys[1]);
    assert!(keys[0].len() >= 32);
}

#[tokio::test]
async fn a_post_that_was_cut_off_is_asked_about() {
    let server = Server::start().await;
    let input = json!({"url": server.url("/hang"), "method": "POST"});
    let mut first = start(Http::new(), request(&server, input.clone()));
    first.until(|attempt| attempt.counts().contains_key("step.started")).await;
    first.kill().await;
    let setup = Setup { attempt: 2, journal: first.events(), ..Setup::default() };
    let second = start_with(Http::new(), request(&server, input), setup);
    assert!(matches!(second.end().await, AttemptEnd::Waiting { .. }));
    assert_eq!(second.counts()["approval.requested"], 1);
}

#[tokio::test]
async fn hosts_are_denied_unless_they_are_named() {
    let server = Server::start().await;
    let mut spec = request(&server, json!({"url": server.url("/")}));
    spec.policy.profile.hosts = vec!["127.0.0.1".to_owned(), "*.example.com".to_owned()];
    let wrong = Http::new().check(&spec).unwrap_err();
    assert_eq!(wrong.errors[0].field, "policy.profile.hosts");
    let (code, class, _, message) = failed(start_unchecked(Http::new(), spec, Setup::default()).end().await);
    assert_eq!((code.as_str(), class.as_str()), ("not_granted", "auth"));
    assert_eq!(message, format!("host {0} is not granted: add {0:?} to policy.profile.hosts", server.host));
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn what_can_not_be_sent_is_refused_by_field() {
    let server = Server::start().await;
    let url = server.url("/");
    for (input, field) in [
        (json!({}), "input"),
        (json!({"url": url, "verb": "GET"}), "input"),
        (json!({"url": "/relative"}), "input.url"),
        (json!({"url": "file:///etc/passwd"}), "input.url"),
        (json!({"url": "http://user:password@example.com/"}), "input.url"),
        (json!({"url": url, "method": "CONNECT"}), "input.method"),
        (json!({"url": url, "method": "get"}), "input.method"),
        (json!({"url": url, "headers": {"Host": "evil"}}), "input.headers.Host"),
        (json!({"url": url, "headers": {"a": "b\r\nc: d"}}), "input.headers.a"),
        (json!({"url": url, "headers": {"a b": "c"}}), "input.headers.a b"),
        (json!({"url": url, "body": 1, "body_text": "1"}), "input.body_text"),
        (json!({"url": url, "timeout_ms": 0}), "input.timeout_ms"),
        (json!({"url": url, "expect": [99]}), "input.expect"),
    ] {
        let wrong = Http::new().check(&request(&server, input.clone())).unwrap_err();
        assert_eq!(wrong.errors[0].field, field, "{input}: {wrong:?}");
    }
    let mut spec = request(&server, json!({"url": url}));
    spec.policy.profile.hosts.push("https://example.com".to_owned());
    assert_eq!(Http::new().check(&spec).unwrap_err().errors[0].field, "policy.profile.hosts[1]");
}

#[tokio::test]
async fn redirects_lead_only_to_hosts_that_are_named() {
    let (server, other) = (Server::start().await, Server::start().await);
    let spec = request(&server, json!({"url": server.url(&format!("/to?{}", other.url("/secret")))}));
    let (code, _, _, message) = failed(start(Http::new(), spec.clone()).end().await);
    assert_eq!(code, "not_granted");
    assert!(message.contains(&other.host), "{message}");
    assert!(other.seen().is_empty());

    // Granted, it is followed, without what was meant for the first host.
    let mut spec = request(
        &server,
        json!({"url": server.url(&format!("/moved?{}", other.url("/there"))), "method": "POST", "body_text": "b",
            "headers": {"authorization": "Bearer a", "x-key": "b", "accept": "text/plain"}}),
    );
    spec.policy.profile.hosts.push(other.host.clone());
    completed(start(Http::new(), spec).end().await);
    let (first, second) = (&server.seen()[1], &other.seen()[0]);
    assert_eq!(first.headers["authorization"], "Bearer a");
    assert_eq!((second.method.as_str(), second.body.as_str()), ("POST", "b"));
    assert_eq!((second.headers.get("authorization"), second.headers.get("x-key")), (None, None));
    assert_eq!(second.headers["accept"], "text/plain");
    assert_eq!(second.headers["idempotency-key"], first.headers["idempotency-key"]);

    for target in ["/to?file:///etc/passwd", "/to?http://a:b@127.0.0.1/", "/to?http://["] {
        let (code, class, ..) =
            failed(start(Http::new(), request(&server, json!({"url": server.url(target)}))).end().await);
        assert_eq!((code.as_str(), class.as_str()), ("http_status", "validation"), "{target}");
    }
}

#[tokio::test]
async fn a_post_becomes_a_get_where_it_is_sent_elsewhere_and_circles_end() {
    let server = Server::start().await;
    let spec = request(&server, json!({"url": server.url("/to?/there"), "method": "POST", "body": {"a": 1}}));
    completed(start(Http::new(), spec).end().await);
    let last = server.seen().pop().unwrap();
    assert_eq!((last.method.as_str(), last.path.as_str(), last.body.as_str()), ("GET", "/there", ""));
    assert_eq!(last.headers.get("content-type"), None);

    let server = Server::start().await;
    // To nowhere else is to where it came from.
    let (code, _, _, message) =
        failed(start(Http::new(), request(&server, json!({"url": server.url("/to?")}))).end().await);
    assert_eq!((code.as_str(), server.seen().len()), ("http_status", 6), "{message}");
}

#[tokio::test]
async fn statuses_say_whether_asking_again_helps() {
    let server = Server::start().await;
    for (status, class) in [
        ("503 Busy", "transient"),
        ("429 Slow", "transient"),
        ("408 Late", "transient"),
        ("401 Who", "auth"),
        ("403 No", "auth"),
        ("404 Nothing", "validation"),
        ("422 Wrong", "validation"),
    ] {
        let path = format!("/status?{}", status.replace(' ', "_"));
        let spec = request(&server, json!({"url": server.url(&path)}));
        let (code, found, details, message) = failed(start(Http::new(), spec).end().await);
        assert_eq!((code.as_str(), found.as_str()), ("http_status", class), "{message}");
        let number: u16 = status[..3].parse().unwrap();
        assert_eq!(details, json!({"body": "no", "retry_after": "7", "status": number}));
        assert!(message.starts_with(&format!("GET was answered by {number}")), "{message}");
    }
    // What the caller expects is a success, and what it does not expect is none.
    let expect =
        |path: &str, expect: u16| request(&server, json!({"url": server.url(path), "expect": [expect]}));
    assert_eq!(completed(start(Http::new(), expect("/status?404_Nothing", 404)).end().await)["status"], 404);
    assert_eq!(failed(start(Http::new(), expect("/json", 201)).end().await).1, "validation");
    // A server that recovers: each try is a try of the task.
    for found in ["transient", "transient"] {
        assert_eq!(
            failed(start(Http::new(), request(&server, json!({"url": server.url("/flaky")}))).end().await).1,
            found
        );
    }
    let result =
        completed(start(Http::new(), request(&server, json!({"url": server.url("/flaky")}))).end().await);
    assert_eq!(result["body_text"], "at last");
}

#[tokio::test]
async fn a_server_that_is_not_there_or_goes_away_may_come_back() {
    let server = Server::start().await;
    let spec = request(&server, json!({"url": server.url("/drop")}));
    let (code, class, ..) = failed(start(Http::new(), spec).end().await);
    assert_eq!((code.as_str(), class.as_str()), ("http_failed", "transient"));

    let gone = server.url("/?token=secret");
    let spec = request(&server, json!({"url": gone}));
    drop(server);
    sleep(Duration::from_millis(50)).await;
    let (code, class, _, message) = failed(start(Http::new(), spec).end().await);
    assert_eq!((code.as_str(), class.as_str()), ("http_failed", "transient"));
    assert!(!message.contains("secret"), "{message}");

    let server = Server::start().await;
    let begin = Instant::now();
    let spec = request(&server, json!({"url": server.url("/hang"), "timeout_ms": 200}));
    let (code, class, ..) = failed(start(Http::new(), spec).end().await);
    assert_eq!((code.as_str(), class.as_str()), ("http_failed", "transient"));
    assert!(begin.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn a_slow_body_is_seen_as_it_comes() {
    let server = Server::start().await;
    let attempt = start(Http::new(), request(&server, json!({"url": server.url("/slow")})));
    attempt.until(|attempt| attempt.logs("body").len() == 1).await;
    assert!(!attempt.has_ended());
    assert_eq!(completed(attempt.end().await)["body_text"], "00\n11\n22\n33\n");
    assert_eq!(attempt.text("body"), "00\n11\n22\n33\n");
    assert!(attempt.logs("body").len() >= 3);
}

#[tokio::test]
async fn a_huge_body_is_cut_off_in_the_result_and_then_in_the_stream() {
    let server = Server::start().await;
    let attempt = start(Http::new(), request(&server, json!({"url": server.url("/huge?1000000")})));
    let result = completed(attempt.end().await);
    assert_eq!((&result["bytes"], &result["truncated"]), (&json!(1_000_000), &json!(true)));
    let kept = result["body_text"].as_str().unwrap().len();
    assert!((200_000..256 * 1024).contains(&kept), "{kept}");
    assert_eq!(attempt.output("body").len(), 1_000_000);
    assert_eq!(attempt.warnings(), Vec::<String>::new());

    let mut spec = request(&server, json!({"url": server.url("/huge?1000000000")}));
    spec.policy.profile.output_bytes = Some(100_000);
    let attempt = start(Http::new(), spec);
    let result = completed(attempt.end().await);
    assert_eq!(result["truncated"], true);
    assert!(result["bytes"].as_u64().unwrap() < 10_000_000, "{}", result["bytes"]);
    assert_eq!(attempt.output("body").len(), 100_000);
    assert_eq!(attempt.warnings().len(), 1);
}

#[tokio::test]
async fn bytes_that_are_no_text_are_kept_exactly() {
    let server = Server::start().await;
    let attempt = start(Http::new(), request(&server, json!({"url": server.url("/bytes")})));
    assert_eq!(completed(attempt.end().await)["body_base64"], "//4AAQ==");
    assert_eq!(attempt.output("body"), [0xff, 0xfe, 0, 1]);
}

#[tokio::test]
async fn a_cancel_drops_the_request_at_once() {
    let server = Server::start().await;
    for path in ["/hang", "/huge?100000000000"] {
        let mut spec = request(&server, json!({"url": server.url(path), "method": "POST"}));
        spec.policy.profile.output_bytes = Some(u64::MAX);
        let attempt = start_with(Http::new(), spec, Setup { keeps_logs: false, ..Setup::default() });
        while !server.seen().iter().any(|seen| seen.path == path) {
            sleep(Duration::from_millis(10)).await;
        }
        sleep(Duration::from_millis(200)).await;
        let begin = Instant::now();
        attempt.cancel(30_000);
        assert_eq!(attempt.end().await, AttemptEnd::Cancelled, "{path}");
        assert!(begin.elapsed() < Duration::from_secs(1), "{path}: {:?}", begin.elapsed());
    }
}
