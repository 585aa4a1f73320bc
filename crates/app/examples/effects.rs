//! A program with effects, to be killed: each effect leaves the key of its step in a file.
//!
//! `effects FILE COUNT [FOLDER]`
#![expect(clippy::print_stdout, reason = "its result is looked at")]

use everloop_client::{Context, Registry, RunOptions, Runner, Stop, TaskError, task};
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

/// Leaves a line, on the disk.
fn leave(file: &str, line: &str) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(file)?;
    file.write_all(format!("{line}\n").as_bytes())?;
    file.sync_all()
}

async fn effect(context: &Context, file: &str, n: u64) -> Result<u64, Stop> {
    let step = context.step("effect").args(&n);
    let key = step.idempotency_key();
    let work = async {
        leave(file, &key).map_err(|error| TaskError::transient("file", error))?;
        tokio::time::sleep(Duration::from_millis(10)).await;
        Ok(n)
    };
    step.run(work).await
}

async fn effects(context: Context, (file, count): (String, u64)) -> Result<u64, Stop> {
    let mut total = 0;
    for n in 0..count {
        total += effect(&context, &file, n).await?;
    }
    context.sleep("pause", Duration::from_millis(50)).await?;
    let one = async |context: Context, n: u64| effect(&context, &file, n).await;
    let more: Vec<u64> = context.map("more", 0..count).concurrency(4).run(one).await?;
    Ok(total + more.iter().sum::<u64>())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, count] = arguments.as_slice() else { return Err("effects FILE COUNT".into()) };
    let effects = task("effects", effects);
    let runner = Runner::start(Registry::default().with(Arc::new(effects.clone())), None).await?;
    let options = RunOptions { key: Some("work".to_owned()), ..RunOptions::default() };
    let result = runner.run(&effects, &(file.clone(), count.parse()?), options).await;
    runner.stop().await;
    println!("result {}", result?);
    Ok(())
}
