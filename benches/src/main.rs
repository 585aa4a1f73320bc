//! Measures submit-to-complete in process and over HTTP, and append-to-follower, beside bare SQLite and a bare Axum handler.
//!
//! Ratios within one run are what counts: the machine under it is another one every time. `cargo xtask bench` builds what is
//! measured and runs this.
#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a tool that measures time and prints it"
)]

mod bare;
mod http;
mod inprocess;
mod process;
mod report;

use std::time::Duration;

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let (mut time, mut json) = (Duration::from_secs(3), None);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "bare-axum" => return process::serve_bare(),
            "--seconds" => time = Duration::from_secs(args.next().unwrap_or_default().parse()?),
            "--json" => json = args.next(),
            other => anyhow::bail!("{other}: only --seconds N and --json FILE are known"),
        }
    }
    let mut rows = vec![bare::sqlite(time)?];
    let (_axum, address) = process::bare_axum()?;
    for concurrency in [1, 64] {
        rows.push(http::bare(&address, time, concurrency)?);
    }
    for concurrency in [1, 16, 64, 256] {
        rows.push(inprocess::run(time, concurrency)?);
    }
    let folder = tempfile::tempdir_in(".")?;
    let (_server, address) = process::server(folder.path())?;
    let numbers = Default::default();
    for concurrency in [1, 16, 64, 256] {
        rows.push(http::tasks(&address, time, concurrency, &numbers)?);
    }
    rows.push(http::follow(&address, 400)?);
    println!("{}", report::table(&rows));
    if let Some(file) = json {
        std::fs::write(file, serde_json::to_string_pretty(&rows)? + "\n")?;
    }
    Ok(())
}
