//! Connecting, and what is asked of a server before it is trusted.

use super::error::classify;
use super::session::Session;
use everloop_store::error::StoreError;
use std::time::Duration;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, NoTls};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Limits, so that a lock or a lost peer never holds the writer for good. READ COMMITTED is what heads are compared under.
/// Plans are made once: every statement goes by keys, whatever the length of its arrays.
const SETTINGS: &str = "SET statement_timeout = '30s'; SET lock_timeout = '10s'; \
    SET idle_in_transaction_session_timeout = '10s'; SET default_transaction_isolation = 'read committed'; \
    SET plan_cache_mode = force_generic_plan; SET jit = off; \
    SET client_min_messages = warning; SET bytea_output = hex; SET timezone = 'UTC'";

const URL_REMEDY: &str = "give --database-url the form postgres://user@host:port/database";

fn refused(what: String, remedy: &str) -> StoreError {
    StoreError::Refused { what, remedy: remedy.to_owned() }
}

/// Reads a url.
fn parse(url: &str) -> Result<Config, StoreError> {
    let mut config: Config = url.parse().map_err(|error| {
        // The driver's text does not repeat the url, which may hold a password.
        refused(format!("the database url can't be read: {error}"), URL_REMEDY)
    })?;
    if config.get_ssl_mode() == SslMode::Require {
        return Err(refused(
            "the database url asks for sslmode=require, and this program speaks to PostgreSQL without TLS only".into(),
            "take sslmode out of the url, and reach a server that is not on this machine through a tunnel or a private network",
        ));
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_TIMEOUT);
    }
    if config.get_application_name().is_none() {
        config.application_name("everloop");
    }
    config.keepalives_idle(Duration::from_secs(30));
    Ok(config)
}

/// Opens a connection to a server that keeps what it commits.
pub(super) fn connect(url: &str) -> Result<Session, StoreError> {
    let config = parse(url)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| StoreError::Unavailable(error.into()))?;
    let client = runtime.block_on(async {
        let (client, connection) = config.connect(NoTls).await.map_err(unreachable_server)?;
        // It ends with the client, or when the connection does: the next statement says why.
        drop(runtime.spawn(connection));
        check(&client).await?;
        client.batch_execute(SETTINGS).await.map_err(classify)?;
        Ok::<_, StoreError>(client)
    })?;
    Ok(Session::new(runtime, client))
}

fn unreachable_server(error: tokio_postgres::Error) -> StoreError {
    match error.code().map(|state| state.code()) {
        // Password, role, database.
        Some("28P01" | "28000" | "3D000") => refused(
            format!("PostgreSQL refused the connection: {error}"),
            "check user, password (EVERLOOP_DATABASE_URL or PGPASSFILE) and database",
        ),
        // The driver tells its kinds apart by their texts only.
        None if error.to_string().starts_with("invalid configuration") => {
            refused(format!("the database url can't be used: {error}"), URL_REMEDY)
        }
        _ => StoreError::Unavailable(error.into()),
    }
}

async fn check(client: &Client) -> Result<(), StoreError> {
    let sql = "SELECT current_setting('server_version_num')::int, current_setting('server_version'), \
        current_setting('fsync'), current_setting('synchronous_commit')";
    let row = client.query_one(sql, &[]).await.map_err(classify)?;
    let number: i32 = row.try_get(0).map_err(classify)?;
    let text = |column| row.try_get::<_, &str>(column).map_err(classify);
    if number < 150_000 {
        return Err(refused(
            format!("the server is PostgreSQL {}; 15 or newer is needed", text(1)?),
            "upgrade the server, or name another one with --database-url",
        ));
    }
    for (column, name) in [(2, "fsync"), (3, "synchronous_commit")] {
        if text(column)? == "off" {
            return Err(refused(
                format!("the server runs with {name} = off: it may lose what it has committed"),
                &format!("set {name} = on for the server, the database and the user"),
            ));
        }
    }
    Ok(())
}
