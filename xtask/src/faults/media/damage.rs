//! What is done to the files.

use crate::crash::dice::Dice;
use crate::crash::sqlite::FILE;
use anyhow::{Context, Result, bail};
use std::path::Path;

/// Stands in the result of every task, so that it can be found in the file.
pub(super) const MARK: &str = "MARKED";

/// SQLite's page size, as the server sets it; read from the header.
fn page_size(bytes: &[u8]) -> usize {
    match bytes.get(16..18) {
        Some([0, 1]) => 65_536,
        Some([high, low]) => usize::from(u16::from_be_bytes([*high, *low])).max(512),
        _ => 4096,
    }
}

/// A kind of damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Damage {
    /// A letter of a task's result becomes another one: the rows still read well.
    Payload,
    /// A few bytes anywhere behind the first page.
    Bytes,
    /// A few bytes in a page of an index.
    Index,
    /// A page of zeros, as after a write that was lost.
    Zeros,
    /// A page holds what another one has.
    Misplaced,
    /// A byte of the file's first hundred.
    Header,
    /// The file ends before its time.
    Cut,
    /// The log ends before its time.
    LogCut,
    /// A byte of the log.
    LogByte,
    /// The log is gone.
    LogGone,
}

impl Damage {
    pub(super) const PAGES: &'static [Self] =
        &[Self::Payload, Self::Bytes, Self::Index, Self::Zeros, Self::Misplaced, Self::Header, Self::Cut];
    pub(super) const LOG: &'static [Self] = &[Self::LogCut, Self::LogByte, Self::LogGone];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Payload => "a letter of a result",
            Self::Bytes => "bytes of a page",
            Self::Index => "bytes of an index",
            Self::Zeros => "a page of zeros",
            Self::Misplaced => "a misplaced page",
            Self::Header => "a byte of the header",
            Self::Cut => "a cut file",
            Self::LogCut => "a cut log",
            Self::LogByte => "a byte of the log",
            Self::LogGone => "no log",
        }
    }

    /// Does it, and says where.
    pub(super) fn inflict(self, folder: &Path, dice: &mut Dice) -> Result<String> {
        let log = matches!(self, Self::LogCut | Self::LogByte | Self::LogGone);
        let path = folder.join(if log { format!("{FILE}-wal") } else { FILE.to_owned() });
        let mut bytes = std::fs::read(&path).with_context(|| format!("{} can't be read", path.display()))?;
        if bytes.len() < 8192 {
            bail!("{} has {} bytes only", path.display(), bytes.len());
        }
        let what = self.change(&mut bytes, dice)?;
        std::fs::write(&path, bytes)?;
        Ok(what)
    }

    fn change(self, bytes: &mut Vec<u8>, dice: &mut Dice) -> Result<String> {
        let page = page_size(bytes);
        let length = bytes.len();
        let pages = length / page;

        Ok(match self {
            Self::Payload => {
                let places: Vec<usize> = (0..bytes.len().saturating_sub(MARK.len() + 40))
                    .filter(|at| bytes[*at..].starts_with(MARK.as_bytes()))
                    .collect();
                let at = places.get(any(dice, places.len())).context("no result is in the file")?
                    + MARK.len()
                    + 20;
                bytes[at] = if bytes[at] == b'z' { b'y' } else { b'z' };
                format!("offset {at}, page {}", at / page + 1)
            }
            Self::Bytes => flip(bytes, page + any(dice, length - page), 1 + any(dice, 16), dice),
            Self::Index => {
                let indexes: Vec<usize> =
                    (1..pages).filter(|at| matches!(bytes[at * page], 0x02 | 0x0a)).collect();
                let at = indexes.get(any(dice, indexes.len())).context("the file has no index")?;
                flip(bytes, at * page + page / 2 + any(dice, page / 2), 1 + any(dice, 256), dice)
            }
            Self::Zeros => {
                let at = 1 + any(dice, pages - 1);
                bytes[at * page..(at + 1) * page].fill(0);
                format!("page {}", at + 1)
            }
            Self::Misplaced => {
                let (from, to) = (1 + any(dice, pages - 1), 1 + any(dice, pages - 1));
                bytes.copy_within(from * page..(from + 1) * page, to * page);
                format!("page {} is page {}", to + 1, from + 1)
            }
            Self::Header => flip(bytes, any(dice, 100), 1, dice),
            Self::Cut => {
                bytes.truncate((1 + any(dice, pages - 1)) * page);
                format!("{} pages of {pages}", bytes.len() / page)
            }
            Self::LogCut => {
                bytes.truncate(any(dice, length));
                format!("{} bytes of {length}", bytes.len())
            }
            Self::LogByte => flip(bytes, any(dice, length), 1, dice),
            Self::LogGone => {
                bytes.clear();
                "0 bytes".to_owned()
            }
        })
    }
}

fn any(dice: &mut Dice, below: usize) -> usize {
    let most = u64::try_from(below.saturating_sub(1)).unwrap_or(u64::MAX);
    usize::try_from(dice.between(0, most)).unwrap_or(0)
}

/// Changes each of so many bytes from there on.
fn flip(bytes: &mut [u8], from: usize, count: usize, dice: &mut Dice) -> String {
    for byte in bytes.iter_mut().skip(from).take(count) {
        *byte ^= u8::try_from(dice.between(1, 255)).unwrap_or(1);
    }
    format!("{count} bytes at {from}")
}
