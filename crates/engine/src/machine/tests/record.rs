//! What a record adds up to, and the rows that it needs.

use super::*;
use everloop_store::work::Row;

#[test]
fn the_timer_is_the_earliest_time_and_the_next_one_what_is_still_to_come() {
    let with = |deadline: Option<u64>, not_before: Option<u64>| {
        let mut spec = mock();
        spec.policy.deadline = deadline.map(at);
        spec.not_before = not_before.map(at);
        spec
    };
    let both = Wait::All(vec![timer(30), for_input("go")]);
    let run = |spec: TaskSpec, then: Vec<EventBody>| {
        task(TaskSpec { not_before: None, ..spec }, std::iter::once(started()).chain(then).collect())
    };
    // What the row says, and what it says when nothing is due at 35.
    for (task, row, next) in [
        (task(mock(), vec![]), None, None),
        (task(with(None, Some(50)), vec![]), Some(50), Some(50)),
        (task(with(Some(40), Some(50)), vec![]), Some(40), Some(40)),
        (task(with(Some(60), Some(50)), vec![]), Some(50), Some(50)),
        (task(with(Some(60), Some(30)), vec![]), Some(30), Some(60)),
        (run(with(Some(60), None), vec![]), Some(60), Some(60)),
        (run(with(Some(35), None), vec![]), Some(35), None),
        (run(mock(), vec![retry(50)]), Some(50), Some(50)),
        (run(with(Some(60), None), vec![waits(both.clone())]), Some(30), Some(60)),
        (run(mock(), vec![waits(both)]), Some(30), None),
        (run(with(Some(60), None), vec![paused()]), Some(60), Some(60)),
        (run(with(Some(60), None), vec![ended()]), None, None),
    ] {
        assert_eq!(project::timer_row(&task).map(|row| row.at), row.map(at), "{task:?}");
        assert_eq!(project::next_timer_row(&task, at(35)).map(|row| row.at), next.map(at), "{task:?}");
    }
}

#[test]
fn rows_follow_the_task_and_nothing_is_written_twice() {
    let words = |before: Option<&Task>,
                 lease_before: Option<&LeaseRow>,
                 after: &Task,
                 lease_after: Option<&LeaseRow>| {
        let rows = project::changes(before, lease_before, after, lease_after);
        let word = |row: &Row| match row {
            Row::QueuePut(_) => "queue+",
            Row::QueueDelete(_) => "queue-",
            Row::TimerPut(_) => "timer+",
            Row::TimerDelete(_) => "timer-",
            Row::LeasePut(_) => "lease+",
            Row::LeaseDelete(_) => "lease-",
            _ => "other",
        };
        rows.iter().map(word).collect::<Vec<_>>().join(" ")
    };
    let (queued, runs) = (task(mock(), vec![]), running(vec![]));
    let held = lease(&runs);
    let renewed = LeaseRow { batch: 1, ..held.clone() };
    let limited = |seconds| {
        let mut task = queued.clone();
        task.spec.policy.deadline = Some(at(seconds));
        task
    };
    let urgent = {
        let mut task = queued.clone();
        task.spec.policy.priority = 5;
        task
    };
    let elsewhere = {
        let mut task = queued.clone();
        task.spec.queue = "high".to_owned();
        task
    };
    assert_eq!(words(None, None, &queued, None), "queue+");
    assert_eq!(words(Some(&queued), None, &queued, None), "");
    assert_eq!(words(Some(&queued), None, &runs, Some(&held)), "queue- lease+");
    assert_eq!(words(Some(&runs), Some(&held), &runs, Some(&held)), "");
    assert_eq!(words(Some(&runs), Some(&held), &runs, Some(&renewed)), "lease+");
    assert_eq!(words(Some(&runs), Some(&held), &running(vec![retry(50)]), None), "timer+ lease-");
    assert_eq!(words(Some(&running(vec![retry(50)])), None, &queued, None), "queue+ timer-");
    assert_eq!(words(Some(&queued), None, &limited(50), None), "timer+");
    assert_eq!(words(Some(&limited(50)), None, &limited(50), None), "");
    assert_eq!(words(Some(&limited(50)), None, &limited(60), None), "timer+");
    assert_eq!(words(Some(&queued), None, &urgent, None), "queue- queue+");
    assert_eq!(words(Some(&queued), None, &elsewhere, None), "queue- queue+");
    // The earliest time is past and the row stands at a later one: a new deadline has to be written.
    let late = |deadline| {
        let mut task = running(vec![waits(timer(30))]);
        task.spec.policy.deadline = Some(at(deadline));
        task
    };
    assert_eq!(words(Some(&late(60)), None, &late(50), None), "timer+");
}

#[test]
fn a_record_adds_up_what_happened() {
    let cut = running(vec![begins("a#1"), begins("b#1"), begins("a#1"), done("b#1")]);
    assert_eq!((cut.open_steps.as_slice(), cut.steps), (["a#1".to_owned()].as_slice(), 1));
    let tried = running(vec![begins("s#1"), StepFailed { next_at: Some(at(9)), ..failed_step() }.into()]);
    assert_eq!((tried.open_steps.len(), tried.steps), (0, 0));
    assert_eq!(running(vec![failed_step().into()]).steps, 1);
    let progress = |done, note: Option<&str>, total| {
        EventBody::from(Progressed { done, note: note.map(str::to_owned), total })
    };
    let told = running(vec![progress(Some(1), Some("a"), Some(9)), progress(Some(2), None, None)]);
    let told = told.progress.unwrap();
    assert_eq!((told.done, told.note.as_deref(), told.total), (Some(2), Some("a"), Some(9)));
    // Started after a second, ended after five; a second of it nobody held the task.
    let again = running(vec![retry(2), ready()]);
    assert_eq!((again.tries, again.retry_at, again.attempt_at), (1, None, None));
    assert_eq!(again.usage.running_us, 1_000_000);
    let mut ended_task = again;
    apply(&mut ended_task, 5, 4, &started());
    apply(&mut ended_task, 6, 6, &Failed { error: error(), unconsumed: Vec::new() }.into());
    assert_eq!((ended_task.tries, ended_task.usage.running_us), (2, 3_000_000));
    assert_eq!((ended_task.started_at, ended_task.finished_at), (Some(at(1)), Some(at(6))));
    assert_eq!((ended_task.usage.event_bytes, ended_task.updated_at), (60, at(6)));
    let late = TaskSpec { not_before: Some(at(50)), ..mock() };
    let never = task(late, vec![Failed { error: error(), unconsumed: Vec::new() }.into()]);
    assert_eq!(never.tries, 0);
    let lost = running(vec![LeaseLost { attempt: 1, reason: LostReason::Expired }.into()]);
    assert_eq!((lost.lost, lost.lost_total), (1, 1));
    let handed_back = running(vec![LeaseLost { attempt: 1, reason: LostReason::HandedBack }.into()]);
    assert_eq!((handed_back.lost, handed_back.lost_total), (0, 0));
    let told = || Pausing { reason: Some("lunch".to_owned()) }.into();
    let stopped = |then: EventBody| {
        let paused = running(vec![told(), then]).paused.unwrap();
        (paused.by, paused.reason)
    };
    assert_eq!(stopped(retry(9)), ("who".to_owned(), "lunch".to_owned()));
    let ended_by = |reason: &str| EventBody::from(Paused { details: None, reason: reason.to_owned() });
    assert_eq!(stopped(ended_by("requested")).1, "lunch");
    assert_eq!(stopped(ended_by("nondeterminism")).1, "nondeterminism");
    assert_eq!(running(vec![told(), Cancelling { reason: None }.into()]).paused, None);
    let completed = running(vec![retry(2), ready(), started(), ended()]);
    assert_eq!((completed.error, completed.open_steps.len()), (None, 0));
    assert_eq!(running(vec![]).since_digest, 2);
    assert_eq!(
        running(vec![Digest { hash: String::new(), upto_seq: 2 }.into(), done("s#1")]).since_digest,
        1
    );
}

#[test]
fn a_record_forgets_only_what_is_over() {
    let now = TaskSpec { not_before: Some(at(0)), input: Some(Json::null()), ..mock() };
    let born = task(now, vec![]);
    assert_eq!((born.state, born.spec.input), (State::Queued, None));
    let resumed = |state| everloop_types::event::Resumed { state }.into();
    let goes_on = running(vec![retry(50), paused(), resumed(State::Pending)]);
    assert_eq!((goes_on.retry_at, goes_on.paused), (Some(at(50)), None));
    assert_eq!(running(vec![retry(50), paused(), resumed(State::Queued)]).retry_at, None);
    let waiting = |state| running(vec![waits(timer(50)), paused(), resumed(state)]).waiting_for;
    assert_eq!((waiting(State::Waiting), waiting(State::Queued)), (Some(timer(50)), None));
    let failed = running(vec![begins("a#1"), begins("s#1"), failed_step().into()]);
    assert_eq!(failed.open_steps, ["a#1"]);
    let other = ApprovalRequested {
        choices: Vec::new(),
        details: None,
        id: "ask#2".to_owned(),
        prompt: "?".to_owned(),
    };
    let decided =
        ApprovalDecision { decision: "yes".to_owned(), id: "ask#1".to_owned(), note: None, result: None };
    let child = |task| Child { state: State::Completed, step: None, task }.into();
    let told = running(vec![child(OTHER), child(TASK), takes(&OTHER.to_string())]).arrived;
    assert_eq!(
        told.iter().map(|arrived| arrived.what.clone()).collect::<Vec<_>>(),
        [ArrivedWhat::Child { task: TASK }]
    );
    let open = running(vec![asked(&[]), other.into(), decided.into()]).open_requests;
    assert_eq!(open.iter().map(|open| open.id.as_str()).collect::<Vec<_>>(), ["ask#2"]);
}

#[test]
fn names_of_inputs_that_nobody_took_are_those_of_inputs_alone() {
    let child = Child { state: State::Completed, step: None, task: OTHER };
    let task = running(vec![input("a"), child.into(), input("b"), takes("a")]);
    assert_eq!(unconsumed(&task), ["b"]);
}

#[test]
fn who_can_be_claimed_stands_in_the_queue_of_its_cap() {
    use everloop_types::task::Concurrency;
    let mut spec = mock();
    spec.policy.concurrency = Some(Concurrency { key: "k".to_owned(), limit: 3 });
    let capped = task(spec, vec![]);
    assert_eq!(project::queue_row(&capped).unwrap().concurrency.unwrap().1, 3);
    assert_eq!(project::concurrency(&task(mock(), vec![])), None);
    assert!(project::queue_row(&running(vec![])).is_none());
    assert_eq!(project::lane(&capped).queue, "default");
}
