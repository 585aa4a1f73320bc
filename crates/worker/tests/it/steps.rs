//! Tries of a step, values that are taken once, and cleaning up.

use crate::script::{Ended, attempt, code};
use everloop_types::error::{Class, TaskError};
use everloop_types::event::{ApprovalDecision, EventBody, StepFailed, Waiting};
use everloop_types::json::Json;
use everloop_types::step::OnUnknown;
use everloop_types::time::Timestamp;
use everloop_types::wait::Wait;
use everloop_worker::context::{Context, canonical};
use everloop_worker::executor::Stop;
use everloop_worker::source::AttemptEnd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const SOON: Duration = Duration::from_millis(1);

fn failures(events: &[EventBody]) -> Vec<(u32, bool)> {
    let failure = |body: &EventBody| match body {
        EventBody::StepFailed(step) => Some((step.r#try, step.next_at.is_some())),
        _ => None,
    };
    events.iter().filter_map(failure).collect()
}

/// A step that fails in so many tries and gives the number of the one that did not.
fn flaky(fails: u32, retries: u32) -> crate::script::Written {
    let tries = Arc::new(AtomicU32::new(0));
    code(move |context: Context| {
        let tries = tries.clone();
        async move {
            let one = || async {
                let n = tries.fetch_add(1, Ordering::SeqCst) + 1;
                if n <= fails { Err(TaskError::transient("flaky", n)) } else { Ok(n) }
            };
            let step = context.step("flaky").retries(retries).backoff(SOON, SOON);
            let n: u32 = step.run(one).await?;
            canonical(&n)
        }
    })
}

#[tokio::test]
async fn a_step_is_tried_again_by_itself_and_its_tries_are_recorded() {
    let ended = attempt(Vec::new(), None, flaky(2, 2)).await;
    assert_eq!(ended.result(), "3");
    assert_eq!(failures(&ended.events), [(1, true), (2, true)]);
    let ended = attempt(Vec::new(), None, flaky(9, 2)).await;
    assert_eq!(ended.error().code, "flaky");
    // The last one has ended the try of the task: it runs again with the next one.
    assert_eq!(failures(&ended.events), [(1, true), (2, true), (3, true)]);
    // And then once for each try of the task.
    let ended = attempt(ended.events, None, flaky(9, 2)).await;
    assert_eq!(failures(&ended.events), [(4, true)]);
}

#[tokio::test]
async fn a_long_pause_between_tries_frees_the_worker() {
    let nothing = everloop_journal::digest::intent(&everloop_types::json::Json::null());
    let failed = StepFailed {
        error: TaskError::transient("flaky", 1),
        intent: nothing,
        kind: "step".to_owned(),
        next_at: Some(Timestamp::MAX),
        step: "flaky#1".to_owned(),
        r#try: 1,
    };
    let mut past = vec![EventBody::from(failed)];
    let timer = Wait::Timer { at: Timestamp::MAX, id: "flaky#1/try-2".to_owned() };
    let ended = attempt(past.clone(), None, flaky(0, 2)).await;
    assert_eq!(ended.end, AttemptEnd::Waiting { wait: timer.clone() });
    past.push(Waiting { r#for: timer }.into());
    assert_eq!(attempt(past, None, flaky(0, 2)).await.result(), "1");
}

#[tokio::test]
async fn a_failure_that_the_code_has_seen_is_an_outcome() {
    let caught = |context: Context| async move {
        let work = async { Err::<(), _>(TaskError::transient("down", "no")) };
        let failed = context.step("call").run(work).await;
        let Err(Stop::Failed(error)) = failed else { panic!("{failed:?}") };
        context.step("instead").run(async { Ok(()) }).await?;
        canonical(&error.code)
    };
    let ended = attempt(Vec::new(), None, code(caught)).await;
    assert_eq!(ended.result(), "\"down\"");
    assert_eq!(failures(&ended.events), [(1, false)]);
    // It is replayed, and not done again.
    let again = attempt(ended.events, None, code(caught)).await;
    assert_eq!((again.result(), again.events.len()), ("\"down\"", 0));
}

#[tokio::test]
async fn a_try_that_takes_too_long_fails() {
    let slow = |context: Context| async move {
        let step = context.step("slow").timeout(Duration::from_millis(20));
        step.run(std::future::pending::<Result<(), TaskError>>()).await?;
        canonical(&())
    };
    let ended = attempt(Vec::new(), None, code(slow)).await;
    assert_eq!((ended.error().code.as_str(), ended.error().class), ("step_timeout", Class::Transient));
}

#[tokio::test]
async fn a_step_that_says_that_nobody_knows_is_in_doubt() {
    let cut = |on_unknown| {
        code(move |context: Context| async move {
            let work = async { Err::<u32, _>(TaskError::transient("outcome_unknown", "the line is dead")) };
            canonical(&context.step("pay").on_unknown(on_unknown).run(work).await?)
        })
    };
    let asked = |ended: &Ended| match &ended.end {
        AttemptEnd::Waiting { wait: Wait::Decision { id } } => id.clone(),
        other => panic!("{other:?}"),
    };
    let answered = |id: &str, decision: &str, result: Option<&str>| {
        let result = result.map(|text| Json::from_canonical(text.to_owned()).unwrap());
        let (id, decision) = (id.to_owned(), decision.to_owned());
        EventBody::from(ApprovalDecision { id, decision, note: None, result })
    };
    let mut past = Vec::new();
    for (id, decision, result) in [("pay#1", "rerun", None), ("pay#1/start-2", "happened", Some("7"))] {
        let ended = attempt(past.clone(), None, cut(OnUnknown::Ask)).await;
        assert_eq!(asked(&ended), id);
        past.extend(ended.events);
        past.push(answered(id, decision, result));
    }
    assert_eq!(attempt(past, None, cut(OnUnknown::Ask)).await.result(), "7");

    let ended = attempt(Vec::new(), None, cut(OnUnknown::Fail)).await;
    assert_eq!((ended.error().code.as_str(), ended.error().class), ("outcome_unknown", Class::Validation));
    // One that may run again has only failed.
    let ended = attempt(Vec::new(), None, cut(OnUnknown::Rerun)).await;
    assert_eq!((failures(&ended.events), ended.error().class), (vec![(1, true)], Class::Transient));
}

#[tokio::test]
async fn values_are_taken_once() {
    let taken = |context: Context| async move {
        let (now, random, id) = (context.now()?, context.random()?, context.new_id()?);
        assert!((0.0..1.0).contains(&random));
        assert_ne!(context.new_id()?, id);
        canonical(&(now, random, id))
    };
    let ended = attempt(Vec::new(), None, code(taken)).await;
    assert_eq!(ended.steps(), ["now#1", "random#1", "id#1", "id#2"]);
    let result = ended.result().to_owned();
    let (_, _, id): (Timestamp, f64, String) = serde_json::from_str(&result).unwrap();
    assert_eq!((id.len(), &id[14..15]), (36, "4"), "{id}");
    let again = attempt(ended.events, None, code(taken)).await;
    assert_eq!((again.result(), again.events.len()), (result.as_str(), 0));
}

#[tokio::test]
async fn it_is_cleaned_up_at_the_end_and_not_before() {
    async fn run(context: Context, how: &'static str) -> Result<everloop_types::json::Json, Stop> {
        let work = async {
            match how {
                "waits" => context.wait_input("go").await.map(drop),
                "lasting" => Err(TaskError::validation("no", "no").into()),
                "passing" => Err(TaskError::transient("no", "no").into()),
                _ => Ok(()),
            }
        };
        let clean = |context: Context| async move { context.step("tidy").run(async { Ok(()) }).await };
        context.finally(work, clean).await?;
        canonical(&())
    }
    for (how, is_cleaned) in [("waits", false), ("passing", false), ("lasting", true), ("well", true)] {
        let ended = attempt(Vec::new(), None, code(move |context| run(context, how))).await;
        assert_eq!(ended.steps() == ["tidy#1"], is_cleaned, "{how}: {ended:?}");
    }
}

#[tokio::test]
async fn nothing_is_said_twice() {
    let talks = |context: Context| async move {
        context.custom("first", &1)?;
        context.step("a").run(async { Ok(()) }).await?;
        context.custom("second", &2)?;
        canonical(&())
    };
    let names = |events: &[EventBody]| {
        let name = |body: &EventBody| match body {
            EventBody::Custom { name, .. } => Some(name.clone()),
            _ => None,
        };
        events.iter().filter_map(name).collect::<Vec<_>>()
    };
    let ended = attempt(Vec::new(), None, code(talks)).await;
    assert_eq!(names(&ended.events), ["first", "second"]);
    let recorded = ended.events.into_iter().filter(|body| matches!(body, EventBody::StepCompleted(_)));
    let again = attempt(recorded.collect(), None, code(talks)).await;
    assert_eq!(names(&again.events), ["second"]);
}
