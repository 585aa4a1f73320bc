//! Gates and races under lost leases and changed code.

use crate::code::{lose, start, until};
use crate::harness::{Harness, json, mock};
use everloop_engine::pipeline::op::Wish;
use everloop_types::error::{Code, TaskError};
use everloop_types::event::EventBody;
use everloop_types::id::TaskId;
use everloop_types::json::Json;
use everloop_types::state::State;
use everloop_worker::context::{Context, canonical};
use everloop_worker::executor::Stop;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The end of a task: its result, or its error's code.
fn end(h: &Harness, task: TaskId) -> String {
    match h.events(task).last().unwrap().body().unwrap().unwrap() {
        EventBody::Completed(completed) => completed.result.as_str().to_owned(),
        EventBody::Failed(failed) => failed.error.code,
        other => panic!("{other:?}"),
    }
}

async fn step(context: &Context, name: &str) -> Result<u32, Stop> {
    context.step(name).run(async { Ok::<_, TaskError>(1) }).await
}

/// Code that was changed while its tasks ran: 0 has no gate, 1 to 3 have one up to this version, 9 had it removed.
async fn generation(context: Context, generation: u32, held: Arc<AtomicBool>) -> Result<Json, Stop> {
    step(&context, "a").await?;
    let version = match generation {
        0 | 9 => 0,
        max => context.version("change", max.saturating_sub(1), max)?,
    };
    step(&context, "b").await?;
    if held.load(Ordering::SeqCst) {
        context.flush().await?;
        context.custom("held", &1)?;
        std::future::pending::<()>().await;
    }
    canonical(&version)
}

/// Runs a task under one generation of the code up to the middle, and to its end under another.
async fn change(from: u32, to: u32) -> (Harness, TaskId) {
    let h = Harness::new();
    let (now, held) = (Arc::new(AtomicU32::new(from)), Arc::new(AtomicBool::new(true)));
    let (code, hold) = (now.clone(), held.clone());
    let stop =
        start(&h, move |context| Box::pin(generation(context, code.load(Ordering::SeqCst), hold.clone())));
    // The worker goes on to the end of the test.
    std::mem::forget(stop);
    let task = h.submit(mock()).await.unwrap().task.id;
    until(&h, task, "custom.held", 1).await;
    now.store(to, Ordering::SeqCst);
    held.store(false, Ordering::SeqCst);
    lose(&h, task).await;
    (h, task)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_stays_with_the_version_that_it_passed_a_gate_as() {
    // What it ran as, what runs now, what that makes of it.
    for (from, to, result) in [(1, 1, "1"), (1, 2, "1"), (2, 2, "2"), (0, 1, "0"), (2, 9, "0")] {
        let (h, task) = change(from, to).await;
        h.reaches(task, State::Completed).await;
        assert_eq!(end(&h, task), result, "{from} {to}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_the_code_has_forgotten_stands_the_task_still() {
    let (h, task) = change(1, 3).await;
    h.reaches(task, State::Paused).await;
    let EventBody::Paused(paused) = h.events(task).last().unwrap().body().unwrap().unwrap() else { panic!() };
    assert_eq!(paused.reason, "nondeterminism");
    let details = paused.details.unwrap();
    assert!(details.as_str().contains("\"recorded\":{\"version\":1}"), "{details}");
    assert!(details.as_str().contains("\"code\":{\"max\":3,\"min\":2}"), "{details}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_has_won_a_race_has_won_it_for_good() {
    let h = Harness::new();
    let runs: Arc<Mutex<Vec<&str>>> = Arc::default();
    let seen = runs.clone();
    let _stop = start(&h, move |context| {
        let seen = seen.clone();
        Box::pin(async move {
            let first = seen.lock().unwrap().is_empty();
            let lost = seen.clone();
            let won = seen.clone();
            let (winner, value) = context
                .race("who")
                .branch(|context| async move {
                    // It records a step before it falls behind, and would be faster the next time.
                    step(&context, "early").await?;
                    lost.lock().unwrap().push("lost");
                    if first { std::future::pending().await } else { Ok(0) }
                })
                .branch(|context| async move {
                    step(&context, "one").await?;
                    step(&context, "two").await?;
                    won.lock().unwrap().push("won");
                    Ok(7)
                })
                .run()
                .await?;
            // Another race of that name has steps of its own.
            let (_, again) = context
                .race("who")
                .branch(|context| async move { step(&context, "early").await })
                .run()
                .await?;
            if first {
                context.custom("held", &1)?;
                std::future::pending::<()>().await;
            }
            canonical(&(winner, value, again))
        })
    });
    let task = h.submit(mock()).await.unwrap().task.id;
    until(&h, task, "custom.held", 1).await;
    lose(&h, task).await;
    h.reaches(task, State::Completed).await;
    assert_eq!(end(&h, task), "[1,7,1]");
    assert_eq!(*runs.lock().unwrap(), ["lost", "won", "won"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lasting_error_wins_a_race_and_a_passing_one_ends_the_try() {
    for (code, class, expected) in
        [(Code::ExitStatus, "lasting", "exit_status"), (Code::Internal, "passing", "9")]
    {
        let h = Harness::new();
        let tries = Arc::new(AtomicU32::new(0));
        let _stop = start(&h, move |context| {
            let tries = tries.clone();
            Box::pin(async move {
                let (_, value) = context
                    .race("who")
                    .branch(|context| async move {
                        let fails = tries.fetch_add(1, Ordering::SeqCst) == 0;
                        let work = async { if fails { Err(TaskError::new(code, "no")) } else { Ok(9) } };
                        context.step("fails").run(work).await
                    })
                    .branch(|_| std::future::pending())
                    .run()
                    .await?;
                canonical(&value)
            })
        });
        let mut spec = mock();
        spec.policy.retry.initial_ms = 1;
        let task = h.submit(spec).await.unwrap().task.id;
        if class == "passing" {
            until(&h, task, "task.retry_scheduled", 1).await;
            h.clock.advance(Duration::from_secs(60));
        }
        h.reaches(task, if class == "passing" { State::Completed } else { State::Failed }).await;
        assert_eq!(end(&h, task), expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timer_in_a_race_fires_when_it_was_first_said_to() {
    let h = Harness::new();
    let _stop = start(&h, |context| {
        Box::pin(async move {
            let (_, value) = context
                .race("all")
                .branch(|context| async move {
                    context.wait_input("a").await?;
                    context.wait_input("b").await
                })
                .branch(|context| async move {
                    context.sleep("hour", Duration::from_secs(3600)).await?;
                    canonical(&"late")
                })
                .run()
                .await?;
            Ok(value)
        })
    });
    let task = h.submit(mock()).await.unwrap().task.id;
    h.reaches(task, State::Waiting).await;
    h.clock.advance(Duration::from_secs(3000));
    let a = Wish::Input { id: "sig_1".to_owned(), name: "a".to_owned(), data: json("1") };
    h.wish(task, a).await.unwrap();
    until(&h, task, "task.waiting", 2).await;
    h.clock.advance(Duration::from_secs(599));
    h.pass(Duration::ZERO).await;
    assert_eq!(h.state(task).await, State::Waiting);
    h.clock.advance(Duration::from_secs(2));
    h.reaches(task, State::Completed).await;
    assert_eq!(end(&h, task), "\"late\"");
}
