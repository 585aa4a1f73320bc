//! Connecting, and what is asked of a server before it is trusted.

use super::error::{classify, told};
use super::session::{Backend, Session};
use everloop_store::error::StoreError;
use std::time::Duration;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, NoTls};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Limits, so that a lock or a lost peer never holds a connection for good. READ COMMITTED is what heads are compared under.
const SETTINGS: &str = "SET statement_timeout = '30s'; SET lock_timeout = '3s'; \
    SET idle_in_transaction_session_timeout = '10s'; SET default_transaction_isolation = 'read committed'; \
    SET client_min_messages = warning; SET jit = off";

/// Every statement of a writer goes by keys, whatever the length of its arrays and however old the statistics: plans that
/// say so, made once, took a quarter of the server's time of those that it chose by itself.
const WRITER_SETTINGS: &str = "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; \
    SET enable_hashjoin = off; SET enable_mergejoin = off";

/// The keepalives of the connection end it when the peer is lost.
const SNAPSHOT_SETTINGS: &str = "SET idle_in_transaction_session_timeout = 0; SET statement_timeout = 0";

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Loading and committing.
    Write,
    /// Reading one picture of everything, with pauses as long as those of whoever takes it.
    Snapshot,
    /// Everything else.
    Read,
}

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
pub(super) fn connect(url: &str, purpose: Purpose) -> Result<Session, StoreError> {
    let config = parse(url)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| StoreError::Unavailable(error.into()))?;
    let (client, backend) = runtime.block_on(async {
        let (client, connection) = config.connect(NoTls).await.map_err(unreachable_server)?;
        // It ends with the client, or when the connection does: the next statement says why.
        drop(runtime.spawn(connection));
        check(&client).await?;
        client.batch_execute(SETTINGS).await.map_err(classify)?;
        let mut backend = None;
        match purpose {
            Purpose::Write => {
                client.batch_execute(WRITER_SETTINGS).await.map_err(classify)?;
                backend = Some(Backend::of(&client).await.map_err(classify)?);
            }
            Purpose::Snapshot => client.batch_execute(SNAPSHOT_SETTINGS).await.map_err(classify)?,
            Purpose::Read => {}
        }
        Ok::<_, StoreError>((client, backend))
    })?;
    Ok(Session::new(runtime, client, backend))
}

fn unreachable_server(error: tokio_postgres::Error) -> StoreError {
    match error.code().map(|state| state.code()) {
        // Password, role, database.
        Some("28P01" | "28000" | "3D000") => refused(
            format!("PostgreSQL refused the connection: {}", told(error)),
            "check user, password (EVERLOOP_DATABASE_URL or PGPASSFILE) and database",
        ),
        // The driver tells its kinds apart by their texts only.
        None if error.to_string().starts_with("invalid configuration") => {
            refused(format!("the database url can't be used: {}", told(error)), URL_REMEDY)
        }
        _ => StoreError::Unavailable(told(error)),
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
