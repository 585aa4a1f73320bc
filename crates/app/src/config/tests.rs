//! Tests of the settings.

use super::*;

fn load(flags: &[(&'static str, &str)], variables: &[(&str, &str)]) -> Result<Settings, Failure> {
    Settings::load(
        flags.iter().map(|(key, value)| (*key, (*value).to_owned())).collect(),
        None,
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
    )
}

#[test]
fn flags_win_over_variables_over_defaults() {
    let settings = load(
        &[("listen", "127.0.0.1:1")],
        &[("EVERLOOP_LISTEN", "127.0.0.1:2"), ("EVERLOOP_WORKERS", "3"), ("EVERLOOP_LOG", "")],
    )
    .unwrap();
    assert_eq!(settings.get("listen"), Some("127.0.0.1:1"));
    assert_eq!(settings.get("workers"), Some("3"));
    assert_eq!(settings.get("log"), Some("info"));
    assert_eq!(settings.get("url"), None);
}

#[test]
fn a_file_knows_only_settings() {
    let path = Path::new("everloop.toml");
    assert_eq!(file::parse("workers = 4\n", path).unwrap()["workers"], "4");
    let failure = file::parse("data-dirs = \"x\"", path).unwrap_err();
    assert_eq!(failure.hint.as_deref(), Some("did you mean data_dir?"));
    assert!(file::parse("api_key = \"evl_x\"", path).is_err());
    assert!(file::parse("workers = [1]", path).is_err());
    let failure = file::parse("workers = 1\nlisten", path).unwrap_err();
    assert!(failure.causes[0].starts_with("line 2"), "{failure}");
}

#[test]
fn variables_that_are_nearly_ours_are_found_and_those_of_a_cluster_manager_pass() {
    assert_eq!(
        load(&[], &[("EVERLOOP_LISTN", "x")]).unwrap_err().hint.as_deref(),
        Some("did you mean EVERLOOP_LISTEN?")
    );
    assert!(load(&[], &[("EVERLOOP_PORT_7420_TCP", "x"), ("EVERLOOP_SERVICE_HOST", "y")]).is_ok());
}

#[test]
fn passwords_are_refused_as_flags_and_never_shown() {
    let with = "postgres://me:secret@host/db?password=secret&sslmode=disable";
    assert!(load(&[("database_url", with)], &[]).is_err());
    let settings = load(&[], &[("EVERLOOP_DATABASE_URL", with), ("EVERLOOP_API_KEY", "evl_secret")]).unwrap();
    let shown = format!("{:?}", settings.shown());
    assert!(
        !shown.contains("secret@") && !shown.contains("evl_") && !shown.contains("password=secret"),
        "{shown}"
    );
}
