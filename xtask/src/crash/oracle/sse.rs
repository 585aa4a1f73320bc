//! Reading `text/event-stream`: bytes in, blocks out.

/// One block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Block {
    /// The position after it, where it says one.
    pub(crate) id: Option<String>,
    /// Its type.
    pub(crate) event: Option<String>,
    /// Its data; a block without moves the position only.
    pub(crate) data: Option<String>,
}

/// What has come so far of a stream.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    bytes: Vec<u8>,
    block: Block,
}

impl Blocks {
    /// Takes some bytes, gives the blocks that are whole now.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Vec<Block> {
        self.bytes.extend_from_slice(bytes);
        let mut whole = Vec::new();
        while let Some(end) = self.bytes.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.bytes.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches(['\n', '\r']);
            if line.is_empty() {
                let block = std::mem::take(&mut self.block);
                if block != Block::default() {
                    whole.push(block);
                }
                continue;
            }
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value).to_owned();
            match name {
                "id" => self.block.id = Some(value),
                "event" => self.block.event = Some(value),
                "data" => match &mut self.block.data {
                    Some(data) => *data = format!("{data}\n{value}"),
                    None => self.block.data = Some(value),
                },
                // Comments.
                _ => {}
            }
        }
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_come_out_whole_and_comments_are_no_blocks() {
        let text = "id: 1\nevent: log\ndata: {}\n\n: hb\n\nid: 2\n\ndata: x\nda";
        let mut blocks = Blocks::default();
        let found: Vec<Block> = text.bytes().flat_map(|byte| blocks.take(&[byte])).collect();
        let block = |id: Option<&str>, event: Option<&str>, data: Option<&str>| Block {
            id: id.map(str::to_owned),
            event: event.map(str::to_owned),
            data: data.map(str::to_owned),
        };
        assert_eq!(found, [block(Some("1"), Some("log"), Some("{}")), block(Some("2"), None, None)]);
    }
}
