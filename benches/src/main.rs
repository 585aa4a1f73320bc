//! Measures submit-to-complete in process and over HTTP, and append-to-follower, beside bare SQLite and a bare Axum handler.
//!
//! Ratios within one run are what counts: the machine under it is another one every time.
#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "a tool that measures time and prints it")]

mod bare;
mod inprocess;
mod report;

fn main() -> anyhow::Result<()> {
    let seconds: u64 = std::env::args().nth(1).map_or(Ok(3), |text| text.parse())?;
    let seconds = std::time::Duration::from_secs(seconds);
    let mut rows = Vec::new();
    rows.push(bare::sqlite(seconds)?);
    for concurrency in [1, 16, 64, 256] {
        rows.push(inprocess::run(seconds, concurrency)?);
    }
    println!("{}", report::table(&rows));
    Ok(())
}
