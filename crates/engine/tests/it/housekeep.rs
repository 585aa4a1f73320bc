//! What goes with time, and what stays.

use crate::harness::{Harness, TENANT, json, memory, mock};
use everloop_engine::housekeep::{EVERY, Retention};
use everloop_engine::pipeline::op::Wish;
use everloop_journal::chain::Verifier;
use everloop_journal::export::{ExportVerifier, Verdict, anchor_line, receipt_line};
use everloop_journal::keys::Jwks;
use everloop_journal::{chain, receipt};
use everloop_store::port::{Blob, EventRead, InstallationRead, TaskRead};
use everloop_types::blob::BlobName;
use everloop_types::error::Code;
use everloop_types::event::{Event, EventBody, Log, StepCompleted};
use everloop_types::id::TaskId;
use everloop_types::limits;
use everloop_types::state::State;
use everloop_types::stream::StreamName;
use everloop_types::time::Timestamp;
use everloop_worker::source::{AttemptEnd, SourceError};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn keep(tasks: u32, events: Option<u32>, logs: Option<u32>) -> Retention {
    Retention { tasks: DAY * tasks, events: events.map(|n| DAY * n), logs: logs.map(|n| DAY * n) }
}

fn log(n: u64) -> EventBody {
    Log {
        base64: None,
        level: everloop_types::event::Level::Info,
        offset: n,
        source: "stdout".to_owned(),
        text: Some(format!("line {n}\n")),
    }
    .into()
}

fn step(result: &str) -> EventBody {
    StepCompleted {
        attempt: 1,
        code_version: None,
        intent: "00".to_owned(),
        kind: "step".to_owned(),
        result: json(result),
        started_at: Default::default(),
        step: "s#1".to_owned(),
    }
    .into()
}

impl Harness {
    /// A task that has written so many lines and ended.
    async fn logged(&self, lines: u64) -> TaskId {
        let worker = self.worker(1).await;
        let task = self.submit(mock()).await.unwrap().task.id;
        let claimed = self.claim(worker, 1).await.unwrap();
        let mut batch = 0;
        for first in (0..lines).step_by(500) {
            batch += 1;
            let events = (first..lines.min(first + 500)).map(log).collect();
            self.write(worker, &claimed, batch, events, None).await.unwrap();
        }
        let end = Some(AttemptEnd::Completed { result: json("{\"done\":true}") });
        self.write(worker, &claimed, batch + 1, vec![step("1")], end).await.unwrap();
        task
    }

    async fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let held = async {
            while !holds() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        assert!(tokio::time::timeout(Duration::from_secs(20), held).await.is_ok(), "{what}");
    }

    fn all(&self, stream: StreamName) -> Vec<Event> {
        self.store.reader().events(TENANT, stream, 0, 100_000).unwrap()
    }

    fn audit(&self) -> Vec<String> {
        let mut verifier = Verifier::new(TENANT, StreamName::Audit(TENANT, 1));
        let events = self.all(StreamName::Audit(TENANT, 1));
        events.iter().for_each(|event| verifier.check(event).unwrap());
        events.into_iter().map(|event| event.kind.into_owned()).collect()
    }

    fn ran_at(&self) -> Option<Timestamp> {
        self.store.reader().job("housekeeping").unwrap().map(|job| job.ran_at)
    }

    /// Moves the clock and waits for the round that has become due by that.
    async fn round(&self, by: Duration) {
        self.pass(by).await;
        let now = self.engine.now();
        self.until("a round ends", || self.ran_at() == Some(now)).await;
    }

    /// The export of a finished task, verified: the verdict and the numbers of the events whose payload is gone.
    fn export(&self, task: TaskId) -> (Verdict, Vec<u64>) {
        let keys = Jwks::new(vec![self.engine.signing_key().public().clone()]);
        let mut verifier = ExportVerifier::new(Some(&keys));
        let stream = StreamName::Task(task);
        if let Some((_, jws)) = self.store.reader().anchor(TENANT, stream).unwrap() {
            verifier.line(&anchor_line(&jws)).unwrap();
        }
        let events = self.all(stream);
        for event in &events {
            let mut line = String::new();
            chain::write_json(&mut line, event);
            verifier.line(&line).unwrap();
        }
        let row = self.store.reader().task(TENANT, task).unwrap().unwrap();
        let claims = receipt::claims_of(events.last().unwrap(), "mock").unwrap();
        let signature = row.signature.unwrap();
        let jws = receipt::assemble(&signature.kid, &claims, &signature.bytes);
        verifier.line(&receipt_line(&jws)).unwrap();
        let report = verifier.finish().unwrap();
        (report.verdict, report.missing)
    }
}

#[tokio::test]
async fn logs_are_folded_then_events_are_trimmed_then_the_task_goes_and_the_proof_holds_all_the_while() {
    let h = Harness::keeping(memory(), keep(30, Some(10), Some(5)));
    let task = h.logged(1_200).await;
    let stream = StreamName::Task(task);
    let written = h.all(stream);
    let logs: Vec<u64> = written.iter().filter(|e| e.kind == "log").map(|e| e.seq).collect();
    assert_eq!(logs.len(), 1_200);
    h.round(DAY * 4).await;
    assert_eq!(h.all(stream), written);
    h.round(DAY * 2).await;
    let (verdict, missing) = h.export(task);
    assert!(matches!(verdict, Verdict::Verified { .. }));
    assert_eq!(missing, logs, "only what the logs say is gone");
    assert_eq!(h.audit()[1..], ["stream.folded", "stream.folded", "stream.folded"]);
    h.round(DAY * 5).await;
    assert_eq!(h.all(stream), written[written.len() - 1..], "the end stays");
    assert!(matches!(h.export(task).0, Verdict::Verified { .. }));
    assert_eq!(h.audit().iter().filter(|kind| *kind == "stream.trimmed").count(), 3);
    assert_eq!(h.state(task).await, State::Completed);
    h.round(DAY * 20).await;
    assert!(h.all(stream).is_empty());
    assert_eq!(h.store.reader().task(TENANT, task).unwrap(), None);
    assert_eq!(h.audit().last().unwrap(), "task.deleted");
}

#[tokio::test]
async fn a_long_stream_is_dropped_piece_by_piece() {
    let h = Harness::keeping(memory(), keep(30, None, None));
    let task = h.logged(1_200).await;
    let short = h.logged(2).await;
    h.round(DAY * 31).await;
    for task in [task, short] {
        assert_eq!(h.store.reader().task(TENANT, task).unwrap(), None);
    }
    let audit = h.audit();
    assert_eq!(audit.iter().filter(|kind| *kind == "stream.trimmed").count(), 3);
    assert_eq!(audit.iter().filter(|kind| *kind == "task.deleted").count(), 2);
}

#[tokio::test]
async fn live_tasks_are_never_touched() {
    let h = Harness::keeping(memory(), keep(0, Some(0), Some(0)));
    let worker = h.worker(1).await;
    let task = h.submit(mock()).await.unwrap().task.id;
    let claimed = h.claim(worker, 1).await.unwrap();
    h.write(worker, &claimed, 1, (0..10).map(log).collect(), None).await.unwrap();
    let written = h.all(StreamName::Task(task));
    h.wish(task, Wish::Pause { reason: None }).await.unwrap();
    h.round(DAY * 100).await;
    assert_eq!(h.all(StreamName::Task(task))[..written.len()], written);
}

#[tokio::test]
async fn rounds_that_were_missed_are_made_up_for_by_one() {
    let store = memory();
    let h = Harness::keeping(store.clone(), Retention::default());
    h.worker(1).await;
    let first = h.engine.now();
    h.until("the first round ends", || h.ran_at() == Some(first)).await;
    h.pass(EVERY - Duration::from_secs(1)).await;
    h.pass(Duration::ZERO).await;
    assert_eq!(h.ran_at(), Some(first));
    h.round(EVERY * 3).await;
    let second = h.engine.now();
    let commits = h.engine.counters().commits.load(std::sync::atomic::Ordering::Relaxed);
    h.pass(EVERY - Duration::from_secs(1)).await;
    assert_eq!(h.ran_at(), Some(second));
    let workers = h.engine.read(|store| store.workers()).await.unwrap();
    assert_eq!(workers.len(), 1);
    let after = h.engine.counters().commits.load(std::sync::atomic::Ordering::Relaxed);
    assert!(after - commits <= 2, "{} commits for nothing", after - commits);
    drop(h);
    // Another start of the server knows when the last round was.
    let h = Harness::keeping(store, Retention::default());
    h.pass(Duration::from_secs(1)).await;
    assert_eq!(h.ran_at(), Some(second));
    h.clock.set_wall(second.plus(EVERY));
    h.round(Duration::from_secs(1)).await;
    // Nobody has heard from the worker for a day.
    h.round(DAY).await;
    assert_eq!(h.engine.read(|store| store.workers()).await.unwrap(), []);
}

#[tokio::test]
async fn a_blob_goes_an_hour_after_it_was_put_or_with_the_last_task_that_named_it() {
    let h = Harness::keeping(memory(), keep(30, None, None)).with_tenant().await;
    let put =
        async |bytes: &[u8]| h.engine.blob_put(TENANT, "text/plain".into(), bytes.to_vec()).await.unwrap();
    let (stray, used) = (put(b"stray").await, put(b"used").await);
    assert_eq!(put(b"used").await, used, "equal bytes are kept once");
    let mut spec = mock();
    spec.input = Some(used.to_value());
    let task = h.submit(spec).await.unwrap().task.id;
    h.wish(task, Wish::Cancel { reason: None }).await.unwrap();
    h.round(EVERY * 2).await;
    assert_eq!(h.engine.blob(TENANT, &stray.id).await.unwrap(), None);
    assert_eq!(h.store.blob().get(TENANT, &stray.id).unwrap(), None);
    assert_eq!(h.engine.blob(TENANT, &used.id).await.unwrap(), Some((used.clone(), b"used".to_vec())));
    h.round(DAY * 31).await;
    assert_eq!(h.engine.blob(TENANT, &used.id).await.unwrap(), None);
    assert_eq!(h.store.blob().get(TENANT, &used.id).unwrap(), None);
}

#[tokio::test]
async fn a_blob_that_is_not_there_is_refused_and_sinks_nobody_else() {
    let h = Harness::new().with_tenant().await;
    let put = h.engine.blob_put(TENANT, "text/plain".into(), b"x".to_vec()).await.unwrap();
    let bad = [
        BlobName { id: "0f".repeat(32), ..put.clone() }.to_value(),
        BlobName { size: 2, ..put.clone() }.to_value(),
        json(&format!("[{}]", put.to_value())),
    ];
    let good = h.submit(mock());
    let bad = bad.map(|input| {
        let mut spec = mock();
        spec.input = Some(input);
        h.submit(spec)
    });
    let (good, bad) = tokio::join!(good, futures_util::future::join_all(bad));
    good.unwrap();
    for refused in bad {
        let refusal = refused.unwrap_err();
        assert_eq!((refusal.code, &*refusal.errors[0].field), (Code::InvalidRequest, "input"));
    }
    // A worker's values are looked at in the same way; one that speaks of blobs is put aside.
    let worker = h.worker(1).await;
    let claimed = h.claim(worker, 1).await.unwrap();
    let lost = BlobName { id: "0f".repeat(32), ..put.clone() }.to_value();
    let refused = h.write(worker, &claimed, 1, vec![step(lost.as_str())], None).await.unwrap_err();
    assert!(matches!(refused, SourceError::Refused(refusal) if refusal.errors[0].field == "result"));
    let end = AttemptEnd::Completed { result: put.to_value() };
    h.write(worker, &claimed, 1, Vec::new(), Some(end)).await.unwrap();
}

#[tokio::test]
async fn a_value_that_is_too_large_for_an_event_becomes_a_blob() {
    let h = Harness::new().with_tenant().await;
    let worker = h.worker(1).await;
    let task = h.submit(mock()).await.unwrap().task.id;
    let claimed = h.claim(worker, 1).await.unwrap();
    let large = |c: &str| json(&format!("\"{}\"", c.repeat(limits::VALUE_BYTES)));
    let end = Some(AttemptEnd::Completed { result: large("r") });
    h.write(worker, &claimed, 1, vec![step(large("s").as_str())], end).await.unwrap();
    let events = h.events(task);
    for (event, expected) in [(&events[2], large("s")), (&events[3], large("r"))] {
        let body = event.body().unwrap().unwrap();
        let name = BlobName::of(body.value().unwrap().1).unwrap().unwrap();
        assert_eq!(name.media_type, everloop_types::blob::VALUE);
        let (_, bytes) = h.engine.blob(TENANT, &name.id).await.unwrap().unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), expected.as_str());
    }
    assert_eq!(h.kinds(task).len(), 4);
}

#[tokio::test]
async fn a_wall_clock_that_jumps_makes_no_living_worker_forgotten() {
    let h = Harness::new();
    h.worker(1).await;
    let first = h.engine.now();
    h.until("the first round ends", || h.ran_at() == Some(first)).await;
    let later = first.plus(DAY * 3);
    h.clock.set_wall(later);
    h.pass(Duration::ZERO).await;
    h.until("a round ends", || h.ran_at() == Some(later)).await;
    assert_eq!(h.engine.read(|store| store.workers()).await.unwrap().len(), 1);
}
