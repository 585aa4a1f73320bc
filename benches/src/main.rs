//! Measures the product from outside and in process, beside what the disk, bare SQLite and a bare Axum handler give at most.
//!
//! Ratios within one run are what counts: the machine under it is another one every time. `cargo xtask bench` builds what is
//! measured and runs this.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a tool that measures time and prints it"
)]

mod bare;
mod follow;
mod http;
mod inprocess;
mod life;
mod load;
mod mcp;
mod process;
mod report;
mod scale;
mod verify;

use std::time::Duration;

/// A row, told as soon as it is there.
fn tell(rows: &mut Vec<report::Row>, row: report::Row) {
    eprintln!(
        "{} ({}): {:.0}/s, p50 {:.2} ms, p99 {:.2} ms",
        row.name, row.concurrency, row.per_second, row.p50_ms, row.p99_ms
    );
    rows.push(row);
}

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let mut mcp_only = false;
    let (mut time, mut json, mut postgres, mut finished) = (Duration::from_secs(3), None, None, None);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "bare-axum" => return process::serve_bare(),
            "--seconds" => time = Duration::from_secs(args.next().unwrap_or_default().parse()?),
            "--json" => json = args.next(),
            "--postgres" => postgres = args.next(),
            "--mcp" => mcp_only = true,
            "--scale" => finished = Some(args.next().unwrap_or_default().parse()?),
            other => anyhow::bail!(
                "{other}: only --seconds N, --json FILE, --postgres URL, --mcp and --scale TASKS are known"
            ),
        }
    }
    let (mut rows, mut figures) = (Vec::new(), Vec::new());
    match finished {
        Some(finished) => {
            scale::followers(&mut rows, &mut figures)?;
            scale::pollers(&mut rows, &mut figures)?;
            scale::overload(&mut rows, &mut figures)?;
            scale::file(finished, &mut rows, &mut figures)?;
        }
        None if mcp_only => {
            let folder = tempfile::tempdir_in(".")?;
            let (_running, address) = process::server(folder.path(), &[])?;
            mcp::beside_rest(&address, time, &mut rows, &mut figures)?;
        }
        None => speed(time, postgres, &mut rows, &mut figures)?,
    }
    println!("{}\n{}", report::table(&rows), report::figures(&figures));
    if let Some(file) = json {
        let all = serde_json::json!({"machine": report::machine()?, "rows": rows, "figures": figures});
        std::fs::write(file, serde_json::to_string_pretty(&all)? + "\n")?;
    }
    Ok(())
}

/// How fast it is, beside the limits.
fn speed(
    time: Duration,
    postgres: Option<String>,
    rows: &mut Vec<report::Row>,
    figures: &mut Vec<report::Figure>,
) -> anyhow::Result<()> {
    limits(time, rows)?;
    life::start(figures)?;
    for concurrency in [1, 16, 64, 256] {
        tell(rows, inprocess::run(time, concurrency)?);
    }
    let folder = tempfile::tempdir_in(".")?;
    let (running, address) = process::server(folder.path(), &[])?;
    over_http("POST /tasks?wait=, submit to complete", &address, time, rows)?;
    tell(rows, http::keyless(&address, time, 64)?);
    life::disk(running, folder.path(), figures)?;
    let folder = tempfile::tempdir_in(".")?;
    let (running, address) = process::server(folder.path(), &[])?;
    tell(rows, http::batches(&address, time, &Default::default())?);
    tell(rows, http::remote(&address, time)?);
    mcp::beside_rest(&address, time, rows, figures)?;
    tell(rows, http::steps(&address, 1, 1_000)?);
    tell(rows, http::steps(&address, 64, 100)?);
    for followers in [1, 100, 1_000] {
        tell(rows, follow::follow(&address, followers, 400)?);
    }
    drop(running);
    life::restart(figures)?;
    verify::verify(figures)?;
    if let Some(url) = postgres {
        let folder = tempfile::tempdir_in(".")?;
        let (_running, address) = process::server(folder.path(), &["--database-url", &url])?;
        over_http("the same on PostgreSQL", &address, time, rows)?;
    }
    Ok(())
}

/// What the disk, the database and the web server give at most.
fn limits(time: Duration, rows: &mut Vec<report::Row>) -> anyhow::Result<()> {
    tell(rows, bare::fsync(time)?);
    tell(rows, bare::sqlite(time)?);
    let (_axum, address) = process::bare_axum()?;
    for concurrency in [1, 64] {
        tell(rows, http::bare(&address, time, concurrency)?);
    }
    Ok(())
}

fn over_http(name: &str, address: &str, time: Duration, rows: &mut Vec<report::Row>) -> anyhow::Result<()> {
    let numbers = Default::default();
    for concurrency in [1, 16, 64, 256] {
        tell(rows, http::tasks(name, address, time, concurrency, &numbers)?);
    }
    Ok(())
}
