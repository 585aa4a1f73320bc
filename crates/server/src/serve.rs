//! The server as a function.

use crate::app::{App, Entrance, Options, Shared, stopped};
use crate::mcp::Face;
use crate::metrics::Metrics;
use crate::routes;
use crate::timed::Timed;
use axum::body::Body;
use everloop_control::Control;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Headers that one request may have.
const MAX_HEADERS: usize = 100;
/// Bytes that the head of a request may have.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// Serves until `shutdown` is done: then nothing new is taken, streams are told why they end, and requests get some time.
///
/// # Errors
/// If the base path can't be one. A listener that can't accept is tried again.
pub async fn serve(
    listener: TcpListener,
    control: Control,
    options: Options,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let (stop, stopping) = watch::channel(false);
    let (max_connections, stop_timeout) = (options.max_connections, options.stop_timeout);
    let mcp = Face::new(control.clone(), stopping.clone());
    let options =
        Options { base_path: crate::ui::base_path(&options.base_path).map_err(io::Error::other)?, ..options };
    let app = App::new(Shared { control: control.clone(), options, metrics: Arc::default(), stopping, mcp });
    let entrance = Entrance { router: routes::router(app.clone()), app };
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
        };
        match accepted {
            Ok((stream, _)) if connections.len() < max_connections => {
                // Small answers must not wait for the acknowledgement of the ones before.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "TCP_NODELAY");
                }
                connections.spawn(connection(stream, entrance.clone()));
            }
            Ok(_) => {
                entrance.app.metrics.turned_away.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(
                    connections = connections.len(),
                    "a connection was turned away: there are too many"
                );
            }
            Err(error) => {
                // Out of file descriptors, mostly: others will be closed.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    control.stop();
    stop.send_replace(true);
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(stop_timeout, all).await.is_err() {
        tracing::warn!("some requests did not end in time and are cut off");
    }
    Ok(())
}

/// Counts a connection as long as it is open.
struct Counted(Arc<Metrics>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn connection(stream: TcpStream, entrance: Entrance) {
    let app = entrance.app.clone();
    app.metrics.connections.fetch_add(1, Ordering::Relaxed);
    let _counted = Counted(app.metrics.clone());
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let entrance = entrance.clone();
        async move { Ok::<_, Infallible>(entrance.handle(request.map(Body::new)).await) }
    });
    let mut stopping = app.stopping.clone();
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(app.options.header_timeout)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(Timed::new(stream, app.options.write_timeout)), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = stopped(&mut stopping) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke off");
    }
}
