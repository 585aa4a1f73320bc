//! How a command ends when the server refuses, or is not there.

use crate::failure::{Exit, Failure};
use everloop_api::problem::Problem;
use everloop_client::error::ClientError;

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Refused(problem) => refused(*problem),
            ClientError::Unreachable { url, reason } => {
                Self::new(Exit::Unreachable, format!("no Everloop server answers at {url}"))
                    .cause(reason)
                    .hint("start one with: everloop dev\nor name one with --url or EVERLOOP_URL")
            }
            ClientError::Protocol { url, reason } => {
                Self::refused(format!("the answer of {url} makes no sense"))
                    .cause(reason)
                    .hint("is it an Everloop server of this version? see: everloop doctor")
            }
            ClientError::Invalid(reason) => Self::usage(reason),
        }
    }
}

fn refused(problem: Problem) -> Failure {
    // A sentence among sentences: none of the titles begins with a name.
    let mut title = problem.title;
    if let Some(first) = title.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    let mut failure = Failure::refused(title).cause(format!("{} ({})", problem.detail, problem.code));
    for error in problem.errors {
        if !problem.detail.contains(&error.message) {
            failure.causes.push(format!("{}: {}", error.field, error.message));
        }
    }
    failure.hint = match problem.code.as_str() {
        // The server speaks of requests, and here they are commands.
        "not_finished" => Some("wait for its end: everloop task get TASK --wait 60s".to_owned()),
        "unauthorized" => Some(
            "show one by EVERLOOP_API_KEY or --api-key-file FILE; a server keeps its own in the file api-key of its data folder"
                .to_owned(),
        ),
        code => problem.hint.or_else(|| Some(format!("everloop explain {code}"))),
    };
    failure
}
