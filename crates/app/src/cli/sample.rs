//! Example tasks for `everloop dev --sample`: several kinds, in several states.

use super::ground::block_on;
use crate::failure::Failure;
use everloop_api::command::PauseRequest;
use everloop_api::task::TaskRequest;
use everloop_client::host::{SystemClock, SystemRandom};
use everloop_client::{Client, ClientOptions, discover};
use everloop_types::task::Parent;
use serde::Deserialize;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

const TASKS: &str = include_str!("sample.json");

/// One of them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sample {
    request: TaskRequest,
    /// Key of an earlier one that is its parent.
    #[serde(default)]
    parent: Option<String>,
    /// Why it is paused once it has been submitted.
    #[serde(default)]
    pause: Option<String>,
}

/// Submits them to a server. They have keys, so that a server that has them already gets no others.
///
/// # Errors
/// If the key can't be read, or the server refuses one of them.
pub(super) fn submit(url: &str, key_file: &Path) -> Result<usize, Failure> {
    let samples: Vec<Sample> = serde_json::from_str(TASKS)
        .map_err(|error| Failure::refused("the samples are wrong").cause(error))?;
    // Some run commands, which takes the key.
    let api_key = discover::read_key_file(key_file)
        .map_err(|error| Failure::refused("the server's key can't be read").cause(error))?;
    let options = ClientOptions {
        api_key: Some(api_key),
        ..ClientOptions::new(url, Arc::new(SystemClock::start()), Arc::new(SystemRandom::default()))
    };
    block_on(async {
        let client = Client::new(options)?;
        let mut ids = HashMap::new();
        let mut new = 0;
        for Sample { mut request, parent, pause } in samples {
            request.parent =
                parent.and_then(|key| ids.get(&key).copied()).map(|task| Parent { step: None, task });
            let key = request.key.clone().unwrap_or_default();
            let submitted = client.submit(&request, None).await?;
            let id = submitted.task.id;
            ids.insert(key, id);
            if submitted.is_new {
                new += 1;
                if let Some(reason) = pause {
                    client.pause(&id.to_string(), &PauseRequest { reason: Some(reason) }).await?;
                }
            }
        }
        Ok(new)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_is_a_request_with_a_key_of_its_own() {
        let samples: Vec<Sample> = serde_json::from_str(TASKS).unwrap();
        let keys: Vec<&String> = samples.iter().map(|sample| sample.request.key.as_ref().unwrap()).collect();
        for (i, key) in keys.iter().enumerate() {
            assert!(key.starts_with("sample-") && !keys[..i].contains(key), "{key}");
        }
        for sample in &samples {
            assert!(sample.parent.iter().all(|parent| keys.contains(&parent)));
        }
    }
}
