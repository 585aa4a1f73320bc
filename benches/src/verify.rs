//! Verifying exports.

use crate::report::Figure;
use everloop_journal::chain::{self, Draft};
use everloop_journal::export::verify_text;
use everloop_types::id::{TaskId, TenantId};
use everloop_types::json::Json;
use everloop_types::stream::StreamName;
use everloop_types::time::Timestamp;
use std::time::Instant;

const EVENTS: u32 = 100_000;

/// A chain of small events, verified on each core from a text of its own.
pub(crate) fn verify(figures: &mut Vec<Figure>) -> anyhow::Result<()> {
    let stream = StreamName::Task(TaskId([7; 16]));
    let mut head = chain::start(&stream);
    let mut text = String::new();
    for n in 0..EVENTS {
        let data = Json::from_canonical(format!(
            "{{\"n\":{n},\"text\":\"what an event of a step says, more or less\"}}"
        ))?;
        let draft = Draft {
            tenant: TenantId::DEFAULT,
            stream,
            ts: Timestamp::from_micros(1_800_000_000_000_000 + i64::from(n)),
            kind: "custom.bench".into(),
            body_v: 1,
            actor: "system".to_owned(),
            trace: None,
            salt: [3; 16],
            data,
        };
        let event = chain::link(&head, draft);
        head = chain::head_after(&event);
        chain::write_json(&mut text, &event);
        text.push('\n');
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let running: Vec<_> =
            (0..cores).map(|_| scope.spawn(|| verify_text(&text, None).map(|_| ()))).collect();
        running.into_iter().try_for_each(|one| match one.join() {
            Ok(verified) => verified.map_err(anyhow::Error::from),
            Err(_) => anyhow::bail!("the verifier panicked"),
        })
    })?;
    let rate = f64::from(EVENTS) * cores as f64 / begun.elapsed().as_secs_f64();
    figures.push(Figure::new(
        "events verified in a second, an export on each core",
        rate,
        "events/s",
        ">= 200000",
    ));
    Ok(())
}
