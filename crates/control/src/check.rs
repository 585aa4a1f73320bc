//! What requests are held to, every field, all errors at once.

use crate::schema::Schema;
use everloop_types::error::{Code, FieldError, Refusal};
use everloop_types::json::Json;
use everloop_types::limits;
use everloop_types::names::{is_key, is_label_key, is_line, is_name};
use everloop_types::task::{Policy, TaskSpec};
use everloop_types::worker::WorkerSpec;
use std::collections::BTreeMap;

/// Longest time that a policy may name, in milliseconds: ten years.
const LONGEST_MS: u64 = 10 * 366 * 24 * 3600 * 1000;

/// Faces that may offer a kind as something of its own.
const FACES: [&str; 1] = ["mcp"];

/// Gathers what is wrong.
#[derive(Debug, Default)]
pub(crate) struct Checks(Vec<FieldError>);

impl Checks {
    pub(crate) fn that(&mut self, holds: bool, field: &str, message: impl FnOnce() -> String) {
        if !holds {
            self.0.push(FieldError { field: field.to_owned(), message: message() });
        }
    }

    pub(crate) fn done(self) -> Result<(), Refusal> {
        if self.0.is_empty() { Ok(()) } else { Err(Refusal::fields(self.0)) }
    }

    pub(crate) fn name(&mut self, text: &str, field: &str) {
        self.that(is_name(text), field, || {
            "must be 1 to 64 characters of a-z, 0-9, `.`, `_` and `-`, and begin with a letter or digit"
                .to_owned()
        });
    }

    pub(crate) fn line(&mut self, text: Option<&String>, field: &str, max: usize) {
        self.that(text.is_none_or(|text| is_line(text, max)), field, || {
            format!("must be one line of at most {max} characters, without control characters")
        });
    }

    fn text(&mut self, text: Option<&String>, field: &str, max: usize) {
        let good = |text: &String| {
            text.chars().count() <= max
                && !text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
        };
        self.that(text.is_none_or(good), field, || {
            format!(
                "must be at most {max} characters, without control characters other than line ends and tabs"
            )
        });
    }

    pub(crate) fn key(&mut self, text: Option<&String>, field: &str) {
        self.that(text.is_none_or(|text| is_key(text)), field, || {
            "must be 1 to 200 characters, without control characters".to_owned()
        });
    }

    pub(crate) fn labels(&mut self, labels: &BTreeMap<String, String>) {
        self.that(labels.len() <= limits::LABELS, "labels", || {
            format!(
                "are {}; a task has at most {}: use metadata for what is not filtered by",
                labels.len(),
                limits::LABELS
            )
        });
        for (key, value) in labels {
            let shown: String = key.chars().filter(|c| !c.is_control()).take(64).collect();
            let field = format!("labels.{shown}");
            self.that(is_label_key(key), &field, || {
                "has a name that is not 1 to 64 characters of letters, digits, `.`, `_`, `/` and `-`"
                    .to_owned()
            });
            self.that(is_line(value, limits::KEY_CHARS), &field, || {
                format!("must be one line of at most {} characters", limits::KEY_CHARS)
            });
        }
    }

    fn millis(&mut self, millis: Option<u64>, field: &str, least: u64) {
        let good = millis.is_none_or(|millis| (least..=LONGEST_MS).contains(&millis));
        self.that(good, field, || format!("must be {least} to {LONGEST_MS} milliseconds"));
    }

    pub(crate) fn policy(&mut self, policy: &Policy) {
        self.that((-100..=100).contains(&policy.priority), "policy.priority", || {
            "must be -100 to 100".to_owned()
        });
        self.millis(policy.timeout_ms, "policy.timeout_ms", 1);
        self.millis(policy.grace_ms, "policy.grace_ms", 0);
        self.millis(policy.lease_ms, "policy.lease_ms", limits::LEASE_LEAST.as_secs() * 1_000);
        let retry = &policy.retry;
        self.that((1..=1_000).contains(&retry.max_tries), "policy.retry.max_tries", || {
            "must be 1 to 1000: 1 is a task that is tried once".to_owned()
        });
        self.millis(Some(retry.initial_ms), "policy.retry.initial_ms", 0);
        self.millis(Some(retry.max_ms), "policy.retry.max_ms", 0);
        if let Some(cap) = &policy.concurrency {
            self.key(Some(&cap.key), "policy.concurrency.key");
            self.that(cap.limit >= 1, "policy.concurrency.limit", || "must be at least 1".to_owned());
        }
        self.that(policy.profile.hosts.len() <= 100, "policy.profile.hosts", || {
            "must be at most 100".to_owned()
        });
        for (i, host) in policy.profile.hosts.iter().enumerate() {
            let good = !host.is_empty()
                && host.len() <= 260
                && !host.chars().any(|c| c.is_control() || c.is_whitespace());
            self.that(good, &format!("policy.profile.hosts[{i}]"), || {
                "must be a host such as example.com, example.com:8443 or *.example.com".to_owned()
            });
        }
    }
}

/// Whether a value fits into an event.
pub(crate) fn fits(value: Option<&Json>, field: &str) -> Result<(), Refusal> {
    match value {
        Some(value) if value.len() > limits::EVENT_DATA_BYTES => {
            let detail = format!(
                "{field} has {} bytes; at most {} fit into an event",
                value.len(),
                limits::EVENT_DATA_BYTES
            );
            let errors =
                vec![FieldError { field: field.to_owned(), message: "is larger than 256 KiB".to_owned() }];
            let refusal = Refusal::new(Code::TooLarge, detail).hint("put what is large into the input");
            Err(Refusal { errors, ..refusal })
        }
        Some(_) | None => Ok(()),
    }
}

/// Everything about a new task that needs nothing but the request.
pub(crate) fn spec(spec: &TaskSpec, data_subject: Option<&String>) -> Result<(), Refusal> {
    let mut checks = Checks::default();
    checks.name(&spec.kind, "kind");
    checks.name(&spec.queue, "queue");
    checks.key(spec.key.as_ref(), "key");
    checks.line(data_subject, "data_subject", limits::KEY_CHARS);
    checks.that(data_subject.is_none_or(|subject| !subject.is_empty()), "data_subject", || {
        "must not be empty".to_owned()
    });
    checks.line(spec.name.as_ref(), "name", limits::TITLE_CHARS);
    checks.line(spec.title.as_ref(), "title", limits::TITLE_CHARS);
    checks.text(spec.description.as_ref(), "description", limits::DESCRIPTION_CHARS);
    checks.that(spec.requires.len() <= limits::REQUIRED_CAPABILITIES, "requires", || {
        format!("must be at most {} capabilities", limits::REQUIRED_CAPABILITIES)
    });
    for (i, capability) in spec.requires.iter().enumerate() {
        checks.name(capability, &format!("requires[{i}]"));
    }
    checks.that(spec.depends_on.len() <= limits::DEPENDENCIES, "depends_on", || {
        format!("must be at most {} tasks: join them through a task of their own", limits::DEPENDENCIES)
    });
    if let Some(step) = spec.parent.as_ref().and_then(|parent| parent.step.as_ref()) {
        checks.line(Some(step), "parent.step", limits::STEP_KEY_CHARS);
    }
    checks.labels(&spec.labels);
    checks.policy(&spec.policy);
    checks.done()?;
    fits(spec.context.as_ref(), "context")?;
    fits(spec.metadata.as_ref(), "metadata")?;
    Ok(())
}

/// Bytes of an input that fit into the first event beside the rest of it.
///
/// # Errors
/// `too_large` if the rest leaves no room for the name of a blob.
pub(crate) fn input_room(spec: &TaskSpec) -> Result<usize, Refusal> {
    const NAME: usize = 1024;
    let rest: usize = [&spec.context, &spec.metadata].into_iter().flatten().map(Json::len).sum();
    match limits::VALUE_BYTES.checked_sub(rest) {
        Some(room) if room >= NAME => Ok(room),
        Some(_) | None => {
            let detail = format!(
                "context and metadata have {rest} bytes together; at most {} fit into an event",
                limits::VALUE_BYTES - NAME
            );
            Err(Refusal::new(Code::TooLarge, detail)
                .hint("put what is large into the input: it may be any size"))
        }
    }
}

/// What may be changed of a task.
pub(crate) fn patch(patch: &everloop_types::event::TaskPatch) -> Result<(), Refusal> {
    let mut checks = Checks::default();
    checks.line(patch.name.as_ref(), "name", limits::TITLE_CHARS);
    checks.line(patch.title.as_ref(), "title", limits::TITLE_CHARS);
    checks.text(patch.description.as_ref(), "description", limits::DESCRIPTION_CHARS);
    if let Some(labels) = &patch.labels {
        checks.labels(labels);
    }
    if let Some(policy) = &patch.policy {
        checks.policy(policy);
    }
    checks.done()?;
    fits(patch.metadata.as_ref(), "metadata")
}

/// What a worker may say about itself.
pub(crate) fn worker(spec: &WorkerSpec) -> Result<(), Refusal> {
    let mut checks = Checks::default();
    checks.that(spec.protocol == 1, "protocol", || {
        format!("is {}; this server speaks version 1: use a worker of the same release", spec.protocol)
    });
    checks.line(Some(&spec.name), "name", limits::TITLE_CHARS);
    checks.that(!spec.name.is_empty(), "name", || "must not be empty".to_owned());
    checks.line(Some(&spec.version), "version", limits::NAME_CHARS);
    checks.that((1..=1_000).contains(&spec.max_concurrent_tasks), "max_concurrent_tasks", || {
        "must be 1 to 1000".to_owned()
    });
    checks.that(!spec.kinds.is_empty() && spec.kinds.len() <= 200, "kinds", || {
        "must be 1 to 200 kinds".to_owned()
    });
    for (i, offer) in spec.kinds.iter().enumerate() {
        checks.name(&offer.kind, &format!("kinds[{i}].kind"));
        let good = !offer.versions.is_empty() && offer.versions.len() <= 100;
        checks.that(good, &format!("kinds[{i}].versions"), || "must be 1 to 100 versions".to_owned());
        checks.line(offer.about.as_ref(), &format!("kinds[{i}].about"), limits::TITLE_CHARS);
        for (schema, field) in
            [(&offer.input_schema, "input_schema"), (&offer.output_schema, "output_schema")]
        {
            if let Some(Err(why)) = schema.as_ref().map(Schema::read) {
                checks.that(false, &format!("kinds[{i}].{field}"), || why);
            }
        }
        for (n, face) in offer.expose.iter().enumerate() {
            checks.that(FACES.contains(&face.as_str()), &format!("kinds[{i}].expose[{n}]"), || {
                format!("must be one of: {}", FACES.join(", "))
            });
        }
        if let Some(queue) = &offer.defaults.queue {
            checks.name(queue, &format!("kinds[{i}].defaults.queue"));
        }
        let mut policy = Checks::default();
        policy.policy(&offer.defaults.policy);
        checks.0.extend(
            policy
                .0
                .into_iter()
                .map(|error| FieldError { field: format!("kinds[{i}].defaults.{}", error.field), ..error }),
        );
    }
    checks.that(spec.capabilities.len() <= 200, "capabilities", || "must be at most 200".to_owned());
    for (i, capability) in spec.capabilities.iter().enumerate() {
        checks.name(capability, &format!("capabilities[{i}]"));
    }
    checks.that(spec.queues.len() <= 100, "queues", || "must be at most 100".to_owned());
    for (i, queue) in spec.queues.iter().enumerate() {
        checks.name(queue, &format!("queues[{i}]"));
    }
    checks.done()
}
