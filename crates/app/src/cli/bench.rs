//! `everloop bench`: how fast a running server is, seen from here.
#![expect(clippy::disallowed_methods, reason = "it measures time")]

use super::args::BenchArgs;
use super::ground::{Ground, block_on};
use crate::failure::{Exit, Failure, Outcome};
use crate::output;
use everloop_api::command::{BatchOutcome, BatchRequest};
use everloop_api::task::TaskRequest;
use everloop_client::Client;
use everloop_client::error::ClientError;
use everloop_client::host::SystemRandom;
use everloop_types::json::Json;
use everloop_types::random::Random as _;
use everloop_types::state::State;
use futures_util::future::try_join_all;
use serde::Serialize;
use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

/// Tasks of a batch.
const BATCH: u64 = 100;
/// Steps of the one long task.
const STEPS: usize = 1_000;
/// How many of the bench's own tasks are removed at the same time.
const REMOVED_AT_ONCE: usize = 32;
/// How long a task may take before the bench gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// One line of the report.
#[derive(Debug, Serialize)]
struct Row {
    what: String,
    at_once: usize,
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    max_ms: f64,
}

impl Row {
    fn new(what: &str, at_once: usize, elapsed: Duration, mut latencies: Vec<Duration>) -> Self {
        latencies.sort_unstable();
        let ms = |latency: Option<&Duration>| latency.map_or(0.0, |latency| latency.as_secs_f64() * 1e3);
        let at = |share: usize| ms(latencies.get(latencies.len() * share / 100));
        Self {
            what: what.to_owned(),
            at_once,
            per_second: latencies.len() as f64 / elapsed.as_secs_f64(),
            p50_ms: at(50),
            p99_ms: at(99),
            max_ms: ms(latencies.last()),
        }
    }

    fn cells(&self) -> Vec<String> {
        vec![
            self.what.clone(),
            self.at_once.to_string(),
            format!("{:.0}", self.per_second),
            format!("{:.2}", self.p50_ms),
            format!("{:.2}", self.p99_ms),
            format!("{:.1}", self.max_ms),
        ]
    }
}

/// Everything that was measured, and where.
#[derive(Debug, Serialize)]
struct Report {
    url: String,
    server: String,
    store: String,
    /// Cores of the machine that the bench ran on.
    cores: usize,
    rows: Vec<Row>,
    /// Tasks that it made and has removed again.
    removed: usize,
}

/// A run: it remembers the tasks that it makes.
struct Bench<'a> {
    client: &'a Client,
    run: String,
    numbers: Cell<u64>,
    /// They have ended.
    made: RefCell<Vec<String>>,
    /// They may be under way yet.
    sent: RefCell<Vec<String>>,
}

pub(super) fn run(ground: &Ground, args: &BenchArgs) -> Outcome {
    block_on(async {
        let client = ground.client()?;
        let about = client.about().await?;
        let mut id = [0; 4];
        SystemRandom::default().fill(&mut id);
        let run = format!("{:08x}", u32::from_be_bytes(id));
        let bench = Bench {
            client: &client,
            run,
            numbers: Cell::new(0),
            made: RefCell::default(),
            sent: RefCell::default(),
        };
        let measured = bench.measure(ground, args).await;
        // Whatever went wrong: nothing of it stays.
        let removed = if args.keep { Ok(0) } else { bench.remove(ground).await };
        let (rows, removed) = (measured?, removed?);
        let report = Report {
            url: client.url().to_owned(),
            server: about.version,
            store: about.store,
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            rows,
            removed,
        };
        if ground.json {
            output::json(&report);
        } else {
            output::bytes(table(&report).as_bytes());
        }
        Ok(Exit::Done)
    })
}

fn table(report: &Report) -> String {
    let mut cells =
        vec![["WHAT", "AT ONCE", "PER SECOND", "P50 MS", "P99 MS", "MAX MS"].map(str::to_owned).to_vec()];
    cells.extend(report.rows.iter().map(Row::cells));
    format!(
        "everloop {} on {}, seen from a client on {} cores at {}\n{}",
        report.server,
        report.store,
        report.cores,
        report.url,
        output::table(&cells)
    )
}

impl Bench<'_> {
    async fn measure(&self, ground: &Ground, args: &BenchArgs) -> Result<Vec<Row>, Failure> {
        let mut rows = Vec::new();
        let mut tell = |row: Row| {
            ground.talk(format!("{} ({} at once): {:.0}/s", row.what, row.at_once, row.per_second));
            rows.push(row);
        };
        tell(
            self.load("a request that does nothing (GET /about)", args.seconds, 1, async |_| {
                self.client.about().await.map(drop)
            })
            .await?,
        );
        for at_once in args.concurrency.iter().copied() {
            let row = self.load("submit to complete, one step", args.seconds, at_once, async |n| {
                self.complete(&self.task(n, 1)?).await
            });
            tell(row.await?);
        }
        let begun = Instant::now();
        self.complete(&self.task(self.next(), STEPS)?).await?;
        let elapsed = begun.elapsed();
        let row = Row::new("steps of one task (ms: the whole task)", 1, elapsed, vec![elapsed]);
        tell(Row { per_second: row.per_second * STEPS as f64, ..row });
        let batches = self.load("tasks submitted in batches of 100", args.seconds, 4, async |n| {
            let tasks = (0..BATCH).map(|i| self.task(n << 32 | i, 1)).collect::<Result<_, _>>()?;
            let answer = self.client.submit_batch(&BatchRequest { tasks }).await?;
            for outcome in answer.outcomes {
                match outcome {
                    BatchOutcome::Created(task) | BatchOutcome::Existing(task) => {
                        self.sent.borrow_mut().push(task.id.to_string());
                    }
                    BatchOutcome::Refused(problem) => return Err(ClientError::Refused(Box::new(problem))),
                }
            }
            Ok(())
        });
        let row = batches.await?;
        tell(Row { per_second: row.per_second * BATCH as f64, ..row });
        Ok(rows)
    }

    fn next(&self) -> u64 {
        self.numbers.replace(self.numbers.get() + 1)
    }

    /// Keeps so many requests under way for so long.
    async fn load(
        &self,
        what: &str,
        seconds: u32,
        at_once: usize,
        request: impl AsyncFn(u64) -> Result<(), ClientError>,
    ) -> Result<Row, Failure> {
        let time = Duration::from_secs(seconds.into());
        let start = Instant::now();
        let request = &request;
        let loops = (0..at_once).map(|_| async move {
            let mut latencies = Vec::new();
            while start.elapsed() < time {
                let begun = Instant::now();
                request(self.next()).await?;
                latencies.push(begun.elapsed());
            }
            Ok::<_, ClientError>(latencies)
        });
        let latencies = try_join_all(loops).await?;
        Ok(Row::new(what, at_once, start.elapsed(), latencies.concat()))
    }

    /// A task with a key in no order, as callers' keys are.
    fn task(&self, number: u64, steps: usize) -> Result<TaskRequest, ClientError> {
        let step = r#"{"name":"work","result":{"answer":42,"text":"some eighty bytes of result that a step would give back"}}"#;
        let input = format!(r#"{{"steps":[{}]}}"#, vec![step; steps].join(","));
        let key = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let input = Json::from_canonical(input).map_err(|error| ClientError::Invalid(error.to_string()))?;
        Ok(TaskRequest {
            input: Some(input),
            key: Some(format!("bench-{}-{key:016x}", self.run)),
            labels: [("bench".to_owned(), self.run.clone())].into(),
            ..TaskRequest::new("mock")
        })
    }

    async fn complete(&self, request: &TaskRequest) -> Result<(), ClientError> {
        let task = self.client.submit(request, Some(PATIENCE)).await?.task;
        if task.state != State::Completed {
            self.client.finished(&task.id.to_string()).await?;
        }
        self.made.borrow_mut().push(task.id.to_string());
        Ok(())
    }

    /// Removes what was made, once it has ended.
    async fn remove(&self, ground: &Ground) -> Result<usize, Failure> {
        let (made, sent) = (self.made.take(), self.sent.take());
        let all = made.len() + sent.len();
        ground.talk(format!("removing the {all} tasks of this run"));
        let mut going =
            made.into_iter().map(|task| (task, true)).chain(sent.into_iter().map(|task| (task, false)));
        let going = RefCell::new(&mut going);
        let loops = (0..REMOVED_AT_ONCE).map(|_| async {
            loop {
                let next = going.borrow_mut().next();
                let Some((task, has_ended)) = next else { return Ok::<_, ClientError>(()) };
                if !has_ended {
                    self.client.finished(&task).await?;
                }
                self.client.delete(&task).await?;
            }
        });
        try_join_all(loops).await?;
        Ok(all)
    }
}
