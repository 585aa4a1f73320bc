//! Tokens of a model, shown as they come to those who look on, and recorded as one answer.
//!
//! `cargo run --example streaming`
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

mod program;

use everloop_client::{Context, Stop, run, task};
use std::time::Duration;

async fn chat(context: Context, question: String) -> Result<String, Stop> {
    let answer = async {
        let mut answer = String::new();
        for word in format!("You said: {question}").split_inclusive(' ') {
            tokio::time::sleep(Duration::from_millis(50)).await;
            context.token(word);
            answer.push_str(word);
        }
        Ok(answer)
    };
    context.step("answer").kind("model").args(&question).run(answer).await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    program::built()?;
    let question = "what does durable mean, and why would an agent that runs for days need it?".to_owned();
    println!("{}", run(&task("chat", chat), question, "chat-1").await?);
    Ok(())
}
