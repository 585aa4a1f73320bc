//! What control gives, in the shapes of the wire.

use everloop_api::history::{
    AttemptStatus, AttemptView, ControlChange, ControlState, LogLine, OutputView, ProgressView, ReceiptView,
    StepStatus, StepView,
};
use everloop_api::page::Page;
use everloop_api::system::{
    BlobName, BlobView, InboxItem, InboxWant, KindView, PipelineStats, QueueView, StatsView, WorkerView,
};
use everloop_api::task::TaskView;
use everloop_control::history::{self, Attempt, Course, Step};
use everloop_control::inbox::{Item, Want};
use everloop_control::kinds::Kind;
use everloop_control::lists::TaskPage;
use everloop_control::proof::Receipt;
use everloop_control::status::{Queue, Stats};
use everloop_control::tasks::{End, Shown};
use everloop_control::workers::Seen;
use everloop_types::state::State;
use std::collections::BTreeMap;
use std::time::Duration;

/// A task.
pub(crate) fn task(shown: Shown) -> TaskView {
    let mut view = TaskView::of(shown.task(), shown.head());
    view.input = shown.input;
    view.data_subject = shown.data_subject;
    view.unclaimable = shown.unclaimable;
    if let Some(end) = shown.end {
        view.result = end.result;
        view.error = end.error.or(view.error);
    }
    view
}

/// A page of tasks.
pub(crate) fn tasks(page: TaskPage) -> Page<TaskView> {
    Page {
        items: page.items.into_iter().map(task).collect(),
        next_cursor: page.next_cursor,
        total: page.total,
    }
}

/// The end of a task.
pub(crate) fn output(shown: &Shown, end: End) -> OutputView {
    let task = shown.task();
    OutputView {
        task: task.id,
        state: task.state,
        result: end.result,
        error: end.error,
        unconsumed: end.unconsumed,
        continued_as: task.continued_as,
        finished_at: task.finished_at.unwrap_or(task.updated_at),
    }
}

/// How far a task has got.
pub(crate) fn progress(shown: &Shown) -> ProgressView {
    let task = shown.task();
    ProgressView {
        state: task.state,
        progress: task.progress.clone(),
        percent: history::percent(shown),
        steps: task.steps,
        last_seq: shown.last_seq(),
        updated_at: task.updated_at,
    }
}

/// Who wants what of a task.
pub(crate) fn course(course: Course) -> ControlState {
    let task = course.task.task();
    ControlState {
        state: task.state,
        paused: task.paused.clone().filter(|_| task.state == State::Paused),
        last_change: course.last_change.map(|change| ControlChange {
            r#type: change.kind,
            by: change.by,
            at: change.at,
            seq: change.seq,
            reason: change.reason,
        }),
        waiting_for: task.waiting_for.clone(),
        open_requests: task.open_requests.iter().map(|open| open.id.clone()).collect(),
        allowed: course.allowed.into_iter().map(str::to_owned).collect(),
    }
}

/// A receipt.
pub(crate) fn receipt(receipt: Receipt) -> ReceiptView {
    ReceiptView { receipt: receipt.jws, claims: receipt.claims }
}

/// A step.
pub(crate) fn step(step: Step) -> StepView {
    StepView {
        step: step.step,
        kind: step.kind,
        status: match step.status {
            history::StepStatus::Started => StepStatus::Started,
            history::StepStatus::Retrying => StepStatus::Retrying,
            history::StepStatus::Completed => StepStatus::Completed,
            history::StepStatus::Failed => StepStatus::Failed,
        },
        seq: step.seq,
        intent: step.intent,
        attempt: step.attempt,
        failed_tries: step.failed_tries,
        result: step.result,
        error: step.error,
        next_at: step.next_at,
        started_at: step.started_at,
        ended_at: step.ended_at,
    }
}

/// An attempt.
pub(crate) fn attempt(attempt: Attempt) -> AttemptView {
    let duration = attempt.ended_at.map(|ended| ended.since(attempt.started_at));
    AttemptView {
        attempt: attempt.attempt,
        worker: attempt.worker,
        kind_version: attempt.kind_version,
        status: match attempt.status {
            history::AttemptStatus::Running => AttemptStatus::Running,
            history::AttemptStatus::Completed => AttemptStatus::Completed,
            history::AttemptStatus::Failed => AttemptStatus::Failed,
            history::AttemptStatus::Retrying => AttemptStatus::Retrying,
            history::AttemptStatus::Waiting => AttemptStatus::Waiting,
            history::AttemptStatus::Paused => AttemptStatus::Paused,
            history::AttemptStatus::Cancelled => AttemptStatus::Cancelled,
            history::AttemptStatus::Lost => AttemptStatus::Lost,
            history::AttemptStatus::HandedBack => AttemptStatus::HandedBack,
        },
        first_seq: attempt.first_seq,
        last_seq: attempt.last_seq,
        queued_at: attempt.queued_at,
        started_at: attempt.started_at,
        heartbeat_age_ms: attempt.heartbeat_age.map(millis),
        ended_at: attempt.ended_at,
        duration_ms: duration.map(millis),
        steps: attempt.steps,
        log_lines: attempt.log_lines,
        error: attempt.error,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A log line.
pub(crate) fn log(line: history::LogLine) -> LogLine {
    LogLine {
        seq: line.seq,
        ts: line.ts,
        level: line.level,
        source: line.source,
        offset: line.offset,
        text: line.text,
        base64: line.base64,
    }
}

/// A queue.
pub(crate) fn queue(queue: Queue) -> QueueView {
    QueueView {
        in_flight: queue.in_flight(),
        failed: queue.states.get(&State::Failed).copied().unwrap_or(0),
        name: queue.name,
        paused: queue.paused,
        queued: queue.queued,
        states: queue.states.iter().map(|(state, tasks)| (state.to_string(), *tasks)).collect(),
        oldest_since: queue.oldest_since,
        workers: queue.workers,
    }
}

/// A kind.
pub(crate) fn kind(kind: Kind) -> KindView {
    KindView {
        name: kind.name,
        about: kind.offer.about,
        defaults: kind.offer.defaults,
        expose: kind.offer.expose,
        input_schema: kind.offer.input_schema,
        output_schema: kind.offer.output_schema,
        versions: kind.versions,
        workers: kind.workers,
        embedded: kind.embedded,
    }
}

/// A worker.
pub(crate) fn worker(seen: Seen) -> WorkerView {
    let (worker, spec) = (seen.worker.id, seen.worker.spec);
    WorkerView {
        id: worker,
        name: spec.name,
        status: seen.status,
        trouble: seen.worker.trouble,
        embedded: seen.worker.embedded,
        version: spec.version,
        protocol: spec.protocol,
        kinds: spec.kinds,
        capabilities: spec.capabilities,
        queues: spec.queues,
        max_concurrent_tasks: spec.max_concurrent_tasks,
        tasks: seen.tasks,
        created_at: seen.worker.created_at,
        last_heartbeat_at: seen.worker.last_heartbeat_at,
    }
}

/// Something that waits for a person.
pub(crate) fn inbox(item: Item) -> InboxItem {
    let (wants, act) = match item.want {
        Want::Decision => (InboxWant::Decision, "/decision"),
        Want::Input => (InboxWant::Input, "/input"),
        Want::Repair => (InboxWant::Repair, ""),
    };
    InboxItem {
        answer_url: format!("{}/tasks/{}{act}", everloop_api::BASE, item.task),
        task: item.task,
        kind: item.kind,
        title: item.title,
        wants,
        id: item.id,
        prompt: item.prompt,
        choices: item.choices,
        details: item.details,
        since: item.since,
    }
}

/// Figures.
pub(crate) fn stats(stats: &Stats) -> StatsView {
    let mut tasks: BTreeMap<String, u64> = State::ALL.iter().map(|state| (state.to_string(), 0)).collect();
    let mut running_us: BTreeMap<String, u64> = BTreeMap::new();
    let (mut total, mut event_bytes) = (0, 0);
    for count in &stats.counts {
        *tasks.entry(count.state.to_string()).or_default() += count.tasks;
        *running_us.entry(count.state.to_string()).or_default() += count.running_us;
        total += count.tasks;
        event_bytes += count.event_bytes;
    }
    StatsView {
        dead_letters: tasks.get("failed").copied().unwrap_or(0),
        tasks,
        total,
        running_us,
        event_bytes,
        workers: stats.workers,
        followers: stats.live.followers as u64,
        pipeline: PipelineStats {
            commits: stats.commits,
            events: stats.events,
            rows: stats.rows,
            waiting: stats.waiting,
        },
    }
}

/// A blob's name.
pub(crate) fn blob(name: everloop_types::blob::BlobName) -> BlobView {
    BlobView { blob: BlobName { hash: name.hash, id: name.id, media_type: name.media_type, size: name.size } }
}
