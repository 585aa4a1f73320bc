//! Counters of the server, and the text that Prometheus reads.

use everloop_control::status::{Queue, Stats};
use everloop_types::state::State;
use std::collections::BTreeMap;
use std::fmt::{Display, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the histogram of durations, in seconds.
const BOUNDS: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 10.0];

/// What the server counts.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    classes: [AtomicU64; 5],
    buckets: [AtomicU64; BOUNDS.len() + 1],
    micros: AtomicU64,
    /// Connections that are open.
    pub(crate) connections: AtomicU64,
    /// Connections that were turned away.
    pub(crate) turned_away: AtomicU64,
    /// Event streams that are open.
    pub(crate) streams: AtomicU64,
    /// Events that were sent to followers.
    pub(crate) streamed: AtomicU64,
}

/// Counts a stream as long as it lives.
pub(crate) struct Open(std::sync::Arc<Metrics>);

impl Open {
    pub(crate) fn new(metrics: &std::sync::Arc<Metrics>) -> Self {
        metrics.streams.fetch_add(1, Ordering::Relaxed);
        Self(metrics.clone())
    }

    /// Counts events that were sent.
    pub(crate) fn sent(&self, events: usize) {
        self.0.streamed.fetch_add(events as u64, Ordering::Relaxed);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Metrics {
    /// Counts a request.
    pub(crate) fn request(&self, status: u16, took: Duration) {
        let class = usize::from(status / 100).clamp(1, 5) - 1;
        self.classes[class].fetch_add(1, Ordering::Relaxed);
        let seconds = took.as_secs_f64();
        let bucket = BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len());
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// The exposition, in the text format 0.0.4.
    pub(crate) fn text(&self, stats: &Stats, queues: &[Queue]) -> String {
        let mut out = Text(String::with_capacity(4096));
        let mut tasks: BTreeMap<State, u64> = State::ALL.iter().map(|state| (*state, 0)).collect();
        for count in &stats.counts {
            *tasks.entry(count.state).or_default() += count.tasks;
        }
        out.head("everloop_tasks", "gauge", "Tasks by state.");
        for (state, count) in tasks {
            out.line("everloop_tasks", &format!("{{state=\"{state}\"}}"), count);
        }
        out.head("everloop_queue_depth", "gauge", "Tasks that can be claimed, by queue.");
        for queue in queues {
            out.line("everloop_queue_depth", &format!("{{queue=\"{}\"}}", queue.name), queue.queued);
        }
        out.head("everloop_queue_in_flight", "gauge", "Tasks that workers hold, by queue.");
        for queue in queues {
            out.line("everloop_queue_in_flight", &format!("{{queue=\"{}\"}}", queue.name), queue.in_flight());
        }
        let live = stats.live;
        for (name, kind, help, value) in [
            ("everloop_workers", "gauge", "Workers that were heard from.", u64::from(stats.workers)),
            ("everloop_followers", "gauge", "Followers of one stream each.", live.followers as u64),
            (
                "everloop_follower_lag_events",
                "gauge",
                "Events that followers of one stream have before them, in all.",
                live.lag,
            ),
            (
                "everloop_follower_lag_events_max",
                "gauge",
                "Events that the follower furthest behind has before it.",
                live.lag_max,
            ),
            (
                "everloop_follower_reads_total",
                "counter",
                "Pages that followers read from the database.",
                live.reads,
            ),
            ("everloop_waiters", "gauge", "Requests that wait for the end of a task.", live.waiters as u64),
            ("everloop_followed_streams", "gauge", "Streams with a follower.", live.streams as u64),
            ("everloop_followed_events", "gauge", "Events in memory for followers.", live.events as u64),
            (
                "everloop_followed_bytes",
                "gauge",
                "Bytes of events in memory for followers.",
                live.bytes as u64,
            ),
            (
                "everloop_followed_evictions_total",
                "counter",
                "Streams whose events were dropped from memory to make room.",
                live.evicted,
            ),
            ("everloop_feeds", "gauge", "Followers of many streams each.", live.feeds as u64),
            (
                "everloop_feed_position_min",
                "gauge",
                "Position of the follower of many streams that is furthest behind; the last one if there is none.",
                positive(live.feed_position_min.unwrap_or(stats.position)),
            ),
            ("everloop_position", "gauge", "Position of the last event.", positive(stats.position)),
            ("everloop_commits_total", "counter", "Commits of this server.", stats.commits),
            ("everloop_events_total", "counter", "Events that this server wrote.", stats.events),
            ("everloop_rows_total", "counter", "Rows that this server wrote, events included.", stats.rows),
            ("everloop_commands_waiting", "gauge", "Commands that wait for the pipeline.", stats.waiting),
            ("everloop_connections", "gauge", "Open connections.", self.connections.load(Ordering::Relaxed)),
            (
                "everloop_connections_turned_away_total",
                "counter",
                "Connections that were turned away.",
                self.turned_away.load(Ordering::Relaxed),
            ),
            ("everloop_streams", "gauge", "Open event streams.", self.streams.load(Ordering::Relaxed)),
            (
                "everloop_streamed_events_total",
                "counter",
                "Events sent to followers.",
                self.streamed.load(Ordering::Relaxed),
            ),
        ] {
            out.head(name, kind, help);
            out.line(name, "", value);
        }
        let name = "everloop_worker_heartbeat_age_seconds_max";
        out.head(name, "gauge", "Time since the online worker was heard from that was silent for longest.");
        out.line(name, "", stats.heartbeat_age.as_secs_f64());
        out.head("everloop_http_requests_total", "counter", "Requests by class of status.");
        for (class, count) in self.classes.iter().enumerate() {
            let label = format!("{{status=\"{}xx\"}}", class + 1);
            out.line("everloop_http_requests_total", &label, count.load(Ordering::Relaxed));
        }
        let name = "everloop_http_request_seconds";
        out.head(name, "histogram", "Time to the head of the answer.");
        let mut sum = 0;
        for (i, bucket) in self.buckets.iter().enumerate() {
            sum += bucket.load(Ordering::Relaxed);
            let bound = BOUNDS.get(i).map_or("+Inf".to_owned(), |bound| bound.to_string());
            out.line(&format!("{name}_bucket"), &format!("{{le=\"{bound}\"}}"), sum);
        }
        let took = Duration::from_micros(self.micros.load(Ordering::Relaxed));
        out.line(&format!("{name}_sum"), "", took.as_secs_f64());
        out.line(&format!("{name}_count"), "", sum);
        out.0
    }
}

/// A position as a gauge has it: they begin at 1.
fn positive(position: i64) -> u64 {
    u64::try_from(position).unwrap_or(0)
}

struct Text(String);

impl Text {
    // Writing to a String can't fail.
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn line(&mut self, name: &str, labels: &str, value: impl Display) {
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }
}
