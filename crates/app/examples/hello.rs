//! A durable task in one file: kill it wherever you like, start it again, and it goes on.
//!
//! `cargo run --example hello`
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

mod program;

use everloop_client::{Context, Stop, TaskError, run, task};
use std::time::Duration;

/// Stands for something that takes a while, and may fail.
async fn greet(name: &str) -> Result<String, TaskError> {
    tokio::time::sleep(Duration::from_millis(100)).await;
    Ok(format!("Hello, {name}!"))
}

async fn hello(context: Context, names: Vec<String>) -> Result<Vec<String>, Stop> {
    let mut greetings = Vec::new();
    for name in &names {
        greetings.push(context.step("greet").args(name).retries(3).run(|| greet(name)).await?);
    }
    Ok(greetings)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    program::built()?;
    let names = ["Ada", "Grace", "Barbara"].map(str::to_owned).to_vec();
    for greeting in run(&task("hello", hello), names, "hello-1").await? {
        println!("{greeting}");
    }
    Ok(())
}
