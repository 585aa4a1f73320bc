//! `everloop task cancel | pause | resume | fork | input | decide`.

use super::json;
use crate::cli::args::{DecideArgs, ForkArgs, InputArgs, SteerArgs, TaskArgs};
use crate::cli::ground::Ground;
use crate::failure::{Exit, Outcome};
use crate::output;
use everloop_api::command::{CancelRequest, DecisionRequest, ForkRequest, InputRequest, PauseRequest};
use everloop_api::task::TaskView;
use everloop_client::Client;

fn done(ground: &Ground, task: &TaskView) -> Outcome {
    if ground.json {
        output::json(task);
    } else {
        ground.talk(format!("{} is {}", task.id, task.state));
    }
    Ok(Exit::Done)
}

pub(super) async fn cancel(ground: &Ground, client: &Client, args: SteerArgs) -> Outcome {
    done(ground, &client.cancel(&args.task, &CancelRequest { reason: args.reason }).await?)
}

pub(super) async fn pause(ground: &Ground, client: &Client, args: SteerArgs) -> Outcome {
    done(ground, &client.pause(&args.task, &PauseRequest { reason: args.reason }).await?)
}

pub(super) async fn resume(ground: &Ground, client: &Client, args: &TaskArgs) -> Outcome {
    done(ground, &client.resume(&args.task).await?)
}

pub(super) async fn fork(ground: &Ground, args: ForkArgs) -> Outcome {
    let input = args.input.as_deref().map(|text| json(text, "--input")).transpose()?;
    let request = ForkRequest { from_step: args.from_step, upto_seq: args.upto_seq, key: args.key, input };
    let task = ground.client()?.fork(&args.task, &request).await?;
    if ground.json {
        output::json(&task);
    } else {
        output::line(task.id.to_string());
    }
    Ok(Exit::Done)
}

pub(super) async fn input(ground: &Ground, args: InputArgs) -> Outcome {
    let data = args.data.as_deref().map(|text| json(text, "the input")).transpose()?.unwrap_or_default();
    let request = InputRequest { name: args.name, data, id: args.id };
    let answer = ground.client()?.input(&args.task, &request).await?;
    if ground.json {
        output::json(&answer);
    } else {
        ground.talk(format!("{} got it as {}; it is {}", answer.task.id, answer.id, answer.task.state));
    }
    Ok(Exit::Done)
}

pub(super) async fn decide(ground: &Ground, args: DecideArgs) -> Outcome {
    let result = args.result.as_deref().map(|text| json(text, "--result")).transpose()?;
    let request = DecisionRequest { id: args.request, decision: args.decision, note: args.note, result };
    done(ground, &ground.client()?.decide(&args.task, &request).await?)
}
