//! What a fork keeps of its source.

use super::*;
use crate::machine::fork::prefix;
use everloop_journal::chain;
use everloop_types::event::Event;
use everloop_types::stream::StreamName;
use everloop_types::task::ForkedFrom;

fn history(bodies: &[EventBody]) -> Vec<Event> {
    let stream = StreamName::Task(OTHER);
    let mut head = chain::start(&stream);
    let link = |body: &EventBody| {
        let event = chain::link(
            &head,
            chain::Draft {
                tenant: TenantId::DEFAULT,
                stream,
                ts: at(0),
                kind: body.kind(),
                body_v: 1,
                actor: "who".to_owned(),
                trace: None,
                salt: [1; 16],
                data: body.data().unwrap(),
            },
        );
        head = chain::head_after(&event);
        event
    };
    bodies.iter().map(link).collect()
}

#[test]
fn a_fork_keeps_outcomes_up_to_its_place_and_what_children_told() {
    let child = Child { state: State::Failed, step: Some("call#1".to_owned()), task: TASK };
    let source = history(&[
        EventBody::Submitted(Box::new(mock())),
        started(),
        begins("a#1"),
        done("a#1"),
        StepFailed { next_at: Some(at(9)), ..failed_step() }.into(),
        StepFailed { next_at: None, ..failed_step() }.into(),
        child.into(),
        input("i"),
        done("b#1"),
        ended(),
    ]);
    let all = ["step.completed", "step.failed", "task.child", "step.completed"];
    for (upto_seq, kept) in [(1, 0), (3, 0), (4, 1), (5, 1), (6, 2), (7, 3), (8, 3), (9, 4), (10, 4)] {
        let from = ForkedFrom { hash: "00".to_owned(), keys_of: None, task: OTHER, upto_seq };
        let drafts = prefix("usr_1", from, &source);
        let expected: Vec<_> = std::iter::once("task.forked").chain(all[..kept].iter().copied()).collect();
        assert_eq!(kinds(Ok(drafts)).unwrap(), expected, "{upto_seq}");
    }
}
