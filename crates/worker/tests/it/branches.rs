//! Several things at once.

use crate::script::{attempt, code};
use everloop_types::error::TaskError;
use everloop_types::wait::Wait;
use everloop_worker::context::{Context, canonical};
use everloop_worker::source::AttemptEnd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

#[tokio::test]
async fn a_map_keeps_its_items_apart_and_runs_so_many_at_once() {
    let most = Arc::new(AtomicUsize::new(0));
    let seen = most.clone();
    let squares = code(move |context: Context| {
        let (running, most) = (Arc::new(AtomicUsize::new(0)), seen.clone());
        async move {
            let one = async |context: Context, n: u64| {
                let work = async {
                    most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(20 - n)).await;
                    running.fetch_sub(1, Ordering::SeqCst);
                    Ok(n * n)
                };
                context.step("square").args(&n).run(work).await
            };
            let squares: Vec<u64> =
                context.map("squares", 0..20).keyed(|n| format!("n-{n}")).concurrency(3).run(one).await?;
            canonical(&squares)
        }
    });
    let ended = attempt(Vec::new(), None, squares).await;
    let expected: Vec<u64> = (0..20).map(|n| n * n).collect();
    assert_eq!(ended.result(), canonical(&expected).unwrap().as_str());
    assert!(ended.steps().contains(&"squares#1[n-19]/square#1"), "{:?}", ended.steps());
    assert_eq!(most.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn two_items_of_one_name_are_refused() {
    for (names, why) in [(["a", "a"], "two branches"), (["a/b", "c"], "can name a branch")] {
        let run = code(move |context: Context| async move {
            let nothing = async |_: Context, _: &str| Ok(());
            let done = context.map("m", names).keyed(ToString::to_string).run(nothing).await?;
            canonical(&done)
        });
        let ended = attempt(Vec::new(), None, run).await;
        assert!(ended.error().message.contains(why), "{ended:?}");
    }
}

#[tokio::test]
async fn a_task_waits_for_any_of_what_its_branches_wait_for() {
    let waits = code(|context: Context| async move {
        let both = context
            .parallel("both")
            .branch(|context| async move { context.wait_input("a").await })
            .branch(|context| async move { context.wait_input("b").await })
            .branch(|context| async move {
                tokio::time::sleep(Duration::from_millis(20)).await;
                context.step("done").run(async { Ok(everloop_types::json::Json::null()) }).await
            });
        canonical(&both.run().await?)
    });
    let ended = attempt(Vec::new(), None, waits).await;
    let input =
        |n: usize, name: &str| Wait::Input { id: format!("both#1[{n}]/{name}#1"), name: name.to_owned() };
    assert_eq!(ended.end, AttemptEnd::Waiting { wait: Wait::Any(vec![input(0, "a"), input(1, "b")]) });
    // What could go on has gone on.
    assert_eq!(ended.steps(), ["both#1[2]/done#1"]);
}

#[tokio::test]
async fn the_first_failure_ends_the_whole() {
    let fails = code(|context: Context| async move {
        let both = context
            .parallel("both")
            .branch(|context| async move {
                context.step("bad").run(async { Err::<(), _>(TaskError::validation("bad", "no")) }).await
            })
            .branch(|_| std::future::pending());
        canonical(&both.run().await?)
    });
    assert_eq!(attempt(Vec::new(), None, fails).await.error().code, "bad");
}

#[tokio::test]
async fn a_long_timer_is_held_while_something_goes_on_beside_it() {
    let late = |context: Context| async move {
        let slow = |context: Context| async move {
            context.step("slow").run(std::future::pending::<Result<(), TaskError>>()).await
        };
        canonical(&context.timeout("limit", Duration::from_millis(2_100), slow).await?)
    };
    let ended = attempt(Vec::new(), None, code(late)).await;
    assert_eq!(ended.result(), "null");
    assert_eq!(ended.steps(), ["limit#1[1]/timeout#1", "limit#1"]);
    assert_eq!(attempt(ended.events, None, code(late)).await.result(), "null");
}

#[tokio::test]
async fn a_long_timer_frees_the_worker_once_nothing_goes_on_beside_it() {
    let waits = code(|context: Context| async move {
        let answer = |context: Context| async move {
            context.step("ask").run(async { Ok(()) }).await?;
            context.wait_input("answer").await
        };
        canonical(&context.timeout("patience", Duration::from_secs(3600), answer).await?)
    });
    let ended = attempt(Vec::new(), None, waits).await;
    let AttemptEnd::Waiting { wait: Wait::Any(waits) } = &ended.end else { panic!("{ended:?}") };
    assert!(matches!(waits.as_slice(), [Wait::Input { .. }, Wait::Timer { .. }]), "{waits:?}");
}
