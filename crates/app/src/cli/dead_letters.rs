//! `everloop dead-letters list | redrive`.

use super::args::{DeadLettersCommand, RedriveArgs};
use super::ground::{Ground, block_on};
use super::show;
use crate::failure::{Exit, Outcome};
use crate::output;
use everloop_client::Client;
use everloop_types::limits::PAGE_ITEMS;

pub(super) fn run(ground: &Ground, command: DeadLettersCommand) -> Outcome {
    block_on(async {
        let client = ground.client()?;
        match command {
            DeadLettersCommand::List(args) => list(ground, &client, args.limit).await,
            DeadLettersCommand::Redrive(args) => redrive(ground, &client, &args).await,
        }
    })
}

async fn list(ground: &Ground, client: &Client, limit: u32) -> Outcome {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut tasks = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let page =
            client.dead_letters(Some((limit - tasks.len()).min(PAGE_ITEMS)), cursor.as_deref()).await?;
        tasks.extend(page.items);
        cursor = page.next_cursor;
        if cursor.is_none() || tasks.len() >= limit {
            break;
        }
    }
    if ground.json {
        tasks.iter().for_each(output::json);
    } else if tasks.is_empty() {
        ground.talk("no task has failed");
    } else {
        output::bytes(show::tasks(&tasks).as_bytes());
    }
    Ok(Exit::Done)
}

async fn redrive(ground: &Ground, client: &Client, args: &RedriveArgs) -> Outcome {
    for task in &args.tasks {
        let fork = client.redrive(task).await?;
        if ground.json {
            output::json(&fork);
        } else {
            output::line(fork.id.to_string());
            ground.talk(format!("{} goes on from what {task} had recorded", fork.id));
        }
    }
    Ok(Exit::Done)
}
