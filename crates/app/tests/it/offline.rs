//! Commands that need no server.

use crate::harness::{Place, said};
use expect_test::expect;

#[test]
fn settings_are_shown_with_where_they_come_from() {
    let place = Place::new();
    place.write("everloop.toml", "workers = 3\nlisten = \"127.0.0.1:9\"\n");
    let mut command = place.command(&["config", "show", "--url", "http://127.0.0.1:8"]);
    let shown =
        said(command.env("EVERLOOP_LISTEN", "127.0.0.1:10").env("EVERLOOP_API_KEY", "evl_secret")).ok();
    let first_three =
        |line: &str| line.split("  ").filter(|cell| !cell.is_empty()).take(3).collect::<Vec<_>>().join("|");
    let rows: Vec<String> = shown.lines().map(first_three).map(|row| row.replace("| ", "|")).collect();
    expect![[r#"
        SETTING|VALUE|FROM
        api_key|(hidden)|EVERLOOP_API_KEY
        api_key_file|-|not set
        base_path|-|not set
        dashboard|true|default
        data_dir|.everloop|EVERLOOP_DATA_DIR
        database_url|-|not set
        digest_every|256|default
        listen|127.0.0.1:10|EVERLOOP_LISTEN
        log|info|default
        log_format|text|default
        mcp_servers|-|not set
        retention_days|30|default
        retention_event_days|-|not set
        retention_log_days|14|default
        trusted_keys|-|not set
        unsafe_no_sandbox|false|default
        url|http://127.0.0.1:8|--url
        workers|3|everloop.toml"#]]
    .assert_eq(&rows.join("\n"));
}

#[test]
fn codes_and_limits_are_explained() {
    let place = Place::new();
    assert!(place.run(&["explain", "lease_lost"]).ok().starts_with("# lease_lost"));
    assert!(place.run(&["explain", "limits"]).ok().contains("256 KiB"));
    for shell in ["bash", "zsh", "fish"] {
        assert!(place.run(&["completions", shell]).ok().contains("dead-letters"));
    }
}

#[test]
fn the_published_vectors_verify_as_documented() {
    let place = Place::new();
    let vectors = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/vectors");
    let verify = |file: &str, key: bool| {
        let (file, jwks) = (format!("{vectors}/{file}"), format!("{vectors}/jwks.json"));
        let mut arguments = vec!["verify", &file];
        if key {
            arguments.extend(["--key", &jwks]);
        }
        place.run(&arguments).code
    };
    assert_eq!(verify("finished.jsonl", true), 0);
    assert_eq!(verify("finished.jsonl", false), 3);
    assert_eq!(verify("unfinished.jsonl", true), 3);
    assert_eq!(verify("receipt-only.jsonl", true), 0);
    for file in std::fs::read_dir(format!("{vectors}/tampered")).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        assert_eq!(verify(&format!("tampered/{name}"), true), 4, "{name}");
    }
}

#[test]
fn the_schema_goes_up_down_and_up_again() {
    let place = Place::new();
    let folder = place.here().join("data");
    let folder = folder.to_str().unwrap();
    let applied =
        |args: &[&str]| place.run(args).ok().lines().filter(|line| !line.contains("not applied")).count();
    let all = applied(&["migrate", "up", "--data-dir", folder]);
    assert!(all >= 1);
    assert_eq!(applied(&["migrate", "up", "--data-dir", folder]), all);
    assert_eq!(applied(&["migrate", "down", &all.to_string(), "--yes", "--data-dir", folder]), 0);
    assert_eq!(applied(&["migrate", "up", "--data-dir", folder]), all);
    assert_eq!(applied(&["migrate", "status", "--data-dir", folder]), all);
}
