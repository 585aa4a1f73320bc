//! `everloop demo`, whole.
#![expect(clippy::disallowed_methods, reason = "the test makes the files that the demo reads")]

use crate::harness::Place;

#[test]
fn the_demo_shows_all_it_promises_and_leaves_nothing_behind() {
    let place = Place::new();
    let said = place.run(&["demo", "--seed", "11"]);
    assert_eq!(said.code, 0, "{said:?}");
    for words in [
        "seed 11",
        "kill -9",
        "started again",
        "each acted once, none was repeated",
        "61 steps",
        "its receipt is signed by key",
        "Verification fails",
        "its payload was altered",
        "What to try next",
    ] {
        assert!(said.out.contains(words), "{words}: {said:?}");
    }
    assert_eq!(std::fs::read_dir(place.here()).unwrap().count(), 0);
    // Only what the test itself made: the demo's own folder lay beside these.
    let left: Vec<_> = std::fs::read_dir(place.here().parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn the_demo_takes_at_most_two_hundred_of_many_files() {
    let place = Place::new();
    for number in 0..250 {
        std::fs::write(place.here().join(format!("{number}.txt")), format!("file {number}\n")).unwrap();
    }
    let said = place.run(&["demo", "--seed", "12"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains("201 steps") && said.out.contains("each acted once"), "{said:?}");
}
