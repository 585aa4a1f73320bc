//! Runs seeds, and prints what they come to.

use super::medium::{Medium, Memory, Sqlite};
use super::plan::Plan;
use super::run::{Outcome, run};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

fn seed(seed: u64) -> Outcome {
    let plan = Plan::draw(seed);
    let medium: Box<dyn Medium> =
        if plan.sqlite { Box::new(Sqlite::new(seed)) } else { Box::new(Memory::new()) };
    run(plan, medium, std::env::var_os("EVERLOOP_SIM_TRACE").is_some())
}

/// What is said about a seed that failed.
fn failure(seed: u64, outcome: &Outcome) -> String {
    let found: Vec<_> = outcome
        .violations
        .iter()
        .take(3)
        .map(|violation| format!("BROKEN: {}\n{}\n", violation.rule, violation.text))
        .collect();
    format!(
        "seed {seed} broke {} rules after {:?} of virtual time.\n\n{}\nAgain: cargo xtask sim --seeds 1 --seed {seed}\n\
         With every step: EVERLOOP_SIM_TRACE=1 cargo xtask sim --seeds 1 --seed {seed}\n\n{:#?}",
        outcome.violations.len(),
        outcome.time,
        found.join("\n"),
        Plan::draw(seed)
    )
}

#[derive(Default)]
struct Sum {
    seeds: u64,
    time: Duration,
    counts: BTreeMap<&'static str, u64>,
    asked: BTreeMap<&'static str, u64>,
}

impl Sum {
    fn add(&mut self, outcome: &Outcome) {
        self.seeds += 1;
        self.time += outcome.time;
        for (what, count) in &outcome.counts {
            *self.counts.entry(what).or_default() += count;
        }
        for (rule, asked) in &outcome.asked {
            *self.asked.entry(rule).or_default() += asked;
        }
    }

    fn hours(&self) -> f64 {
        self.time.as_secs_f64() / 3600.0
    }

    fn print(&self) {
        println!("{} seeds, {:.1} hours of virtual time", self.seeds, self.hours());
        for (what, count) in &self.counts {
            println!("  {count:>9}  {what}");
        }
        println!("rules, and how often each was asked:");
        for (rule, asked) in &self.asked {
            println!("  {asked:>9}  {rule}");
        }
    }
}

/// Runs seeds from this one on until there were so many, or the time is over; every hundredth one twice.
#[expect(clippy::disallowed_methods, reason = "how long a run may last is a matter of the real clock")]
fn many(first: u64, seeds: u64, longest: Duration) -> Sum {
    let began = Instant::now();
    let mut sum = Sum::default();
    let mut failed = Vec::new();
    for n in (0..seeds).map(|n| first + n) {
        if began.elapsed() > longest {
            break;
        }
        let outcome = seed(n);
        if let Some(violation) = outcome.violations.first() {
            println!("seed {n}: {}", violation.rule);
            failed.push(failure(n, &outcome));
            continue;
        }
        if (n - first + 1).is_multiple_of(100) {
            let again = seed(n);
            assert_eq!(outcome.trace, again.trace, "seed {n} did something else the second time");
        }
        sum.add(&outcome);
        if sum.seeds % 50 == 0 {
            println!(
                "{} seeds, {:.1} h of virtual time, {} s",
                sum.seeds,
                sum.hours(),
                began.elapsed().as_secs()
            );
        }
    }
    if let Some(first) = failed.first() {
        panic!("{} of {} seeds failed. The first:\n{first}", failed.len(), sum.seeds + failed.len() as u64);
    }
    sum
}

#[test]
fn nothing_is_lost_and_nothing_is_done_twice_whatever_goes_wrong() {
    many(1, 20, Duration::from_secs(12)).print();
}

#[test]
fn a_seed_does_the_same_again_over_either_medium() {
    for sqlite in [false, true] {
        let drawn = (1..).map(Plan::draw).find(|plan| plan.sqlite == sqlite && !plan.quiet());
        let plan = drawn.unwrap();
        let (first, second) = (seed(plan.seed), seed(plan.seed));
        assert_eq!(first.trace, second.trace, "seed {}", plan.seed);
        assert_eq!(first.counts, second.counts, "seed {}", plan.seed);
    }
}

/// What `cargo xtask sim` runs: `EVERLOOP_SIM_SEED`, `EVERLOOP_SIM_SEEDS`, `EVERLOOP_SIM_MINUTES`.
#[test]
#[ignore = "run by cargo xtask sim, with as many seeds as you like"]
fn many_seeds() {
    let number = |name: &str, default| {
        std::env::var(name)
            .ok()
            .map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number")))
    };
    let first = number("EVERLOOP_SIM_SEED", 1);
    let minutes = number("EVERLOOP_SIM_MINUTES", 60);
    let sum = many(first, number("EVERLOOP_SIM_SEEDS", 100), Duration::from_secs(minutes * 60));
    sum.print();
}
