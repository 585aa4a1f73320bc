//! Why a request did not do what it was asked to.

use everloop_api::problem::Problem;
use everloop_types::error::Code;
use std::time::Duration;

/// Why a request did not do what it was asked to.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ClientError {
    /// The server refused, and nothing changed.
    #[error("{}: {}", .0.code, .0.detail)]
    Refused(Box<Problem>),
    /// No server answers there.
    #[error("no server answers at {url}: {reason}")]
    Unreachable {
        /// Where it was looked for.
        url: String,
        /// What the network said.
        reason: String,
    },
    /// The answer is not what this version of the client understands.
    #[error("the answer of {url} makes no sense: {reason}")]
    Protocol {
        /// Which request.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The request can't be made at all.
    #[error("{0}")]
    Invalid(String),
}

impl ClientError {
    /// The code of the refusal, where it is one that this version knows.
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Refused(problem) => problem.code.parse().ok(),
            Self::Unreachable { .. } | Self::Protocol { .. } | Self::Invalid(_) => None,
        }
    }
}

/// What one try of a request ended with.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) error: ClientError,
    /// Whether the same request may do better a little later.
    pub(crate) is_transient: bool,
    /// When the server wants to be asked again.
    pub(crate) retry_after: Option<Duration>,
}
