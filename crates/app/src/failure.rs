//! How a command ends when it does not end well: an exit code, what happened, why, and what to do.

use everloop_types::error::Refusal;
use std::fmt;

/// The exit codes, as `everloop --help` lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// 0: done.
    Done,
    /// 1: the task failed or was cancelled.
    TaskFailed,
    /// 2: the command line or the configuration is wrong.
    Usage,
    /// 3: an export is consistent, and unsigned or of an unknown signer.
    Unsigned,
    /// 4: an export was altered.
    Broken,
    /// 5: the server, or this machine, refused.
    Refused,
    /// 6: no server can be reached.
    Unreachable,
    /// What `run` passes on from its command, and 125 where it could not run it.
    Code(u8),
}

/// What `run` exits with where it is not its command that failed.
pub(crate) const RUN_FAILED: u8 = 125;

impl Exit {
    /// The number.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::TaskFailed => 1,
            Self::Usage => 2,
            Self::Unsigned => 3,
            Self::Broken => 4,
            Self::Refused => 5,
            Self::Unreachable => 6,
            Self::Code(code) => code,
        }
    }
}

/// Why a command did not do what it was asked to.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    /// What the process exits with.
    pub(crate) exit: Exit,
    /// What happened.
    pub(crate) message: String,
    /// Why, from the outside in.
    pub(crate) causes: Vec<String>,
    /// What to do about it.
    pub(crate) hint: Option<String>,
}

/// What commands give.
pub(crate) type Outcome = Result<Exit, Failure>;

impl Failure {
    /// A failure without cause or hint.
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), causes: Vec::new(), hint: None }
    }

    /// The command line or the configuration is wrong.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// The machine refused.
    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self::new(Exit::Refused, message)
    }

    /// Adds why.
    #[must_use]
    pub(crate) fn cause(mut self, cause: impl fmt::Display) -> Self {
        self.causes.push(cause.to_string());
        self
    }

    /// Adds what to do.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The failure as `run` reports it: its command's exit codes are not ours.
    #[must_use]
    pub(crate) fn of_run(mut self) -> Self {
        self.exit = Exit::Code(RUN_FAILED);
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        for cause in &self.causes {
            write!(f, "\n  cause: {}", cause.replace('\n', "\n         "))?;
        }
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {}", hint.replace('\n', "\n        ")),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        let error = match error.downcast::<Self>() {
            Ok(failure) => return failure,
            Err(error) => error,
        };
        let mut failure = Self::refused("");
        for cause in error.chain() {
            let text = cause.to_string();
            // Whoever puts the program together writes the remedy under what happened.
            let (text, hint) = match text.split_once("\n  hint: ") {
                Some((text, hint)) => (text.to_owned(), Some(hint.to_owned())),
                None => (text, None),
            };
            let hint = hint
                .or_else(|| cause.downcast_ref::<Refusal>().and_then(|refusal| refusal.hint.clone()))
                .or_else(|| cause.downcast_ref::<Self>().and_then(|inner| inner.hint.clone()));
            failure.hint = failure.hint.or(hint);
            if failure.message.is_empty() {
                failure.message = text;
            } else {
                failure.causes.push(text);
            }
        }
        failure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_has_a_line_of_its_own() {
        let failure = Failure::usage("the port is taken")
            .cause("everloop (pid 4) has it")
            .hint("stop it\nor use --listen");
        assert_eq!(
            failure.to_string(),
            "error: the port is taken\n  cause: everloop (pid 4) has it\n  hint: stop it\n        or use --listen"
        );
        let wired = Failure::from(anyhow::anyhow!("inner").context("outer\n  hint: do this"));
        assert_eq!(wired.to_string(), "error: outer\n  cause: inner\n  hint: do this");
    }
}
