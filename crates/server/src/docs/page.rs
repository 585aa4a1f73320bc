//! The page: one file, nothing from elsewhere, no script that it did not bring itself.

const HTML: &str = include_str!("page.html");
const CSS: &str = include_str!("page.css");
const JS: &str = include_str!("page.js");

/// The page and its content security policy, for a nonce that is used once.
pub(super) fn page(nonce: &str) -> (String, String) {
    let html = HTML.replace("{{css}}", CSS).replace("{{js}}", JS).replace("{{nonce}}", nonce);
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    (html, policy)
}
