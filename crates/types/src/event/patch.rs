//! Changes of a live task.

use crate::json::Json;
use crate::task::{Policy, TaskSpec};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Fields of a task that may change while it lives. What is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TaskPatch {
    /// New description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// New labels, in place of all old ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    /// New metadata, in place of the old.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Json>,
    /// New name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// New policy, in place of the old: priority, deadline, retry and the like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,
    /// New title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
}

impl TaskPatch {
    /// Puts the new values in place.
    pub fn apply(&self, spec: &mut TaskSpec) {
        if let Some(description) = &self.description {
            spec.description = Some(description.clone());
        }
        if let Some(labels) = &self.labels {
            spec.labels = labels.clone();
        }
        if let Some(metadata) = &self.metadata {
            spec.metadata = Some(metadata.clone());
        }
        if let Some(name) = &self.name {
            spec.name = Some(name.clone());
        }
        if let Some(policy) = &self.policy {
            spec.policy = policy.clone();
        }
        if let Some(title) = &self.title {
            spec.title = Some(title.clone());
        }
    }
}
