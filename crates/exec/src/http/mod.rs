//! The kind `http`: one request to a host that the profile grants, in one step.
//!
//! Input: `{url, method?, headers?, body? | body_text?, timeout_ms?, expect?}`. The answer's body reaches the stream in `log`
//! events of the source `body`; the result is `{status, headers, body | body_text | body_base64, bytes, truncated?}`.

mod answer;
pub(crate) mod hosts;
pub(crate) mod input;
mod send;

pub(crate) use send::IDEMPOTENCY_KEY;

use crate::refusal;
use everloop_types::error::{Code, Refusal, TaskError};
use everloop_types::json::Json;
use everloop_types::step::OnUnknown;
use everloop_types::task::TaskSpec;
use everloop_types::worker::KindOffer;
use everloop_worker::context::Context;
use everloop_worker::executor::{Executor, Stop};
use futures_util::future::BoxFuture;
use input::{Request, refused};
use reqwest::Client;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);

/// Makes requests. Connections are kept and used again.
#[derive(Debug, Default)]
pub struct Http {
    client: OnceLock<Result<Client, String>>,
}

impl Http {
    /// One without connections yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The client, made when it is first needed: it reads the system's certificates.
    fn client(&self) -> Result<&Client, TaskError> {
        let client = self.client.get_or_init(|| build_client().map_err(|error| send::words(&error)));
        client.as_ref().map_err(|words| {
            let message = format!(
                "no HTTP client can be made: {words}; are the system's certificates (ca-certificates) there?"
            );
            TaskError::new(Code::Internal, message)
        })
    }
}

pub(crate) fn build_client() -> Result<Client, reqwest::Error> {
    // An error says that the program has chosen its own provider before, which does as well.
    let _ = rustls::crypto::CryptoProvider::install_default(rustls::crypto::ring::default_provider());
    Client::builder()
        .connect_timeout(CONNECT)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("everloop/", env!("CARGO_PKG_VERSION")))
        .build()
}

impl Executor for Http {
    fn offer(&self) -> KindOffer {
        crate::offer::<input::Input>("http")
    }

    fn about(&self) -> &str {
        "makes one HTTP request to a host that policy.profile.hosts names, and records the answer"
    }

    fn check(&self, spec: &TaskSpec) -> Result<(), Refusal> {
        let request = Request::read(spec).map_err(refusal)?;
        request.may_call(&request.url).map_err(|error| Refusal::field("policy.profile.hosts", error.message))
    }

    fn run(&self, context: Context) -> BoxFuture<'_, Result<Json, Stop>> {
        Box::pin(self.attempt(context))
    }
}

impl Http {
    async fn attempt(&self, context: Context) -> Result<Json, Stop> {
        let request = Arc::new(Request::read(&context.assignment().spec).map_err(refused)?);
        request.may_call(&request.url)?;
        let client = self.client()?;
        let on_unknown = if request.is_idempotent { OnUnknown::Rerun } else { OnUnknown::Ask };
        let step = context.step("request").kind("http").on_unknown(on_unknown).args(&context.input());
        let key = step.idempotency_key();
        let done = step.run(send::exchange(&context, client, &request, &key)).await;
        if done.is_err() && context.control().is_stop() {
            context.boundary()?;
        }
        done
    }
}
