//! Submit to complete inside of one process: the engine over SQLite with its own worker.

use crate::report::Row;
use everloop_engine::engine::{Engine, Parts};
use everloop_engine::pipeline::op::Submit;
use everloop_engine::source::EngineSource;
use everloop_exec::mock::Mock;
use everloop_journal::canonical::canonicalize;
use everloop_journal::digest::key_hash;
use everloop_journal::keys::SigningKey;
use everloop_testkit::system::RealClock;
use everloop_types::id::{TaskId, TenantId, UserId};
use everloop_types::random::Random;
use everloop_types::task::TaskSpec;
use everloop_types::time::Clock;
use everloop_worker::executor::Registry;
use everloop_worker::run::{Options, Worker};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;

struct OsRandom;
impl Random for OsRandom {
    fn fill(&self, buffer: &mut [u8]) {
        if getrandom::fill(buffer).is_err() {
            std::process::abort();
        }
    }
}

/// Keeps so many tasks under way for so long. Each has a key, one step and a receipt.
pub(crate) fn run(time: Duration, concurrency: usize) -> anyhow::Result<Row> {
    let folder = tempfile::tempdir_in(".")?;
    let clock = Arc::new(RealClock::default());
    let random = Arc::new(OsRandom);
    let opened = everloop_store_sql::open_sqlite(
        &everloop_store_sql::SqliteOptions::new(folder.path().join("everloop.db")),
        &everloop_store_sql::Birth::new(clock.now(), &*random),
    )?;
    let mut seed = [0; 32];
    random.fill(&mut seed);
    let (engine, threads) = Engine::start(Parts {
        writer: opened.writer,
        reader: opened.reader,
        clock: clock.clone(),
        random,
        key: Arc::new(SigningKey::from_seed(&seed)),
        digest_every: 256,
        reserve: None,
        blobs: Arc::new(everloop_store_sql::blob_files::BlobFiles::new(folder.path())),
        retention: Default::default(),
    })?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let input = canonicalize(br#"{"steps":[{"name":"work","result":{"answer":42,"text":"some eighty bytes of result that a step would give back"}}]}"#)?;
    let row = runtime.block_on(async {
        let (stop, stopped) = watch::channel(false);
        let worker = Worker {
            source: Arc::new(EngineSource::embedded(engine.clone())),
            registry: Registry::default().with(Arc::new(Mock)),
            clock: clock.clone(),
            options: Options { max_concurrent_tasks: 256, ..Options::default() },
        };
        let working = tokio::spawn(worker.run(stopped));
        let numbers = Arc::new(AtomicU64::new(0));
        let start = Instant::now();
        let loops: Vec<_> = (0..concurrency)
            .map(|_| {
                let (engine, numbers, input) = (engine.clone(), numbers.clone(), input.clone());
                tokio::spawn(async move {
                    let mut latencies = Vec::new();
                    while start.elapsed() < time {
                        let begun = Instant::now();
                        let n = numbers.fetch_add(1, Ordering::Relaxed);
                        let mut spec = TaskSpec::new("mock");
                        spec.input = Some(input.clone());
                        // Keys come in no order, as callers' do.
                        let key = format!("order-{:016x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
                        let keys = vec![key_hash(TenantId::DEFAULT, "key", &key)];
                        spec.key = Some(key);
                        let id = TaskId(engine.new_id());
                        let mut subscription = engine.subscribe(id);
                        let submit = Submit {
                            id,
                            tenant: TenantId::DEFAULT,
                            actor: UserId::LOCAL.to_string(),
                            spec,
                            data_subject: None,
                            keys,
                            request: [1; 16],
                            trace: None,
                            fork: None,
                            takes_key_of: None,
                        };
                        engine.submit(submit).await?;
                        subscription.finished().await;
                        latencies.push(begun.elapsed());
                    }
                    anyhow::Ok(latencies)
                })
            })
            .collect();
        let mut latencies = Vec::new();
        for one in loops {
            latencies.extend(one.await??);
        }
        let row = Row::new("in process, submit to complete", concurrency, start.elapsed(), latencies);
        stop.send_replace(true);
        working.await??;
        anyhow::Ok(row)
    })?;
    drop(runtime);
    drop(engine);
    threads.join();
    Ok(row)
}
