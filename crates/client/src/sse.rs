//! Reading `text/event-stream`, as the HTML standard describes it.

use crate::error::ClientError;
use crate::http::{Call, Client};
use reqwest::{Response, StatusCode};
use std::collections::VecDeque;
use std::time::Duration;

/// A stream that says nothing for so long is dead: the server sends a heartbeat every 25 seconds.
const SILENCE: Duration = Duration::from_secs(60);

/// The blocks of one stream, however often its connection is lost.
pub(crate) struct Blocks {
    client: Client,
    connection: Option<(Response, Reader)>,
    ready: VecDeque<Block>,
    /// Connections in a row that gave nothing.
    fruitless: u32,
}

impl Blocks {
    pub(crate) fn new(client: Client) -> Self {
        Self { client, connection: None, ready: VecDeque::new(), fruitless: 0 }
    }

    /// The next block; none if the server says that there is nothing more. A connection is made by what `call` gives: it is
    /// asked only after every block of the connection before was given.
    pub(crate) async fn next(
        &mut self,
        call: impl Fn() -> Result<Call, ClientError>,
    ) -> Result<Option<Block>, ClientError> {
        loop {
            if let Some(block) = self.ready.pop_front() {
                return Ok(Some(block));
            }
            let Some((answer, reader)) = self.connection.as_mut() else {
                let answer = self.client.open(&call()?).await?;
                if answer.status() == StatusCode::NO_CONTENT {
                    return Ok(None);
                }
                self.connection = Some((answer, Reader::default()));
                continue;
            };
            match tokio::time::timeout(SILENCE, answer.chunk()).await {
                Ok(Ok(Some(bytes))) => {
                    self.ready.extend(reader.take(&bytes));
                    self.fruitless = 0;
                }
                // Ended, broken or dead: the next connection goes on from here, and is told if there is nothing more.
                Ok(Ok(None) | Err(_)) | Err(_) => self.lost().await,
            }
        }
    }

    async fn lost(&mut self) {
        self.connection = None;
        self.fruitless += 1;
        if self.fruitless > 1 {
            let options = self.client.options();
            tokio::time::sleep(options.retry.delay(self.fruitless - 1, options.random.as_ref())).await;
        }
    }
}

/// One block of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Block {
    /// The position that the stream has reached, where the block says it.
    pub(crate) id: Option<String>,
    /// The type; `message` where none is given.
    pub(crate) event: Option<String>,
    /// The data; none where the block only moves the position.
    pub(crate) data: Option<String>,
}

/// Splits bytes into blocks.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    buffer: Vec<u8>,
    block: Block,
    has_lines: bool,
}

impl Reader {
    /// Takes bytes as they come, and gives the blocks that are complete.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Vec<Block> {
        self.buffer.extend_from_slice(bytes);
        let mut blocks = Vec::new();
        let mut start = 0;
        while let Some(length) = self.buffer[start..].iter().position(|byte| *byte == b'\n') {
            let line = String::from_utf8_lossy(&self.buffer[start..start + length]).into_owned();
            start += length + 1;
            let line = line.strip_suffix('\r').unwrap_or(&line);
            if line.is_empty() {
                if std::mem::take(&mut self.has_lines) {
                    blocks.push(std::mem::take(&mut self.block));
                }
            } else {
                self.line(line);
            }
        }
        self.buffer.drain(..start);
        blocks
    }

    fn line(&mut self, line: &str) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "id" if !value.contains('\0') => self.block.id = Some(value.to_owned()),
            "event" => self.block.event = Some(value.to_owned()),
            "data" => match &mut self.block.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.block.data = Some(value.to_owned()),
            },
            // Comments, and fields of later times.
            _ => return,
        }
        self.has_lines = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_come_out_whole_however_the_bytes_come_in() {
        let text = "id: 1\nevent: log\ndata: {\"a\":\r\ndata:1}\r\n\r\n: hb\n\nid: 2\n\ndata: ä\n\n";
        let whole = Reader::default().take(text.as_bytes());
        assert_eq!(whole.len(), 3);
        assert_eq!(whole[0].data.as_deref(), Some("{\"a\":\n1}"));
        assert_eq!(whole[1], Block { id: Some("2".to_owned()), event: None, data: None });
        let mut reader = Reader::default();
        let split: Vec<Block> = text.bytes().flat_map(|byte| reader.take(&[byte])).collect();
        assert_eq!(split, whole);
    }
}
