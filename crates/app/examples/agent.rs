//! A tool-calling agent as a plain loop. Each turn of the model and each tool is a step.
//!
//! `cargo run --example agent -- 5`
//!
//! The model here follows a script. Put a real one in place of `scripted`: nothing else changes. What a step is given is held
//! against what it was given before by a digest, so that the record of a turn does not grow with the turns before it.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

mod program;

use everloop_client::{Context, Progress, Stop, TaskError, run, task};
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "role")]
enum Message {
    User { content: String },
    Call { tool: String, a: u64, b: u64 },
    Tool { content: u64 },
    Answer { content: String },
}

/// Stands for a model: asks for a sum as often as it shall, then answers with the last one.
async fn scripted(messages: &[Message], turns: u64) -> Result<Message, TaskError> {
    let asked = messages.iter().filter(|message| matches!(message, Message::Call { .. })).count() as u64;
    Ok(match messages.last() {
        Some(Message::Tool { content }) if asked >= turns => {
            Message::Answer { content: format!("the last sum was {content}") }
        }
        _ => Message::Call { tool: "add".to_owned(), a: asked, b: 1 },
    })
}

/// The tools.
async fn used(tool: &str, a: u64, b: u64) -> Result<Message, TaskError> {
    match tool {
        "add" => Ok(Message::Tool { content: a + b }),
        _ => Err(TaskError::validation("no_tool", format!("there is no tool {tool}"))),
    }
}

#[derive(Serialize, Deserialize)]
struct Question {
    prompt: String,
    turns: u64,
}

async fn agent(context: Context, question: Question) -> Result<String, Stop> {
    let turns = question.turns;
    let mut messages = vec![Message::User { content: question.prompt }];
    loop {
        let think = context.step("think").kind("model").args(&messages).retries(2);
        let message = think.run(|| scripted(&messages, turns)).await?;
        messages.push(message.clone());
        match message {
            Message::Call { tool, a, b } => {
                let step = context.step("use").kind("tool").args(&(&tool, a, b));
                messages.push(step.run(used(&tool, a, b)).await?);
                context.progress(Progress { done: Some(a + 1), total: Some(turns), note: None });
            }
            Message::Answer { content } => return Ok(content),
            Message::User { .. } | Message::Tool { .. } => {
                return Err(TaskError::validation("no_answer", "the model speaks for others").into());
            }
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    program::built()?;
    let turns: u64 = std::env::args().nth(1).map_or(Ok(5), |turns| turns.parse())?;
    let question = Question { prompt: "count".to_owned(), turns };
    println!("{}", run(&task("agent", agent), question, &format!("agent-{turns}")).await?);
    Ok(())
}
