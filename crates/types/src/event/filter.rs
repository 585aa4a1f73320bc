//! Filters of event types.

/// Upper-case names of the catalogue, and the dotted types that they stand for. Accepted wherever a type is a filter.
pub const ALIASES: &[(&str, &str)] = &[
    ("WORKFLOW_STARTED", "task.started"),
    ("WORKFLOW_COMPLETED", "task.completed"),
    ("WORKFLOW_FAILED", "task.failed"),
    ("WORKFLOW_PAUSING", "task.pausing"),
    ("WORKFLOW_PAUSED", "task.paused"),
    ("WORKFLOW_RESUMED", "task.resumed"),
    ("WORKFLOW_CANCELLING", "task.cancelling"),
    ("WORKFLOW_CANCELLED", "task.cancelled"),
    ("ERROR_OCCURRED", "step.failed"),
    ("PROGRESS", "task.progress"),
    ("APPROVAL_REQUESTED", "approval.requested"),
    ("APPROVAL_DECISION", "approval.decision"),
];

/// A filter of types: `task.completed`, `step.*`, or a name of [`ALIASES`]; a list of them matches what any matches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TypeFilter {
    /// Exact types.
    pub exact: Vec<String>,
    /// Beginnings of types, with the dot.
    pub prefixes: Vec<String>,
}

impl TypeFilter {
    /// Reads a comma list.
    ///
    /// # Errors
    /// The item that is neither a dotted type, nor a prefix with `.*`, nor a known upper-case name.
    pub fn parse(list: &str) -> Result<Self, String> {
        let mut filter = Self::default();
        for item in list.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            let dotted = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_');
            if let Some((_, kind)) = ALIASES.iter().find(|(alias, _)| *alias == item) {
                filter.exact.push((*kind).to_owned());
            } else if let Some(prefix) = item.strip_suffix('*') {
                if !prefix.ends_with('.') || !prefix.chars().all(dotted) {
                    return Err(item.to_owned());
                }
                filter.prefixes.push(prefix.to_owned());
            } else if item.chars().all(dotted) {
                filter.exact.push(item.to_owned());
            } else {
                return Err(item.to_owned());
            }
        }
        Ok(filter)
    }

    /// Whether it lets everything through.
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.prefixes.is_empty()
    }

    /// Whether it lets this type through.
    pub fn matches(&self, kind: &str) -> bool {
        self.is_empty()
            || self.exact.iter().any(|exact| exact == kind)
            || self.prefixes.iter().any(|prefix| kind.starts_with(prefix.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventBody;

    #[test]
    fn filters_match_types_prefixes_and_catalogue_names() {
        let filter = TypeFilter::parse("step.*, WORKFLOW_FAILED,custom.mock").unwrap();
        for (kind, matches) in [
            ("step.completed", true),
            ("task.failed", true),
            ("custom.mock", true),
            ("custom.mocks", false),
            ("steps", false),
        ] {
            assert_eq!(filter.matches(kind), matches, "{kind}");
        }
        assert!(TypeFilter::parse("").unwrap().matches("log"));
        for bad in ["TOOL", "a b", "*", "task*", "Task.x"] {
            assert_eq!(TypeFilter::parse(bad), Err(bad.to_owned()));
        }
    }

    #[test]
    fn every_alias_names_a_type_that_exists() {
        for (alias, kind) in ALIASES {
            assert!(EventBody::KINDS.contains(kind), "{alias}");
        }
    }
}
