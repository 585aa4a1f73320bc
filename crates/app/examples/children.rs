//! A task that starts tasks: each chapter is one of its own, with a history, retries and a result.
//!
//! `cargo run --example children`
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

mod program;

use everloop_client::{Context, Registry, RunOptions, Runner, Stop, Task, task};
use std::sync::Arc;

async fn count(context: Context, text: String) -> Result<usize, Stop> {
    context.step("count").args(&text).run(async { Ok(text.split_whitespace().count()) }).await
}

fn chapter() -> Task<String, usize> {
    task("chapter", count)
}

async fn words(context: Context, chapters: Vec<String>) -> Result<usize, Stop> {
    let mut started = Vec::new();
    for text in &chapters {
        started.push(chapter().start(&context, text).await?);
    }
    let mut words = 0;
    for child in started {
        words += child.result::<usize>(&context).await?;
    }
    Ok(words)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    program::built()?;
    let book = task("book", words);
    let kinds = Registry::default().with(Arc::new(book.clone())).with(Arc::new(chapter()));
    let runner = Runner::start(kinds, None).await?;
    let chapters = ["It was a dark night.", "The end."].map(str::to_owned).to_vec();
    let options = RunOptions { key: Some("book-1".to_owned()), ..RunOptions::default() };
    let counted = runner.run(&book, &chapters, options).await;
    runner.stop().await;
    println!("{} words", counted?);
    Ok(())
}
