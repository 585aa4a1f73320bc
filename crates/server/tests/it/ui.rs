//! The dashboard's files, and who gets them in which form.

use crate::harness::{Server, options};
use everloop_control::{Mode, Options as ControlOptions};
use everloop_server::Options;

const HTML: (&str, &str) = ("Accept", "text/html,application/xhtml+xml");

/// The path of a file that the page names, with this ending.
fn named(page: &str, ending: &str) -> String {
    let path = page.split('"').find(|text| text.starts_with("./") && text.ends_with(ending)).unwrap();
    path[1..].to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_is_at_every_address_of_the_dashboard_and_its_files_may_be_kept_for_ever() {
    let server = Server::start_idle().await;
    let page = server.get("/").await;
    assert_eq!((page.status, page.headers["content-type"].as_str()), (200, "text/html; charset=utf-8"));
    assert_eq!(page.headers["cache-control"], "no-cache");
    for path in ["/tasks", "/tasks/task_01?tab=events", "/inbox", "/settings", "/index.html"] {
        assert_eq!(server.call("GET", path, &[HTML], b"").await.text(), page.text(), "{path}");
    }
    for ending in [".js", ".css"] {
        let file = server.get(&named(&page.text(), ending)).await;
        assert_eq!(file.status, 200);
        assert_eq!(file.headers["cache-control"], "public, max-age=31536000, immutable");
        assert!(file.headers["content-type"].starts_with("text/"));
    }
    let head = server.call("HEAD", "/", &[], b"").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.headers["content-length"], page.body.len().to_string());
    assert_eq!(head.headers["etag"], page.headers["etag"]);
    server.call("POST", "/tasks", &[], b"{}").await.problem(404, "not_found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_comes_in_the_best_form_that_the_client_takes_and_not_twice() {
    let server = Server::start_idle().await;
    let script = named(&server.get("/").await.text(), ".js");
    let plain = server.get(&script).await;
    let rows = [
        ("gzip, deflate, br", Some("br")),
        ("gzip, br;q=0", Some("gzip")),
        ("GZIP", Some("gzip")),
        ("deflate", None),
        ("identity", None),
    ];
    for (takes, form) in rows {
        let answer = server.call("GET", &script, &[("Accept-Encoding", takes)], b"").await;
        assert_eq!(answer.headers.get("content-encoding").map(String::as_str), form, "{takes}");
        assert_eq!(answer.headers["vary"], "accept-encoding");
        assert_eq!(answer.body.len() < plain.body.len(), form.is_some(), "{takes}");
        let tag = answer.headers["etag"].clone();
        let again = [("Accept-Encoding", takes), ("If-None-Match", tag.as_str())];
        let answer = server.call("GET", &script, &again, b"").await;
        assert_eq!((answer.status, answer.body.len()), (304, 0), "{takes}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_may_run_no_script_but_its_files_and_ask_nobody_but_its_server() {
    let server = Server::start_idle().await;
    let page = server.get("/").await;
    let policy = &page.headers["content-security-policy"];
    for rule in ["default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'"] {
        assert!(policy.split("; ").any(|one| one == rule), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(page.headers["x-content-type-options"], "nosniff");
    assert_eq!(page.headers["x-frame-options"], "DENY");
    server.call("GET", "/", &[("Host", "evil.example")], b"").await.problem(403, "forbidden");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_serve_mode_the_page_needs_no_key_and_everything_that_it_asks_for_does() {
    let control = ControlOptions { mode: Mode::Serve, ..ControlOptions::default() };
    let server = Server::bare(options(), control).await;
    let page = server.call("GET", "/tasks", &[HTML], b"").await;
    assert_eq!(page.status, 200);
    assert_eq!(server.get(&named(&page.text(), ".js")).await.status, 200);
    for path in ["/api/v1/tasks", "/api/v1/docs", "/metrics", "/assets/no.js", "/elsewhere"] {
        server.call("GET", path, &[HTML], b"").await.problem(401, "unauthorized");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_nobody_has_shows_a_person_the_page_and_a_program_a_problem() {
    let server = Server::start_idle().await;
    let page = server.call("GET", "/elsewhere", &[HTML], b"").await;
    assert_eq!((page.status, page.headers["content-type"].as_str()), (404, "text/html; charset=utf-8"));
    server.get("/elsewhere").await.problem(404, "not_found");
    server.get("/assets/no.js").await.problem(404, "not_found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn below_a_base_path_the_page_says_so_and_everything_is_answered_with_it_and_without() {
    let below = Options { base_path: "/ever/loop/".to_owned(), ..options() };
    let server = Server::start_with(below, ControlOptions::default(), false).await;
    for path in ["/", "/ever/loop", "/ever/loop/", "/ever/loop/tasks?state=failed"] {
        let page = server.get(path).await.text();
        assert!(page.contains("<base href=\"/ever/loop/\" />"), "{path}: {page}");
        let script = named(&page, ".js");
        assert_eq!(server.get(&format!("/ever/loop{script}")).await.status, 200);
    }
    server.get("/ever/loop/api/v1/tasks?limit=1").await.expect(200);
    server.get("/api/v1/tasks").await.expect(200);
    server.get("/ever/loophole").await.problem(404, "not_found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_dashboard_nothing_is_there() {
    let server =
        Server::start_with(Options { ui: false, ..options() }, ControlOptions::default(), false).await;
    for path in ["/", "/tasks", "/index.html"] {
        server.call("GET", path, &[HTML], b"").await.problem(404, "not_found");
    }
}
