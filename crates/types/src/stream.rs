//! Names of streams.

use crate::id::{TaskId, TenantId};
use std::fmt;
use std::str::FromStr;

/// The name of a stream: what its chain starts from, so two streams never share a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StreamName {
    /// The events of a task: named by its id.
    Task(TaskId),
    /// A segment of a tenant's audit log, counted from 1: `audit/<tenant>/<n>`.
    Audit(TenantId, u32),
}

impl StreamName {
    /// The task whose stream it is.
    pub fn task(&self) -> Option<TaskId> {
        match self {
            Self::Task(id) => Some(*id),
            Self::Audit(..) => None,
        }
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Task(id) => id.fmt(f),
            Self::Audit(tenant, segment) => write!(f, "audit/{tenant}/{segment}"),
        }
    }
}

/// Why a text is not the name of a stream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the name of a stream: task_… or audit/ten_…/n")]
pub struct StreamNameError;

impl FromStr for StreamName {
    type Err = StreamNameError;
    fn from_str(text: &str) -> Result<Self, StreamNameError> {
        let read = || match text.strip_prefix("audit/") {
            Some(rest) => {
                let (tenant, segment) = rest.split_once('/')?;
                Some(Self::Audit(tenant.parse().ok()?, segment.parse().ok()?))
            }
            None => Some(Self::Task(text.parse().ok()?)),
        };
        read().filter(|name| name.to_string() == text).ok_or(StreamNameError)
    }
}
