//! The real server over a database in memory, with what the conformance suite of MCP needs to find. It prints its address
//! and runs until its input ends.

use everloop_control::Options as ControlOptions;
use everloop_control::testing::Bench;
use everloop_server::Options;
use everloop_testkit::random::Seeded;
use everloop_testkit::system::RealClock;
use std::io::{Read, Write};
use std::sync::Arc;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let bench =
        Bench::start(Arc::new(RealClock::default()), Arc::new(Seeded::new(1)), ControlOptions::default())
            .await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    writeln!(std::io::stdout(), "http://{}/mcp", listener.local_addr()?)?;
    let ended = async {
        let _ = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await;
    };
    tokio::select! {
        served = everloop_server::serve(listener, bench.control.clone(), Options::default(), ended) => served?,
        worked = bench.worker().work() => worked?,
    }
    Ok(())
}
