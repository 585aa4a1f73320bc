//! The server that a program talks to, for as long as it runs.

use crate::Client;
use crate::embedded::StartError;
use crate::error::ClientError;
use crate::local::Local;
use crate::runner::RunError;
use everloop_types::error::Class;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long to wait before somebody who did not answer is asked again.
const AGAIN: Duration = Duration::from_millis(50);

/// A server, and who looks after it where it is on a file of this machine.
pub(crate) struct Server {
    pub(crate) client: Client,
    local: Option<Kept>,
}

/// Looks after a server meanwhile.
struct Kept {
    running: JoinHandle<()>,
    stop: watch::Sender<bool>,
    /// Why there is none any more.
    lost: watch::Receiver<Option<Arc<StartError>>>,
}

impl Server {
    /// One that is elsewhere.
    pub(crate) fn remote(client: Client) -> Self {
        Self { client, local: None }
    }

    /// The server of a data folder.
    pub(crate) async fn local(folder: PathBuf) -> Result<Self, StartError> {
        let local = Local::open(folder).await?;
        let client = local.client().clone();
        let (stop, stopped) = watch::channel(false);
        let (tell_lost, lost) = watch::channel(None);
        #[expect(clippy::disallowed_methods, reason = "somebody has to look after the server meanwhile")]
        let running = tokio::spawn(keep(local, stopped, tell_lost));
        Ok(Self { client, local: Some(Kept { running, stop, lost }) })
    }

    /// Asks until somebody answers, or there is nobody who could.
    pub(crate) async fn patiently<T, F>(&self, mut ask: impl FnMut() -> F) -> Result<T, RunError>
    where
        F: Future<Output = Result<T, ClientError>>,
    {
        loop {
            match ask().await {
                Err(error) if may_pass(&error) => {
                    let Some(kept) = &self.local else { return Err(error.into()) };
                    if let Some(error) = &*kept.lost.borrow() {
                        let reason = error.to_string();
                        return Err(ClientError::Unreachable { url: self.client.url(), reason }.into());
                    }
                    tokio::time::sleep(AGAIN).await;
                }
                answer => return Ok(answer?),
            }
        }
    }

    /// Stops it if it is ours.
    pub(crate) async fn stop(self) {
        if let Some(Kept { running, stop, .. }) = self.local {
            stop.send_replace(true);
            // It has ended, whatever it says.
            let _ = running.await;
        }
    }
}

/// Whether a server that starts, or stops, may be the reason.
fn may_pass(error: &ClientError) -> bool {
    match error {
        ClientError::Unreachable { .. } => true,
        ClientError::Refused(problem) => problem.class == Class::Transient,
        ClientError::Protocol { .. } | ClientError::Invalid(_) => false,
    }
}

/// Looks after the server until it is not needed any more.
async fn keep(
    mut local: Local,
    mut stopped: watch::Receiver<bool>,
    lost: watch::Sender<Option<Arc<StartError>>>,
) {
    let gone = tokio::select! {
        biased;
        _ = stopped.wait_for(|stopped| *stopped) => None,
        error = local.keep() => Some(Arc::new(error)),
    };
    if gone.is_some() {
        lost.send_replace(gone);
        // Nothing is left to look after but the end.
        let _ = stopped.wait_for(|stopped| *stopped).await;
    }
    local.stop().await;
}
