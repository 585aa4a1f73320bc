//! A worker in the engine's own process.

use crate::harness::{Harness, TENANT, json, mock};
use everloop_engine::source::EngineSource;
use everloop_exec::mock::Mock;
use everloop_testkit::system::RealClock;
use everloop_types::state::State;
use everloop_worker::executor::Registry;
use everloop_worker::run::{Options, Worker};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::watch;

fn start(h: &Harness, slots: u32) -> (watch::Sender<bool>, tokio::task::JoinHandle<()>) {
    let (stop, stopped) = watch::channel(false);
    let worker = Worker {
        source: Arc::new(EngineSource::embedded(h.engine.clone())),
        registry: Registry::default().with(Arc::new(Mock)),
        clock: Arc::new(RealClock::default()),
        options: Options { max_concurrent_tasks: slots, ..Options::default() },
    };
    #[expect(clippy::disallowed_methods, reason = "a test may")]
    let running = tokio::spawn(async move { worker.run(stopped).await.unwrap() });
    (stop, running)
}

async fn registered(h: &Harness) {
    while h.engine.read(|store| store.workers()).await.unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_of_one_step_costs_two_commits_and_ten_rows_when_its_claim_is_folded() {
    let h = Harness::new();
    let (stop, running) = start(&h, 4);
    registered(&h).await;
    let counters = h.engine.counters();
    let count = || (counters.commits.load(Ordering::SeqCst), counters.rows.load(Ordering::SeqCst));
    let mut costs = Vec::new();
    for n in 0..8 {
        let before = count();
        let mut spec = mock();
        spec.input = Some(json("{\"steps\":[{\"name\":\"a\"}]}"));
        let task = h.submit_with(spec, Some((&format!("k{n}"), 1))).await.unwrap().task.id;
        h.reaches(task, State::Completed).await;
        assert_eq!(h.kinds(task), ["task.submitted", "task.started", "step.completed", "task.completed"]);
        let own = h.engine.read(move |store| store.task(TENANT, task)).await.unwrap().unwrap();
        assert!(own.signature.is_some());
        let after = count();
        costs.push((after.0 - before.0, after.1 - before.1));
    }
    // A heartbeat or a sweep may fall into one of them, and only adds.
    assert_eq!(costs.iter().map(|(commits, _)| *commits).min(), Some(2), "{costs:?}");
    assert!(costs.iter().any(|(_, rows)| *rows <= 10), "{costs:?}");
    stop.send_replace(true);
    running.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_tasks_than_slots_are_all_done_once() {
    let h = Harness::new();
    let (stop, running) = start(&h, 3);
    let mut tasks = Vec::new();
    for n in 0..200 {
        let mut spec = mock();
        spec.input = Some(json(&format!("{{\"result\":{n},\"steps\":[{{}}]}}")));
        tasks.push(h.submit(spec).await.unwrap().task.id);
    }
    for task in tasks {
        h.reaches(task, State::Completed).await;
        let kinds = h.kinds(task);
        assert_eq!(kinds.iter().filter(|kind| *kind == "task.started").count(), 1, "{kinds:?}");
    }
    stop.send_replace(true);
    running.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mock_that_fails_at_first_is_tried_again_and_waits_for_its_input() {
    let h = Harness::new();
    let (stop, running) = start(&h, 3);
    let mut spec = mock();
    spec.policy.retry.initial_ms = 1;
    spec.input = Some(json(
        "{\"steps\":[{\"name\":\"a\",\"result\":1},{\"name\":\"b\",\"fail_attempts\":1,\"events\":2}],\"wait_for_input\":\"go\"}",
    ));
    let task = h.submit(spec).await.unwrap().task.id;
    let waiting = async {
        while h.state(task).await != State::Waiting {
            h.clock.advance(std::time::Duration::from_secs(1));
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), waiting).await.unwrap();
    let input = everloop_engine::pipeline::op::Wish::Input {
        id: "sig_1".to_owned(),
        name: "go".to_owned(),
        data: json("7"),
    };
    h.wish(task, input.clone()).await.unwrap();
    h.reaches(task, State::Completed).await;
    let kinds = h.kinds(task);
    // Whoever did not hear the answer sends it again, and changes nothing.
    assert_eq!(h.wish(task, input).await.unwrap(), State::Completed);
    assert_eq!(h.kinds(task), kinds);
    // The first step was recorded once, and not run again by the second try or after the wait.
    assert_eq!(kinds.iter().filter(|kind| *kind == "step.completed").count(), 2, "{kinds:?}");
    assert_eq!(kinds.iter().filter(|kind| *kind == "step.failed").count(), 1, "{kinds:?}");
    stop.send_replace(true);
    running.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_workers_do_a_thousand_tasks_once_each() {
    let h = Harness::new();
    let workers: Vec<_> = (0..5).map(|_| start(&h, 4)).collect();
    while h.engine.read(|store| store.workers()).await.unwrap().len() < workers.len() {
        tokio::task::yield_now().await;
    }
    // All at once, and none done at once: nobody has room for all of them.
    let submit = |_| async {
        let mut spec = mock();
        spec.input = Some(json("{\"steps\":[{\"duration_ms\":2}]}"));
        h.submit(spec).await.unwrap().task.id
    };
    let tasks = futures_util::future::join_all((0..1_000).map(submit)).await;
    let mut by_worker = std::collections::BTreeMap::new();
    for task in tasks {
        h.reaches(task, State::Completed).await;
        assert_eq!(h.kinds(task), ["task.submitted", "task.started", "step.completed", "task.completed"]);
        *by_worker.entry(h.events(task)[1].actor.clone()).or_insert(0) += 1;
    }
    assert_eq!(by_worker.len(), 5, "{by_worker:?}");
    for (stop, running) in workers {
        stop.send_replace(true);
        running.await.unwrap();
    }
}
