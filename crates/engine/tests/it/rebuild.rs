//! What a task's events add up to is what the store has, whatever was done to it.

use crate::harness::{Harness, TENANT, json, memory, mock, transient};
use everloop_engine::machine::evolve::{Meta, born, evolve};
use everloop_engine::pipeline::op::Wish;
use everloop_types::event::{Event, EventBody, Level, Log};
use everloop_types::id::TaskId;
use everloop_types::task::{PauseReason, Task};
use everloop_types::wait::Wait;
use everloop_worker::source::{Assignment, AttemptEnd};
use proptest::prelude::*;
use std::time::Duration;

fn rebuild(id: TaskId, events: &[Event]) -> Task {
    let mut task = None;
    for event in events {
        let body = event.body().unwrap().unwrap();
        let bytes = event.payload.as_ref().unwrap().data.len();
        let meta = Meta { seq: event.seq, ts: event.ts, actor: &event.actor, bytes };
        match (&mut task, body) {
            (None, EventBody::Submitted(spec)) => task = Some(born(id, TENANT, meta, *spec)),
            (Some(task), body) => evolve(task, meta, &body).unwrap(),
            (None, body) => panic!("a stream begins with {body:?}"),
        }
    }
    task.unwrap()
}

#[derive(Clone, Debug)]
enum Act {
    Claim,
    Log,
    End(u8),
    Pause,
    Resume,
    Cancel,
    Input,
    Pass(u8),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        4 => Just(Act::Claim),
        2 => Just(Act::Log),
        3 => (0u8..6).prop_map(Act::End),
        1 => Just(Act::Pause),
        2 => Just(Act::Resume),
        1 => Just(Act::Cancel),
        1 => Just(Act::Input),
        2 => (0u8..3).prop_map(Act::Pass),
    ];
    proptest::collection::vec(act, 1..25)
}

async fn play(h: &Harness, acts: Vec<Act>) -> TaskId {
    let task = h.submit(mock()).await.unwrap().task.id;
    let worker = h.worker(1).await;
    let mut held: Option<Assignment> = None;
    let mut batch = 0;
    for (n, act) in acts.into_iter().enumerate() {
        match act {
            Act::Claim => {
                let request = n as u64 + 1;
                let claim = everloop_worker::source::WorkSource::claim(
                    &h.source,
                    worker,
                    1,
                    Duration::from_millis(5),
                    request,
                );
                if let Some(claimed) = claim.await.unwrap().pop() {
                    (held, batch) = (Some(claimed), 0);
                }
            }
            Act::Log => {
                if let Some(held) = &held {
                    let line = Log {
                        base64: None,
                        level: Level::Info,
                        offset: 0,
                        source: "t".to_owned(),
                        text: Some("x".to_owned()),
                    };
                    if h.write(worker, held, batch + 1, vec![line.into()], None).await.is_ok() {
                        batch += 1;
                    }
                }
            }
            Act::End(how) => {
                let Some(held) = held.take() else { continue };
                let end = match how {
                    0 => AttemptEnd::Completed { result: json("1") },
                    1 => AttemptEnd::Failed { error: transient() },
                    2 => AttemptEnd::Waiting {
                        wait: Wait::Input { id: "i#1".to_owned(), name: "go".to_owned() },
                    },
                    3 => AttemptEnd::Paused {
                        reason: PauseReason {
                            by: String::new(),
                            details: None,
                            reason: "requested".to_owned(),
                        },
                    },
                    4 => AttemptEnd::Released,
                    _ => AttemptEnd::Cancelled,
                };
                // Refused or not: what counts is that the record follows the events.
                let _ = h.write(worker, &held, batch + 1, Vec::new(), Some(end)).await;
            }
            Act::Pause => drop(h.wish(task, Wish::Pause { reason: None }).await),
            Act::Resume => drop(h.wish(task, Wish::Resume).await),
            Act::Cancel => drop(h.wish(task, Wish::Cancel { reason: None }).await),
            Act::Input => {
                let input = Wish::Input { id: format!("sig_{n}"), name: "go".to_owned(), data: json("1") };
                drop(h.wish(task, input).await);
            }
            Act::Pass(seconds) => h.pass(Duration::from_secs(u64::from(seconds) * 60)).await,
        }
    }
    task
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn rebuilding_a_task_from_its_events_gives_the_same_record(acts in acts()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let h = Harness::over(memory(), 4);
            let task = play(&h, acts).await;
            // A look at both that nothing has changed in between.
            loop {
                let before = h.engine.snapshot(TENANT, task).await.unwrap();
                let events = h.events(task);
                if events.len() as u64 == before.head.seq {
                    h.kinds(task);
                    assert_eq!(rebuild(task, &events), *before.task);
                    break;
                }
            }
        });
    }
}
