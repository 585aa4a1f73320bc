//! A lane is a name and a function. All lanes run, each is timed, and each that fails is named at the end.

use crate::postgres;
use anyhow::{Result, bail};
use std::time::{Duration, Instant};

/// One part of a test run.
#[derive(Clone, Copy)]
pub(crate) struct Lane {
    /// What it is called in the summary and on the command line.
    pub(crate) name: &'static str,
    /// What it does.
    pub(crate) run: fn(&mut Servers) -> Result<()>,
}

/// The private servers of a run: started by the first lane that asks, stopped when the run ends.
#[derive(Default)]
pub(crate) struct Servers {
    postgres: Option<postgres::Guarded>,
    postgres_failed: bool,
}

impl Servers {
    /// The private PostgreSQL. Once its start has failed, every lane that needs it fails too, without another try.
    pub(crate) fn postgres(&mut self) -> Result<&postgres::Guarded> {
        if self.postgres_failed {
            bail!("it needs the private PostgreSQL, which did not start");
        }
        if self.postgres.is_none() {
            self.postgres_failed = true;
            self.postgres = Some(postgres::Guarded::start()?);
            self.postgres_failed = false;
        }
        match &self.postgres {
            Some(server) => Ok(server),
            None => bail!("the private PostgreSQL is gone"),
        }
    }
}

/// What became of a lane.
struct Outcome {
    name: &'static str,
    took: Duration,
    error: Option<String>,
}

/// Runs the lanes in order and prints the seconds of each. A failure stops nothing, so that one run shows all of them.
pub(crate) fn run_all(lanes: &[Lane]) -> Result<()> {
    let mut servers = Servers::default();
    let mut outcomes = Vec::new();
    for lane in lanes {
        println!("── {} ──", lane.name);
        let start = Instant::now();
        let error = (lane.run)(&mut servers).err().map(|error| format!("{error:#}"));
        if let Some(error) = &error {
            println!("{} failed: {error}", lane.name);
        }
        outcomes.push(Outcome { name: lane.name, took: start.elapsed(), error });
    }
    drop(servers);
    summarise(&outcomes)
}

fn summarise(outcomes: &[Outcome]) -> Result<()> {
    println!();
    for outcome in outcomes {
        let verdict = if outcome.error.is_some() { "FAILED" } else { "ok" };
        println!("{:>9.1} s  {:<14} {verdict}", outcome.took.as_secs_f64(), outcome.name);
    }
    // The first line is enough here: the lane has shown all of it.
    let told = |outcome: &Outcome| {
        Some(format!("\n  {}: {}", outcome.name, outcome.error.as_ref()?.lines().next()?))
    };
    let failed: Vec<String> = outcomes.iter().filter_map(told).collect();
    if !failed.is_empty() {
        bail!("{} of {} lanes failed:{}", failed.len(), outcomes.len(), failed.concat());
    }
    Ok(())
}

/// The lanes that were named, in their usual order; all of them when none was.
pub(crate) fn choose(all: &[Lane], names: &[String]) -> Result<Vec<Lane>> {
    for name in names {
        if !all.iter().any(|lane| lane.name == name) {
            let known: Vec<_> = all.iter().map(|lane| lane.name).collect();
            bail!("there is no lane {name:?}; there are {}", known.join(", "));
        }
    }
    let chosen = all.iter().filter(|lane| names.is_empty() || names.iter().any(|name| name == lane.name));
    Ok(chosen.copied().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LANES: &[Lane] = &[
        Lane { name: "good", run: |_| Ok(()) },
        Lane { name: "bad", run: |_| bail!("no such tool") },
        Lane { name: "after", run: |_| bail!("it ran") },
    ];

    #[test]
    fn a_lane_that_fails_is_named_and_stops_no_other() {
        let error = run_all(LANES).unwrap_err().to_string();
        assert!(error.contains("bad: no such tool"), "{error}");
        assert!(error.contains("after: it ran"), "{error}");
    }

    #[test]
    fn lanes_are_chosen_by_name_in_their_own_order() {
        let names = |chosen: Vec<Lane>| chosen.iter().map(|lane| lane.name).collect::<Vec<_>>();
        assert_eq!(names(choose(LANES, &[]).unwrap()), ["good", "bad", "after"]);
        assert_eq!(names(choose(LANES, &["after".into(), "good".into()]).unwrap()), ["good", "after"]);
        assert!(choose(LANES, &["ghost".into()]).is_err());
    }
}
