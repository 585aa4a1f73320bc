//! Output on its way into the stream: gathered into chunks, capped, and never more of it in memory than a few of them.

use everloop_types::event::Level;
use everloop_types::limits::CHUNK_BYTES;
use everloop_worker::context::Context;
use everloop_worker::executor::Stop;
use std::time::Duration;
use tokio::time::Instant;

/// Bytes of output that are kept unless the profile says otherwise.
pub(crate) const OUTPUT_BYTES: u64 = 16 * 1024 * 1024;
/// How long output is gathered before it is written.
const GATHER: Duration = Duration::from_millis(100);
/// How long it is gathered once a task has written very many chunks.
const GATHER_LATER: Duration = Duration::from_secs(5);
/// How many chunks are very many.
const MANY_CHUNKS: u32 = 10_000;
/// Bytes that may be on their way before the reader waits until they are durable.
const UNWRITTEN: usize = 256 * 1024;

/// One source of output.
struct Source {
    name: &'static str,
    /// What was read and not written yet: less than a chunk.
    buffer: Vec<u8>,
    /// Where the buffer begins.
    offset: u64,
    /// Bytes that were read, kept or not.
    read: u64,
    /// When the buffer has to be written.
    due: Option<Instant>,
}

/// The output of one attempt.
pub(crate) struct Output<'a> {
    context: &'a Context,
    sources: Vec<Source>,
    limit: u64,
    kept: u64,
    chunks: u32,
    unwritten: usize,
    truncated: bool,
}

impl<'a> Output<'a> {
    pub(crate) fn new(context: &'a Context, names: &[&'static str]) -> Self {
        let source = |name: &&'static str| Source { name, buffer: Vec::new(), offset: 0, read: 0, due: None };
        let limit = context.assignment().spec.policy.profile.output_bytes.unwrap_or(OUTPUT_BYTES);
        let sources = names.iter().map(source).collect();
        Self { context, sources, limit, kept: 0, chunks: 0, unwritten: 0, truncated: false }
    }

    /// Takes bytes of a source. Waits for the disk when too many are on their way; must not be dropped while it waits.
    pub(crate) async fn push(&mut self, source: usize, bytes: &[u8]) -> Result<(), Stop> {
        let Some(from) = self.sources.get_mut(source) else { return Ok(()) };
        from.read += bytes.len() as u64;
        if self.truncated {
            return Ok(());
        }
        let room = usize::try_from(self.limit - self.kept).unwrap_or(usize::MAX);
        let kept = bytes.len().min(room);
        self.kept += kept as u64;
        from.buffer.extend_from_slice(&bytes[..kept]);
        if kept > 0 {
            let gather = if self.chunks < MANY_CHUNKS { GATHER } else { GATHER_LATER };
            from.due.get_or_insert_with(|| Instant::now() + gather);
        }
        while self.sources[source].buffer.len() >= CHUNK_BYTES {
            self.write(source, false);
            if self.unwritten >= UNWRITTEN {
                self.unwritten = 0;
                self.context.flush().await?;
            }
        }
        if kept < bytes.len() {
            self.truncated = true;
            self.write(source, false);
            self.sources[source].buffer = Vec::new();
            let limit = self.limit;
            let text = format!(
                "the output is cut off here: {limit} bytes of it are kept (policy.profile.output_bytes)"
            );
            self.context.log(Level::Warn, text);
        }
        Ok(())
    }

    /// When [`Output::write_due`] has to be called, if nothing else comes.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.sources.iter().filter_map(|source| source.due).min()
    }

    /// Writes what was gathered for long enough.
    pub(crate) fn write_due(&mut self) {
        let now = Instant::now();
        for source in 0..self.sources.len() {
            if self.sources[source].due.is_some_and(|due| due <= now) {
                self.write(source, false);
            }
        }
    }

    /// Writes what is left.
    pub(crate) fn finish(&mut self) {
        for source in 0..self.sources.len() {
            self.write(source, true);
        }
    }

    /// Bytes that were read of a source.
    pub(crate) fn read(&self, source: usize) -> u64 {
        self.sources.get(source).map_or(0, |source| source.read)
    }

    /// Whether some of the output was not kept.
    pub(crate) fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// Writes one chunk of what is in the buffer.
    fn write(&mut self, source: usize, all: bool) {
        let from = &mut self.sources[source];
        // Half a character waits for its other half, without a time of its own.
        from.due = None;
        let many = cut(&from.buffer, all);
        if many == 0 {
            return;
        }
        let rest = from.buffer.split_off(many);
        let chunk = std::mem::replace(&mut from.buffer, rest);
        let offset = from.offset;
        from.offset += many as u64;
        self.chunks = self.chunks.saturating_add(1);
        self.unwritten += many;
        self.context.log_chunk(from.name, Level::Info, offset, chunk);
    }
}

/// How many bytes make the next chunk: not more than one may hold, and no half character at its end unless it is the last.
fn cut(buffer: &[u8], all: bool) -> usize {
    let many = buffer.len().min(CHUNK_BYTES);
    if all && many == buffer.len() { many } else { whole_chars(buffer, many) }
}

/// The largest length up to `many` that does not cut a character in two.
pub(crate) fn whole_chars(bytes: &[u8], many: usize) -> usize {
    for back in 1..=many.min(3) {
        let byte = bytes[many - back];
        let needs = match byte {
            0x80..=0xbf => continue,
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => 1,
        };
        return if needs > back { many - back } else { many };
    }
    many
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_end_between_characters() {
        for (bytes, many, expected) in [
            ("abc".as_bytes(), 3, 3),
            ("aü".as_bytes(), 2, 1),
            ("aü".as_bytes(), 3, 3),
            ("€".as_bytes(), 1, 0),
            ("€".as_bytes(), 2, 0),
            ("a𝄞".as_bytes(), 4, 1),
            ("a𝄞".as_bytes(), 5, 5),
            (&[0xff, 0x80, 0x80, 0x80, 0x80], 5, 5),
            (&[0xff], 1, 1),
            (&[], 0, 0),
        ] {
            assert_eq!(whole_chars(bytes, many), expected, "{bytes:?} {many}");
        }
    }

    #[test]
    fn a_chunk_is_never_larger_than_it_may_be() {
        let text = "€".repeat(CHUNK_BYTES);
        let many = cut(text.as_bytes(), false);
        assert!(many <= CHUNK_BYTES && many > CHUNK_BYTES - 3 && text.is_char_boundary(many), "{many}");
        assert_eq!(cut(b"\xe2\x82", true), 2);
        assert_eq!(cut(b"\xe2\x82", false), 0);
    }
}
