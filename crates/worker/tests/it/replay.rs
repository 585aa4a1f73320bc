//! Pasts that are only replayed, and code that is run again after every step.

use crate::script::{Written, attempt, code};
use everloop_types::error::TaskError;
use everloop_types::event::EventBody;
use everloop_types::worker::Replay;
use everloop_worker::context::{Context, canonical};
use everloop_worker::executor::Stop;
use everloop_worker::source::AttemptEnd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Calls of steps, and runs of the code from its top.
#[derive(Default)]
struct Counted {
    calls: AtomicU32,
    runs: AtomicU32,
}

async fn step(context: &Context, name: &str, counted: &Counted) -> Result<u32, Stop> {
    let work = async { Ok::<_, TaskError>(counted.calls.fetch_add(1, Ordering::SeqCst)) };
    context.step(name).run(work).await
}

/// A step, two branches of two steps each, and a step.
fn sample(counted: &Arc<Counted>) -> Written {
    let counted = counted.clone();
    code(move |context: Context| {
        let counted = counted.clone();
        async move {
            counted.runs.fetch_add(1, Ordering::SeqCst);
            context.custom("begins", &1)?;
            step(&context, "first", &counted).await?;
            let both = async |context: Context, _: u32| {
                step(&context, "a", &counted).await?;
                step(&context, "b", &counted).await
            };
            context.map("map", 0..2).run(both).await?;
            step(&context, "last", &counted).await?;
            canonical(&"end")
        }
    })
}

fn without(past: &[EventBody], steps: &[&str]) -> Vec<EventBody> {
    let is_left = |body: &&EventBody| !matches!(body, EventBody::StepCompleted(step) if steps.contains(&step.step.as_str()));
    past.iter().filter(is_left).cloned().collect()
}

#[tokio::test]
async fn a_dry_run_does_nothing_and_says_where_it_stands() {
    let whole = attempt(Vec::new(), None, sample(&Arc::default())).await;
    assert!(whole.capabilities.contains(&"replay".to_owned()), "{:?}", whole.capabilities);
    let cases: [(&[&str], &str); 4] = [
        (&["last#1"], r#"{"ahead":0,"at":["last#1"]}"#),
        (&["map#1[1]/b#1", "map#1[0]/b#1"], r#"{"ahead":1,"at":["map#1[0]/b#1","map#1[1]/b#1"]}"#),
        (&["map#1[1]/a#1"], r#"{"ahead":2,"at":["map#1[1]/a#1"]}"#),
        (&["first#1"], r#"{"ahead":5,"at":["first#1"]}"#),
    ];
    for (missing, details) in cases {
        let counted = Arc::default();
        let dry = attempt(without(&whole.events, missing), Some(Replay::Only), sample(&counted)).await;
        assert_eq!(dry.paused(), ("replayed", details));
        assert_eq!((dry.events.len(), counted.calls.load(Ordering::SeqCst)), (0, 0), "{:?}", dry.events);
    }
    // Where the code really ends, it ends as always.
    let dry = attempt(whole.events.clone(), Some(Replay::Only), sample(&Arc::default())).await;
    assert_eq!((dry.result(), dry.events.len()), ("\"end\"", 0));
}

#[tokio::test]
async fn a_dry_run_finds_code_that_has_changed() {
    let whole = attempt(Vec::new(), None, sample(&Arc::default())).await;
    let other = code(|context: Context| async move {
        context.step("first").args(&"other").run(async { Ok(()) }).await?;
        canonical(&"end")
    });
    let dry = attempt(whole.events.clone(), Some(Replay::Only), other).await;
    assert_eq!(dry.paused().0, "nondeterminism");
    let shorter = code(|_: Context| async move { canonical(&"end") });
    assert_eq!(attempt(whole.events, Some(Replay::Only), shorter).await.paused().0, "nondeterminism");
}

#[tokio::test]
async fn a_dry_run_asks_nobody_and_waits_for_what_is_waited_for() {
    let asks = |context: Context| async move {
        context.ask("ok", "ok?", &["yes"], None).await?;
        canonical(&())
    };
    let dry = attempt(Vec::new(), Some(Replay::Only), code(asks)).await;
    assert_eq!((dry.paused(), dry.events.len()), (("replayed", r#"{"ahead":0,"at":["ok#1"]}"#), 0));
    let waits = |context: Context| async move { context.wait_input("go").await };
    let dry = attempt(Vec::new(), Some(Replay::Only), code(waits)).await;
    assert!(matches!(dry.end, AttemptEnd::Waiting { .. }), "{dry:?}");
    // Beside something that stands, it is said where it waits.
    let both = |context: Context| async move {
        let both = context
            .parallel("both")
            .branch(|context| async move { context.wait_input("go").await.map(drop) })
            .branch(|context| async move { context.sleep("nap", std::time::Duration::from_millis(1)).await });
        canonical(&both.run().await?)
    };
    let dry = attempt(Vec::new(), Some(Replay::Only), code(both)).await;
    assert_eq!(dry.paused().1, r#"{"ahead":0,"at":["both#1[0]/go#1","both#1[1]/nap#1"]}"#);
}

/// A race of a slow step and a fast one, and a log line.
fn race() -> Written {
    code(|context: Context| async move {
        let race = context
            .race("race")
            .branch(|context| async move {
                let slow = async {
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                    Ok("slow".to_owned())
                };
                context.step("slow").run(slow).await
            })
            .branch(|context| async move { context.step("fast").run(async { Ok("fast".to_owned()) }).await });
        let won = race.run().await?;
        context.custom("won", &won)?;
        canonical(&won)
    })
}

#[tokio::test]
async fn no_race_is_decided_by_a_dry_run_or_by_being_run_again() {
    let always = attempt(Vec::new(), Some(Replay::Always), race()).await;
    assert_eq!(always.result(), r#"[1,"fast"]"#);
    assert_eq!(always.steps(), ["race#1[1]/fast#1", "race#1"]);
    assert_eq!(always.events.len(), 3, "{:?}", always.events);
    let undecided = without(&always.events, &["race#1"]);
    let dry = attempt(undecided, Some(Replay::Only), race()).await;
    assert_eq!(dry.paused().1, r#"{"ahead":0,"at":["race#1"]}"#);
}

#[tokio::test]
async fn code_that_is_replayed_after_every_step_does_each_step_once() {
    let counted = Arc::default();
    let ended = attempt(Vec::new(), Some(Replay::Always), sample(&counted)).await;
    assert_eq!(ended.result(), "\"end\"");
    assert_eq!(ended.steps().len(), 6);
    assert_eq!(counted.calls.load(Ordering::SeqCst), 6);
    // Both branches come a step further with each run.
    assert_eq!(counted.runs.load(Ordering::SeqCst), 5);
    let said = ended.events.iter().filter(|body| matches!(body, EventBody::Custom { .. }));
    assert_eq!(said.count(), 1);
}

#[tokio::test]
async fn code_that_is_not_the_same_twice_is_found_out_at_once() {
    let runs = Arc::new(AtomicU32::new(0));
    let impure = code(move |context: Context| {
        let runs = runs.clone();
        async move {
            let run = runs.fetch_add(1, Ordering::SeqCst);
            context.step("s").args(&run).run(async { Ok(()) }).await?;
            canonical(&())
        }
    });
    let ended = attempt(Vec::new(), Some(Replay::Always), impure).await;
    assert_eq!(ended.paused().0, "nondeterminism");
}
