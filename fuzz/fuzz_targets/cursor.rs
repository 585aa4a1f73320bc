//! Cursors: a list's own ones are read back, and what is read is the one form of it.

#![no_main]

#[path = "../../crates/control/src/cursor.rs"]
mod cursor;

use everloop_types::id::TaskId;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &str, [u8; 16], i64, u8, u8)| {
    let (list, text, id, pos, place, letter) = input;
    if let Ok(after) = cursor::read(list, text) {
        assert_eq!(cursor::write(list, after), text);
    }
    if let Ok(after) = cursor::read_pos(text) {
        assert_eq!(cursor::write_pos(after), text);
    }
    let written = cursor::write(list, TaskId(id));
    assert_eq!(cursor::read(list, &written).expect("its own cursor"), TaskId(id));
    assert!(cursor::read(text, &written).is_err() || text == list, "a cursor of another list");
    assert!(cursor::read_pos(&written).is_err(), "the two kinds of cursors are told apart");
    // Nobody guesses a cursor: a letter of a genuine one becomes another.
    let mut altered = written.clone().into_bytes();
    let place = usize::from(place) % altered.len();
    altered[place] = letter % 128;
    let altered = String::from_utf8_lossy(&altered);
    if let Ok(after) = cursor::read(list, &altered) {
        assert_eq!(cursor::write(list, after), altered);
    }
    assert_eq!(cursor::read_pos(&cursor::write_pos(pos)).expect("its own cursor"), pos);
});
