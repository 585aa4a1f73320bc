//! The kinds that the conformance kit asks of every SDK (`sdks/conformance/README.md`). Reads `EVERLOOP_URL` and runs until
//! SIGTERM.

use everloop_client::{
    Context, Json, OnUnknown, Progress, Registry, Stop, TaskError, WorkerOptions, task, worker,
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

#[derive(Deserialize)]
struct Count {
    n: u64,
}

#[derive(Deserialize)]
struct Items {
    items: Vec<u64>,
}

#[derive(Deserialize)]
struct Fails {
    fails: u64,
}

#[derive(Deserialize)]
struct Argument {
    arg: Option<Value>,
    #[serde(default)]
    wait: bool,
}

#[derive(Deserialize)]
struct Millis {
    ms: u64,
}

#[derive(Deserialize)]
struct Doubt {
    on_unknown: OnUnknown,
    #[serde(default)]
    ms: u64,
}

#[derive(Deserialize)]
struct Bytes {
    bytes: usize,
}

async fn echo(_context: Context, value: Json) -> Result<Json, Stop> {
    Ok(value)
}

async fn steps(context: Context, input: Count) -> Result<u64, Stop> {
    let mut sum = 0;
    for i in 0..input.n {
        sum += context.step("s").args(&i).run(async { Ok::<_, TaskError>(i * i) }).await?;
    }
    Ok(sum)
}

async fn large(context: Context, input: Bytes) -> Result<usize, Stop> {
    let big = context.step("big").args(&input.bytes);
    let text: String = big.run(async { Ok("x".repeat(input.bytes)) }).await?;
    Ok(text.len())
}

async fn two_stage_map(context: Context, input: Items) -> Result<Vec<u64>, Stop> {
    let stages = async |context: Context, x: u64| {
        let y: u64 = context.step("a").args(&x).run(async { Ok(x + 1) }).await?;
        context.step("b").args(&y).run(async { Ok(y * 2) }).await
    };
    context.map("map", input.items).run(stages).await
}

/// A step that takes so long and gives its name.
async fn named(context: &Context, name: &str, millis: u64) -> Result<String, Stop> {
    let work = async {
        tokio::time::sleep(Duration::from_millis(millis)).await;
        Ok(name.to_owned())
    };
    context.step(name).run(work).await
}

async fn race(context: Context, _input: Json) -> Result<Value, Stop> {
    let race = context
        .race("race")
        .branch(|context| async move { named(&context, "slow", 300).await })
        .branch(|context| async move { named(&context, "fast", 10).await });
    let (winner, value) = race.run().await?;
    Ok(json!({"winner": winner, "value": value}))
}

async fn failing_step(context: Context, _input: Json) -> Result<Value, Stop> {
    let boom = context.step("boom").run(async { Err::<(), _>(TaskError::validation("boom", "no")) }).await;
    match boom {
        Err(Stop::Failed(error)) => Ok(json!({"caught": error.code})),
        Err(stop) => Err(stop),
        Ok(()) => Ok(json!({"caught": "nothing"})),
    }
}

async fn retry_step(context: Context, input: Fails) -> Result<u64, Stop> {
    let tries = AtomicU64::new(0);
    let flaky = || async {
        let n = tries.fetch_add(1, Ordering::Relaxed) + 1;
        if n <= input.fails { Err(TaskError::transient("flaky", format!("try {n} fails"))) } else { Ok(n) }
    };
    let pause = Duration::from_millis(10);
    context.step("flaky").args(&input.fails).retries(4).backoff(pause, pause).run(flaky).await
}

async fn mismatch(context: Context, input: Argument) -> Result<Value, Stop> {
    let given = std::env::var("KIT_ARG").ok().map(Value::from);
    let argument = given.or(input.arg).unwrap_or_default();
    let result = context.step("m").args(&argument).run(async { Ok(argument.clone()) }).await?;
    if input.wait {
        context.wait_input("go").await?;
    }
    Ok(result)
}

async fn wait_input(context: Context, _input: Json) -> Result<Json, Stop> {
    context.wait_input("go").await
}

async fn sleep(context: Context, input: Millis) -> Result<&'static str, Stop> {
    context.sleep("nap", Duration::from_millis(input.ms)).await?;
    Ok("slept")
}

async fn ask(context: Context, _input: Json) -> Result<Value, Stop> {
    let (decision, result) = context.ask("ok", "ok?", &["yes", "no"], None).await?;
    Ok(json!({"decision": decision, "result": result}))
}

async fn in_doubt(context: Context, input: Doubt) -> Result<String, Stop> {
    let charge = async {
        tokio::time::sleep(Duration::from_millis(input.ms)).await;
        Ok("charged".to_owned())
    };
    context.step("charge").on_unknown(input.on_unknown).run(charge).await
}

async fn child(context: Context, _input: Json) -> Result<Json, Stop> {
    context.call("kit.echo", &"hi").await
}

async fn version(context: Context, _input: Json) -> Result<u32, Stop> {
    context.version("gate", 1, 2)
}

async fn progress(context: Context, _input: Json) -> Result<(), Stop> {
    context.progress(Progress { done: Some(1), total: Some(2), note: None });
    context.log(everloop_types::event::Level::Info, "hello");
    context.custom("kit", &json!({"a": 1}))?;
    context.token("x");
    Ok(())
}

async fn cleanup(context: Context, _input: Json) -> Result<(), Stop> {
    let work = async { named(&context, "work", 60_000).await.map(drop) };
    context.finally(work, |context| async move { named(&context, "tidy", 0).await.map(drop) }).await
}

/// How often the function of `kit.impure` was begun.
static BEGUN: AtomicU64 = AtomicU64::new(0);

async fn impure(context: Context, _input: Json) -> Result<(), Stop> {
    let begun = BEGUN.fetch_add(1, Ordering::Relaxed);
    context.step("i").args(&begun).run(async { Ok(()) }).await?;
    context.step("j").run(async { Ok(()) }).await
}

async fn continues(_context: Context, input: Count) -> Result<&'static str, Stop> {
    if input.n > 0 { Err(Stop::continue_as(&json!({"n": input.n - 1}))) } else { Ok("end") }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let kinds = Registry::default()
        .with(Arc::new(task("kit.echo", echo)))
        .with(Arc::new(task("kit.steps", steps)))
        .with(Arc::new(task("kit.large", large)))
        .with(Arc::new(task("kit.two_stage_map", two_stage_map)))
        .with(Arc::new(task("kit.race", race)))
        .with(Arc::new(task("kit.failing_step", failing_step)))
        .with(Arc::new(task("kit.retry_step", retry_step)))
        .with(Arc::new(task("kit.mismatch", mismatch)))
        .with(Arc::new(task("kit.wait_input", wait_input)))
        .with(Arc::new(task("kit.sleep", sleep)))
        .with(Arc::new(task("kit.ask", ask)))
        .with(Arc::new(task("kit.in_doubt", in_doubt)))
        .with(Arc::new(task("kit.child", child)))
        .with(Arc::new(task("kit.version", version)))
        .with(Arc::new(task("kit.progress", progress)))
        .with(Arc::new(task("kit.cleanup", cleanup)))
        .with(Arc::new(task("kit.impure", impure)))
        .with(Arc::new(task("kit.continue", continues)));
    let options = WorkerOptions { name: "kit-rust".to_owned(), ..WorkerOptions::default() };
    Ok(worker(kinds, options).await?)
}
