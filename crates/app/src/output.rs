//! What the commands say: data on standard output, talk on standard error.
//!
//! A reader that has gone away (`everloop task list | head -1`) is no error: what it did not want is not written.

use serde::Serialize;
use std::io::{IsTerminal, Write};

/// Writes data.
pub(crate) fn bytes(bytes: &[u8]) {
    let mut out = std::io::stdout().lock();
    // Whoever closed the pipe has seen enough.
    let _ = out.write_all(bytes).and_then(|()| out.flush());
}

/// Writes a line of data.
pub(crate) fn line(text: impl AsRef<str>) {
    bytes(format!("{}\n", text.as_ref()).as_bytes());
}

/// Writes bytes of a command's standard error.
pub(crate) fn error_bytes(bytes: &[u8]) {
    let mut out = std::io::stderr().lock();
    let _ = out.write_all(bytes).and_then(|()| out.flush());
}

/// Says something to whoever watches.
pub(crate) fn talk(text: impl AsRef<str>) {
    error_bytes(format!("{}\n", text.as_ref()).as_bytes());
}

/// Writes a value as JSON: indented for people, on one line for programs.
pub(crate) fn json<T: Serialize>(value: &T) {
    let text = if std::io::stdout().is_terminal() {
        serde_json::to_string_pretty(value)
    } else {
        serde_json::to_string(value)
    };
    // Nothing that we show has keys that are no strings.
    line(text.unwrap_or_default());
}

/// Whether a person watches standard error, and did not ask for plain lines.
pub(crate) fn is_watched() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Whether standard output and error may have colours.
pub(crate) fn is_coloured() -> bool {
    is_watched() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Columns of text, each as wide as it needs, without trailing blanks.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(&format!("{cell:<width$}  "));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_are_as_wide_as_they_need() {
        let rows = [vec!["a".to_owned(), "b".to_owned()], vec!["äää".to_owned(), String::new()]];
        assert_eq!(super::table(&rows), "a    b\näää\n");
    }
}
