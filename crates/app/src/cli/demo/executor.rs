//! The kind `demo.files`: hashes and measures files, each in a step of its own, and writes a report.

use everloop_journal::{digest, hex};
use everloop_types::error::{Class, TaskError};
use everloop_types::json::Json;
use everloop_types::task::Progress;
use everloop_types::worker::KindOffer;
use everloop_worker::context::Context;
use everloop_worker::executor::{Executor, Stop};
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The kind.
pub(crate) const KIND: &str = "demo.files";
/// How long a step rests, so that there is something to watch and a kill falls into the middle of it.
const REST: Duration = Duration::from_millis(12);

/// What the task is asked to do.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {
    /// A file outside of the database to which each step that runs adds a line.
    pub(crate) effects: PathBuf,
    /// Files below `root`.
    pub(crate) files: Vec<String>,
    /// Where the report is written.
    pub(crate) report: PathBuf,
    /// The folder.
    pub(crate) root: PathBuf,
}

/// What one step finds out.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) bytes: u64,
    pub(crate) lines: u64,
    pub(crate) sha256: String,
}

/// What the task ends with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) bytes: u64,
    pub(crate) files: u64,
    pub(crate) largest: String,
    pub(crate) lines: u64,
    /// SHA-256 of the report as it was written.
    pub(crate) sha256: String,
}

/// Measures files.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DemoFiles;

impl Executor for DemoFiles {
    fn offer(&self) -> KindOffer {
        KindOffer::new(KIND)
    }

    fn about(&self) -> &str {
        "hashes and measures files, each in a step of its own: the work of everloop demo"
    }

    fn run(&self, context: Context) -> BoxFuture<'_, Result<Json, Stop>> {
        Box::pin(run(context))
    }
}

async fn run(context: Context) -> Result<Json, Stop> {
    let input: Input = context.input_as()?;
    let total = u64::try_from(input.files.len()).ok();
    let (mut report, mut lines, mut largest) = (empty(), String::new(), 0);
    for (done, file) in (0_u64..).zip(&input.files) {
        let step = context.step("measure").args(file);
        let work = act(&input.effects, format!("measure#{} {file}", done + 1), {
            let path = input.root.join(file);
            move || measure(&path)
        });
        let measured: Measured = step.run(work).await?;
        if measured.bytes >= largest {
            largest = measured.bytes;
            report.largest.clone_from(file);
        }
        report.files += 1;
        report.bytes += measured.bytes;
        report.lines += measured.lines;
        lines.push_str(&format!("{}  {:>9}  {file}\n", measured.sha256, measured.bytes));
        context.progress(Progress { done: Some(done + 1), note: Some(file.clone()), total });
    }
    let work = act(&input.effects, "report#1".to_owned(), {
        let (path, text) = (input.report.clone(), lines.clone());
        move || write_report(&path, &text)
    });
    report.sha256 = context.step("report").args(&report).run(work).await?;
    everloop_worker::context::canonical(&report)
}

fn empty() -> Report {
    Report { bytes: 0, files: 0, largest: String::new(), lines: 0, sha256: String::new() }
}

/// Does the work of a step, and notes outside of the database that it was done.
async fn act<T: Send + 'static>(
    effects: &Path,
    note: String,
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, TaskError> {
    let effects = effects.to_owned();
    let both = move || -> std::io::Result<T> {
        let done = work()?;
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(effects)?;
        file.write_all(format!("{note}\n").as_bytes())?;
        Ok(done)
    };
    let done = tokio::task::spawn_blocking(both)
        .await
        .map_err(|error| failed(&error))?
        .map_err(|error| failed(&error))?;
    tokio::time::sleep(REST).await;
    Ok(done)
}

fn failed(error: &dyn std::error::Error) -> TaskError {
    TaskError {
        class: Class::Transient,
        code: "demo_failed".to_owned(),
        details: None,
        message: error.to_string(),
    }
}

#[expect(clippy::disallowed_methods, reason = "reading files is the work of this kind")]
fn measure(path: &Path) -> std::io::Result<Measured> {
    let bytes = std::fs::read(path)?;
    Ok(Measured {
        bytes: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
        lines: u64::try_from(bytes.iter().filter(|byte| **byte == b'\n').count()).unwrap_or(u64::MAX),
        sha256: hex::encode(&digest::sha256(&bytes)),
    })
}

#[expect(clippy::disallowed_methods, reason = "writing the report is the work of this kind")]
fn write_report(path: &Path, text: &str) -> std::io::Result<String> {
    std::fs::write(path, text)?;
    Ok(hex::encode(&digest::sha256(text.as_bytes())))
}
