use crate::engines::*;
use crate::sample::*;
use everloop_store::rows::*;
use everloop_store::work::*;
use everloop_types::id::*;
use everloop_types::lease::LeaseToken;
use everloop_types::state::State;
use everloop_types::time::Timestamp;
use std::time::Instant;

fn key(n: u64) -> [u8; 16] { everloop_journal::digest::sha256(&n.to_be_bytes())[..16].try_into().unwrap() }
fn lease(n: u64) -> LeaseRow {
    LeaseRow { task: id(n), tenant: TENANT, token: LeaseToken { epoch: 0, attempt: 1, nonce: n }, worker: WorkerId([1; 16]), incarnation: Some(IncarnationId([2; 16])), expires_at: Timestamp::from_micros(1), batch: 0, concurrency: None }
}
fn run(mut h: everloop_store::suite::Harness, size: u64, rounds: u64) {
    let (mut load, mut commit, mut first) = (Vec::new(), Vec::new(), Vec::new());
    let begin = Instant::now();
    for round in 0..rounds {
        let ns: Vec<u64> = (round * size..(round + 1) * size).collect();
        let submit = set(ns.iter().map(|n| grow(*n, 0, 2, State::Running, vec![
            Row::KeyNew(KeyRow { hash: key(*n), tenant: TENANT, task: id(*n), request: [0; 16], deleted_at: None }),
            Row::LeasePut(lease(*n))])).collect());
        let finish = set(ns.iter().map(|n| grow(*n, 2, 2, State::Completed, vec![Row::LeaseDelete(id(*n))])).collect());
        let t = Instant::now();
        h.writer.load(&Wanted { keys: ns.iter().map(|n| key(*n)).collect(), ..Default::default() }, Timestamp::MIN).unwrap();
        load.push(t.elapsed());
        let t = Instant::now();
        let done = h.writer.commit(&submit).unwrap();
        assert!(done.moved.is_empty());
        first.push(t.elapsed());
        let t = Instant::now();
        h.writer.load(&Wanted { tasks: ns.iter().map(|n| WantedTask { tenant: TENANT, task: id(*n), relations: true }).collect(), ..Default::default() }, Timestamp::MIN).unwrap();
        load.push(t.elapsed());
        let t = Instant::now();
        h.writer.commit(&finish).unwrap();
        commit.push(t.elapsed());
    }
    let all = begin.elapsed();
    let mid = |v: &mut Vec<std::time::Duration>, p: usize| { v.sort(); v[v.len() * p / 100] };
    println!("{} batch {size}: {:.0} tasks/s; load p50 {:?}; submit p50 {:?} p99 {:?}; finish p50 {:?} p99 {:?}", h.name,
        (size * rounds) as f64 / all.as_secs_f64(), mid(&mut load, 50), mid(&mut first, 50), mid(&mut first, 99), mid(&mut commit, 50), mid(&mut commit, 99));
}
#[test]
fn speed() {
    if std::env::var("SPEED").is_err() { return; }
    for size in [1, 64, 64] { if std::env::var("SPEED").as_deref() == Ok("3") { break; } run(open_sqlite(), size, 60_000 / size.max(8)); }
    if std::env::var("SPEED").as_deref() == Ok("2") { return; }
    for size in [64] { run(open_postgres(), size, 16_000 / size.max(8)); }
}
