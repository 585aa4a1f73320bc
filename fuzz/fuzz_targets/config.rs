//! `everloop.toml`: no text makes it panic, and what it accepts can be shown and is of the form that the settings have.

#![no_main]

// The program's own sources: a program can't be imported.
#[path = "../../crates/app/src/config/mod.rs"]
#[allow(dead_code, reason = "the program uses the rest")]
mod config;
#[path = "../../crates/app/src/failure.rs"]
#[allow(dead_code, reason = "the program uses the rest")]
mod failure;

use config::Settings;
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;
use std::path::PathBuf;

fuzz_target!(|text: &str| {
    let file = (PathBuf::from("everloop.toml"), text.to_owned());
    match Settings::of(&Vec::new(), Some(&file), &BTreeMap::new()) {
        Ok(settings) => {
            for (setting, value, source) in settings.shown() {
                assert!(value != "(hidden)", "a secret came from a file");
                let _ = source.describe(setting);
            }
            for number in ["digest_every", "retention_days", "retention_log_days", "workers"] {
                settings.parsed::<u32>(number).expect("the form was checked");
            }
            settings.parsed::<std::net::SocketAddr>("listen").expect("the form was checked");
            settings.parsed::<bool>("unsafe_no_sandbox").expect("the form was checked");
        }
        Err(failure) => assert!(failure.hint.is_some(), "no remedy: {failure}"),
    }
});
