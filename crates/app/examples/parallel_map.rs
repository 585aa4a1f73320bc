//! A thousand items at once, each a journaled step of its own.
//!
//! `cargo run --example parallel_map -- 1000`
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

mod program;

use everloop_client::{Context, Stop, run, task};

/// Stands for work: the number of steps that the Collatz sequence of a number takes to 1.
fn length(n: u64) -> u64 {
    let mut steps = 0;
    let mut at = n;
    while at > 1 {
        at = if at.is_multiple_of(2) { at / 2 } else { 3 * at + 1 };
        steps += 1;
    }
    steps
}

async fn longest(context: Context, count: u64) -> Result<(u64, u64), Stop> {
    let one =
        async |context: Context, n: u64| context.step("length").args(&n).run(async { Ok(length(n)) }).await;
    let lengths: Vec<u64> = context.map("lengths", 1..=count).concurrency(100).run(one).await?;
    let longest = (1..).zip(lengths).max_by_key(|(n, length)| (*length, std::cmp::Reverse(*n)));
    Ok(longest.unwrap_or_default())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    program::built()?;
    let count: u64 = std::env::args().nth(1).map_or(Ok(1000), |count| count.parse())?;
    let (n, length) = run(&task("longest", longest), count, &format!("longest-{count}")).await?;
    println!("{n} takes {length} steps");
    Ok(())
}
