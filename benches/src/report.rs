//! What was measured, as a table.

use std::time::Duration;

/// One line.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Row {
    /// What was measured.
    pub(crate) name: String,
    /// How many at once.
    pub(crate) concurrency: usize,
    /// How many in a second.
    pub(crate) per_second: f64,
    /// Median latency in milliseconds.
    pub(crate) p50_ms: f64,
    /// 99th percentile in milliseconds.
    pub(crate) p99_ms: f64,
    /// The longest in milliseconds.
    pub(crate) max_ms: f64,
}

impl Row {
    /// From the latencies that were seen in a span of time.
    pub(crate) fn new(
        name: &str,
        concurrency: usize,
        elapsed: Duration,
        mut latencies: Vec<Duration>,
    ) -> Self {
        latencies.sort_unstable();
        let at = |share: f64| {
            let index = ((latencies.len() as f64 * share) as usize).min(latencies.len().saturating_sub(1));
            latencies.get(index).map_or(0.0, |latency| latency.as_secs_f64() * 1000.0)
        };
        Self {
            name: name.to_owned(),
            concurrency,
            per_second: latencies.len() as f64 / elapsed.as_secs_f64(),
            p50_ms: at(0.50),
            p99_ms: at(0.99),
            max_ms: at(1.0),
        }
    }
}

/// The lines as a Markdown table.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut out = String::from(
        "| what | at once | per second | p50 ms | p99 ms | max ms |\n|---|---:|---:|---:|---:|---:|\n",
    );
    for row in rows {
        out += &format!(
            "| {} | {} | {:.0} | {:.2} | {:.2} | {:.1} |\n",
            row.name, row.concurrency, row.per_second, row.p50_ms, row.p99_ms, row.max_ms
        );
    }
    out
}

/// A single figure.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Figure {
    /// What was measured.
    pub(crate) name: String,
    /// How much.
    pub(crate) value: f64,
    /// Of what.
    pub(crate) unit: &'static str,
    /// What is aimed at, in words.
    pub(crate) aim: &'static str,
}

impl Figure {
    /// Told as soon as it is there: what comes after it may take long.
    pub(crate) fn new(name: &str, value: f64, unit: &'static str, aim: &'static str) -> Self {
        eprintln!("{name}: {value:.1} {unit}");
        Self { name: name.to_owned(), value, unit, aim }
    }
}

/// The figures as a Markdown table.
pub(crate) fn figures(figures: &[Figure]) -> String {
    let mut out = String::from("| what | figure | aim |\n|---|---:|---:|\n");
    for figure in figures {
        out += &format!("| {} | {:.1} {} | {} |\n", figure.name, figure.value, figure.unit, figure.aim);
    }
    out
}

/// The machine, as the kernel tells it.
pub(crate) fn machine() -> anyhow::Result<serde_json::Value> {
    let first = |file: &str, name: &str| -> anyhow::Result<String> {
        let text = std::fs::read_to_string(file)?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        Ok(line.trim_start_matches([' ', '\t', ':']).to_owned())
    };
    Ok(serde_json::json!({
        "cpu": first("/proc/cpuinfo", "model name")?,
        "cores": std::thread::available_parallelism()?,
        "memory": first("/proc/meminfo", "MemTotal")?,
        "kernel": std::fs::read_to_string("/proc/sys/kernel/osrelease")?.trim(),
    }))
}
