//! The events of a task over a WebSocket.
//!
//! Each event is a text message, the same JSON as everywhere. Notices are `{"notice", "data", "seq"}`, frames
//! `{"frame", "data"}`. The server closes with 1000 after the terminal event, with 1001 when it stops.

use crate::answer::{Answer, Fail};
use crate::app::stopped;
use crate::call::Call;
use crate::metrics::Open;
use axum::extract::FromRequestParts;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use everloop_control::follow::{Followed, Following};
use everloop_control::write_event;
use everloop_types::error::{Code, Refusal};
use everloop_types::event::TypeFilter;
use std::time::Duration;
use tokio::sync::watch;

/// Bytes of a message that a client may send: it has nothing to say.
const CLIENT_MESSAGE: usize = 64 * 1024;

struct Session {
    following: Option<Following>,
    types: TypeFilter,
    frames: bool,
    stopping: watch::Receiver<bool>,
    heartbeat: Duration,
    open: Open,
}

/// `GET /tasks/{id}/events/ws`.
pub(crate) async fn task(mut call: Call) -> Answer {
    let after = call.query.parsed("after", "the number of an event").unwrap_or(0);
    let types = call.query.types("types");
    let frames = call.query.flag("frames");
    call.no_more_query()?;
    let id = call.task().await?;
    let upgrade = WebSocketUpgrade::from_request_parts(&mut call.parts, &()).await.map_err(|rejection| {
        Fail(
            Refusal::new(Code::InvalidRequest, rejection.body_text())
                .hint("open it as a WebSocket, version 13"),
        )
    })?;
    let session = Session {
        following: call.control().follow(&call.caller, id, after, frames).await?,
        types,
        frames,
        stopping: call.app.stopping.clone(),
        heartbeat: call.app.options.heartbeat,
        open: Open::new(&call.app.metrics),
    };
    Ok(upgrade.max_message_size(CLIENT_MESSAGE).on_upgrade(move |socket| session.run(socket)))
}

impl Session {
    async fn run(mut self, mut socket: WebSocket) {
        let (code, why) = match self.following.take() {
            Some(mut following) => match self.follow(&mut socket, &mut following).await {
                Some(end) => end,
                None => return,
            },
            None => (close_code::NORMAL, "the task has ended"),
        };
        let frame = CloseFrame { code, reason: why.into() };
        // The client may be gone already.
        let _ = socket.send(Message::Close(Some(frame))).await;
    }

    /// Sends until there is nothing more, and says how to close; nothing if the client is gone.
    async fn follow(
        &mut self,
        socket: &mut WebSocket,
        following: &mut Following,
    ) -> Option<(u16, &'static str)> {
        let mut heartbeat = tokio::time::interval(self.heartbeat);
        heartbeat.reset();
        loop {
            let followed = tokio::select! {
                () = stopped(&mut self.stopping) => return Some((close_code::AWAY, "the server is stopping")),
                received = socket.recv() => match received {
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                    Some(Ok(Message::Text(_) | Message::Binary(_) | Message::Ping(_) | Message::Pong(_))) => continue,
                },
                _ = heartbeat.tick() => {
                    socket.send(Message::Ping(axum::body::Bytes::new())).await.ok()?;
                    continue;
                }
                followed = following.next() => followed,
            };
            match followed {
                Ok(Followed::Events(events)) => {
                    for event in events.iter().filter(|event| self.types.matches(&event.kind)) {
                        let mut text = String::with_capacity(512);
                        write_event(&mut text, event);
                        socket.send(Message::Text(text.into())).await.ok()?;
                        self.open.sent(1);
                    }
                }
                Ok(Followed::Frame { kind, data }) if self.frames => {
                    let kind = serde_json::to_string(&kind).unwrap_or_default();
                    let text = format!("{{\"frame\":{kind},\"data\":{data}}}");
                    socket.send(Message::Text(text.into())).await.ok()?;
                }
                Ok(Followed::Frame { .. }) => {}
                Ok(Followed::Notice { kind, data, seq }) => {
                    let text = format!("{{\"notice\":\"{kind}\",\"data\":{data},\"seq\":{seq}}}");
                    socket.send(Message::Text(text.into())).await.ok()?;
                }
                Ok(Followed::End) => return Some((close_code::NORMAL, "the task has ended")),
                Err(_) => return Some((close_code::ERROR, "the events can't be read; come back")),
            }
        }
    }
}
