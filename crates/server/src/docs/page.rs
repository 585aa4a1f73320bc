//! The page.
pub(super) fn page() -> (&'static str, &'static str) { ("", "") }
