//! What one file holds: in the cache, which every read sees, and on the platter, which a power cut leaves.

use super::plan::Counts;
use everloop_store::suite::dice::Dice;

/// What a disk writes whole or not at all.
pub(super) const SECTOR: usize = 512;

#[derive(Debug, Default)]
pub(super) struct Content {
    cache: Vec<u8>,
    durable: Vec<u8>,
    /// What was done to the cache since the last sync, in order.
    pending: Vec<Change>,
    /// The cache as it was before `pending`, where that is not `durable`: after a sync that failed, the system holds pages for
    /// clean that never arrived.
    base: Option<Vec<u8>>,
}

#[derive(Debug)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Truncate(usize),
}

impl Content {
    pub(super) fn len(&self) -> usize {
        self.cache.len()
    }

    /// Reads from the cache; says how many bytes there were.
    pub(super) fn read(&self, at: usize, buffer: &mut [u8]) -> usize {
        let found = self.cache.get(at..).unwrap_or_default();
        let count = found.len().min(buffer.len());
        buffer[..count].copy_from_slice(&found[..count]);
        count
    }

    pub(super) fn write(&mut self, at: usize, bytes: &[u8]) {
        put(&mut self.cache, at, bytes);
        self.pending.push(Change::Write { at, bytes: bytes.to_vec() });
    }

    pub(super) fn truncate(&mut self, len: usize) {
        self.cache.resize(len, 0);
        self.pending.push(Change::Truncate(len));
    }

    /// Makes everything durable that the system knows to be dirty.
    pub(super) fn sync(&mut self) {
        for change in self.pending.drain(..) {
            match change {
                Change::Truncate(len) => self.durable.resize(len, 0),
                Change::Write { at, bytes } => {
                    sectors(at, bytes.len()).for_each(|sector| copy(&self.cache, &mut self.durable, sector));
                }
            }
        }
        self.durable.resize(self.cache.len(), 0);
        if let Some(base) = &mut self.base {
            base.clone_from(&self.cache);
        }
    }

    /// A sync that fails: some of it arrives, and the rest is taken for clean from now on.
    pub(super) fn sync_failing(&mut self, dice: &Dice, counts: &mut Counts) {
        self.settle(dice, counts);
        self.base = Some(self.cache.clone());
    }

    /// The power goes: of what was not synced some is there, in any order, and reads see only that from now on.
    pub(super) fn cut(&mut self, dice: &Dice, counts: &mut Counts) {
        self.settle(dice, counts);
        self.base = None;
        self.cache.clone_from(&self.durable);
    }

    /// Lets a random part of the pending changes reach the platter. A sector arrives as it was in the cache after one of the
    /// writes to it: bytes of it that were written before that write come along, as they do on a disk.
    fn settle(&mut self, dice: &Dice, counts: &mut Counts) {
        if self.pending.is_empty() {
            return;
        }
        let mut view = self.base.take().unwrap_or_else(|| self.durable.clone());
        let arriving = [0, 25, 50, 75, 100][dice.below(5)];
        for change in self.pending.drain(..) {
            let arrives = dice.chance(arriving);
            match change {
                Change::Truncate(len) => {
                    view.resize(len, 0);
                    if arrives {
                        self.durable.resize(len, 0);
                    } else {
                        counts.dropped += 1;
                    }
                }
                Change::Write { at, bytes } => {
                    put(&mut view, at, &bytes);
                    let torn = !arrives && dice.chance(30);
                    let (mut there, mut all) = (0, 0);
                    for sector in sectors(at, bytes.len()) {
                        all += 1;
                        if arrives || torn && dice.chance(50) {
                            there += 1;
                            copy(&view, &mut self.durable, sector);
                        }
                    }
                    counts.dropped += u64::from(there == 0 && all > 0);
                    counts.torn += u64::from(there > 0 && there < all);
                }
            }
        }
        // The size is written apart from the bytes: it may be there without them.
        if view.len() > self.durable.len() && dice.chance(20) {
            self.durable.resize(view.len(), 0);
        }
    }
}

fn put(into: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    if into.len() < at + bytes.len() {
        into.resize(at + bytes.len(), 0);
    }
    into[at..at + bytes.len()].copy_from_slice(bytes);
}

/// Where the sectors begin that a write touches.
fn sectors(at: usize, len: usize) -> impl Iterator<Item = usize> {
    (at / SECTOR * SECTOR..at + len).step_by(SECTOR)
}

fn copy(from: &[u8], to: &mut Vec<u8>, sector: usize) {
    let end = from.len().min(sector + SECTOR);
    if let Some(bytes) = from.get(sector..end) {
        put(to, sector, bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn durable_after_cut(mut content: Content, seed: u64) -> Vec<u8> {
        content.cut(&Dice::new(seed), &mut Counts::default());
        assert_eq!(content.cache, content.durable);
        content.durable
    }

    #[test]
    fn what_was_synced_stays_and_the_rest_is_there_by_sectors() {
        let (mut lost, mut whole, mut torn, mut only_size) = (0, 0, 0, 0);
        for seed in 0..500 {
            let mut content = Content::default();
            content.write(0, &[1; 700]);
            content.sync();
            content.write(600, &[2; 1_448]);
            let found = durable_after_cut(content, seed);
            assert_eq!(found[..600], [1; 600]);
            let second = |sector: usize| {
                let from = (sector * SECTOR).max(600);
                let of = found.get(from..(sector + 1) * SECTOR);
                of.map(|of| (of.iter().all(|byte| *byte == 2), of.iter().all(|byte| *byte != 2)))
            };
            let arrived: Vec<_> = (1..4).map(second).collect();
            for sector in arrived.iter().flatten() {
                assert!(sector.0 || sector.1, "a sector is torn: {found:?}");
            }
            match arrived.iter().filter(|sector| matches!(sector, Some((true, _)))).count() {
                0 if found.len() > 700 => only_size += 1,
                0 => lost += 1,
                3 => whole += 1,
                _ => torn += 1,
            }
        }
        assert!(lost > 50 && whole > 50 && torn > 20 && only_size > 10, "{lost} {whole} {torn} {only_size}");
    }

    #[test]
    fn sync_makes_everything_durable_truncations_too() {
        for seed in 0..50 {
            let mut content = Content::default();
            content.write(0, &[1; 2_000]);
            content.truncate(100);
            content.write(1_000, &[3; 10]);
            content.sync();
            let wanted = content.cache.clone();
            assert_eq!((wanted[99], wanted[100], wanted.len()), (1, 0, 1_010));
            assert_eq!(durable_after_cut(content, seed), wanted);
        }
    }

    /// As on Linux: a sync that fails makes dirty pages clean, so that the next one has nothing to do for them.
    #[test]
    fn sync_after_a_failed_one_promises_what_never_arrived() {
        let mut losses = 0;
        for seed in 0..50 {
            let mut content = Content::default();
            content.write(0, &[1; 512]);
            content.sync_failing(&Dice::new(seed), &mut Counts::default());
            content.write(1_024, &[2; 512]);
            content.sync();
            assert_eq!(content.cache[..512], [1; 512]);
            let found = durable_after_cut(content, seed + 1_000);
            assert_eq!(found[1_024..], [2; 512]);
            losses += usize::from(found[..512] != [1; 512]);
        }
        assert!(losses > 10 && losses < 50, "{losses}");
    }

    #[test]
    fn last_bytes_of_a_sector_bring_those_before_them_along() {
        for seed in 0..100 {
            let mut content = Content::default();
            content.write(0, &[1; 100]);
            content.write(100, &[2; 100]);
            let found = durable_after_cut(content, seed);
            assert!(found.len() < 200 || found[..100] == [1; 100] || found == [0; 200], "{found:?}");
        }
    }
}
