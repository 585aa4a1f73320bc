//! Help begins with examples and tells the exit codes.

use crate::harness::Place;

#[test]
fn every_command_has_examples_before_its_usage() {
    let place = Place::new();
    for command in [
        "dev",
        "serve",
        "worker",
        "run",
        "task",
        "dead-letters",
        "verify",
        "bench",
        "backup",
        "restore",
        "replay",
        "doctor",
        "config",
        "migrate",
        "explain",
        "completions",
        "demo",
    ] {
        let help = place.run(&[command, "--help"]).ok();
        let (examples, usage) = (help.find("Examples:"), help.find("Usage:"));
        assert!(examples.is_some() && examples < usage, "{help}");
        assert!(help.contains(&format!("everloop {command}")), "{help}");
    }
    let help = place.run(&["--help"]).ok();
    assert!(help.contains("Exit codes:") && help.contains("  6 no server can be reached"), "{help}");
    assert!(!help.contains("\n\n\n"), "{help}");
    assert!(place.run(&["--version"]).ok().starts_with("everloop "));
}
