//! What commands write, from their pipes into the stream.

use crate::harness::{Setup, bytes_of, completed, start, start_with};
use crate::shell::{Place, is_empty, script};
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

#[tokio::test]
async fn output_comes_in_order_and_exactly() {
    let place = Place::new();
    // Every byte, half characters at the edges of chunks, and no newline at the end.
    let file = place.path("bytes");
    let mut bytes: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    bytes.extend("€".repeat(30_000).into_bytes());
    bytes.extend([0xe2, 0x82]);
    std::fs::write(&file, &bytes).unwrap();
    let attempt = start(place.shell(), script(&format!("cat {0}; cat {0} >&2", file.display())));
    completed(attempt.end().await);
    assert!(attempt.output("stdout") == bytes && attempt.output("stderr") == bytes);

    let attempt =
        start(place.shell(), script("i=0; while [ $i -lt 3000 ]; do echo line $i äöü; i=$((i+1)); done"));
    completed(attempt.end().await);
    let expected: String = (0..3000).map(|n| format!("line {n} äöü\n")).collect();
    assert_eq!(attempt.text("stdout"), expected);
    // Text stays text: no character is cut in two.
    assert!(attempt.logs("stdout").iter().all(|(_, log)| log.text.is_some()));
}

#[tokio::test]
async fn a_line_is_seen_at_once() {
    let place = Place::new();
    let attempt = start(
        place.shell(),
        script("while read x; do :; done; for i in 1 2 3 4 5; do date +%s%N; sleep 0.3; done"),
    );
    let before = Instant::now();
    let wall = std::time::UNIX_EPOCH.elapsed().unwrap();
    completed(attempt.end().await);
    let lines = attempt.logs("stdout");
    assert_eq!(lines.len(), 5);
    for (seen, log) in lines {
        let printed = Duration::from_nanos(log.text.unwrap().trim().parse().unwrap());
        let late = (wall + (seen - before)).saturating_sub(printed);
        assert!(late < Duration::from_millis(200), "{late:?}");
    }
}

#[tokio::test]
async fn a_flood_is_cut_off_once_and_the_command_goes_on() {
    let place = Place::new();
    let mut spec = script("yes äöü | head -c 50000000; echo done >&2; exit 0");
    spec.policy.profile.output_bytes = Some(1_000_001);
    let attempt = start(place.shell(), spec);
    let result = completed(attempt.end().await);
    assert_eq!((&result["stdout_bytes"], &result["stderr_bytes"]), (&json!(50_000_000), &json!(5)));
    assert_eq!(result["truncated"], true);
    // Up to the last whole character.
    let kept = attempt.text("stdout");
    assert!((999_998..=1_000_001).contains(&kept.len()), "{}", kept.len());
    assert_eq!(attempt.warnings().len(), 1);
    assert!(attempt.warnings()[0].contains("1000001 bytes"), "{:?}", attempt.warnings());
    assert!(attempt.logs("stderr").is_empty());
}

#[tokio::test]
async fn what_a_pipe_still_holds_is_read_after_the_end() {
    let place = Place::new();
    let attempt = start(place.shell(), script("(sleep 0.05; echo late) & echo early"));
    completed(attempt.end().await);
    assert_eq!(attempt.text("stdout"), "early\nlate\n");
}

#[tokio::test]
async fn many_commands_at_once_do_not_mix() {
    let place = Place::new();
    let attempts: Vec<_> =
        (0..20).map(|n| start(place.shell(), script(&format!("seq {n} 3000; pwd")))).collect();
    for (n, attempt) in attempts.iter().enumerate() {
        completed(attempt.end().await);
        let text = attempt.text("stdout");
        assert_eq!((text.lines().next(), text.lines().count()), (Some(n.to_string().as_str()), 3002 - n));
    }
    assert!(is_empty(&place));
}

#[tokio::test]
async fn a_slow_disk_slows_the_command_and_loses_nothing() {
    let place = Place::new();
    let setup = Setup { delay: Duration::from_millis(20), ..Setup::default() };
    let attempt = start_with(place.shell(), script("seq 1 400000"), setup);
    let result = completed(attempt.end().await);
    let expected: String = (1..=400_000).map(|n| format!("{n}\n")).collect();
    assert_eq!(result["stdout_bytes"], expected.len());
    assert_eq!(attempt.text("stdout"), expected);
    assert!(attempt.logs("stdout").iter().all(|(_, log)| bytes_of(log).len() <= 16 * 1024));
}
