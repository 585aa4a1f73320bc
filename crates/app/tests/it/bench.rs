//! `everloop bench` against a running server.

use crate::harness::Place;

#[test]
fn it_measures_and_leaves_nothing_behind() {
    let place = Place::new();
    let server = place.server(&[]);
    let kept = place.run(&["task", "start", "mock", "--key", "mine", "--wait", "30s"]);
    assert_eq!(kept.code, 0, "{kept:?}");
    let report = place.run(&["--json", "bench", "--seconds", "1", "--concurrency", "1,8"]).json();
    let rows = report["rows"].as_array().unwrap();
    let at_once: Vec<_> = rows.iter().map(|row| row["at_once"].as_u64().unwrap()).collect();
    assert_eq!(at_once, [1, 1, 8, 1, 4]);
    for row in rows {
        let figure = |name: &str| row[name].as_f64().unwrap();
        assert!(figure("per_second") > 0.0 && figure("p50_ms") > 0.0, "{row}");
        assert!(figure("p50_ms") <= figure("p99_ms") && figure("p99_ms") <= figure("max_ms"), "{row}");
    }
    assert!(report["removed"].as_u64().unwrap() > 100, "{report}");
    assert_eq!((&report["store"], &report["server"]), (&"sqlite".into(), &env!("CARGO_PKG_VERSION").into()));
    let left = place.run(&["task", "list"]);
    assert!(left.out.contains("mine") && !left.out.contains("bench-"), "{left:?}");
    assert_eq!(left.out.lines().count(), 2, "{left:?}");

    let said = place.run(&["bench", "--seconds", "1", "--concurrency", "2", "--keep"]);
    assert!(said.out.contains("submit to complete") && said.out.contains("PER SECOND"), "{said:?}");
    let left = place.run(&["task", "list"]);
    assert!(left.out.contains("bench-"), "{left:?}");
    drop(server);
}

#[test]
fn what_it_can_not_measure_is_refused() {
    let place = Place::new();
    for wrong in [["--concurrency", "0"], ["--concurrency", "1,x"], ["--seconds", "0"]] {
        assert_eq!(place.run(&["bench", wrong[0], wrong[1]]).code, 2, "{wrong:?}");
    }
    let nobody = place.run(&["bench"]);
    assert!(nobody.code == 6 && nobody.err.contains("everloop dev"), "{nobody:?}");
    let server = place.server(&["--workers", "0"]);
    let unknown = place.run(&["bench", "--seconds", "1", "--concurrency", "1"]);
    assert!(unknown.code == 5 && unknown.err.contains("mock"), "{unknown:?}");
    drop(server);
}
