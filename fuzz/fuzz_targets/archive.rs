//! The reader of backups: no bytes make it panic.
//!
//! Nobody guesses a checksum. So an input that begins with a zero is the list of an archive's members, from which a
//! well-formed archive is made, with its manifest: a name, a line end, the content, and a zero before the next one. Any other
//! input is an archive as it stands.

#![no_main]

use everloop_control::archive::{self, Manifest, Member};
use everloop_journal::{digest, hex};
use libfuzzer_sys::fuzz_target;
use std::io::Cursor;

fn append(tar: &mut tar::Builder<Vec<u8>>, name: &str, content: &[u8]) -> std::io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_size(content.len() as u64);
    header.set_mode(0o600);
    tar.append_data(&mut header, name, content)
}

/// The archive of these members. None if tar can't name one of them.
fn build(members: &[u8]) -> Option<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut manifest = Manifest::default();
    for member in members.split(|byte| *byte == 0) {
        let end = member.iter().position(|byte| *byte == b'\n')?;
        let name = std::str::from_utf8(&member[..end]).ok()?;
        let content = &member[end + 1..];
        append(&mut tar, name, content).ok()?;
        // As it counts them: the members of a genuine archive make a genuine archive.
        let lines = || content.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        if name.starts_with("streams/") {
            let begins = lines().filter(|line| line.starts_with(b"{\"begin\":")).count();
            manifest.streams += begins as u64;
            manifest.events += (lines().count() - begins) as u64;
        } else if name.starts_with("rows/") {
            manifest.rows += lines().count() as u64;
        } else if name.starts_with("blobs/") {
            manifest.blobs += 1;
        }
        let sha256 = hex::encode(&digest::sha256(content));
        manifest.members.push(Member { name: name.to_owned(), bytes: content.len() as u64, sha256 });
    }
    append(&mut tar, "manifest.json", &serde_json::to_vec(&manifest).ok()?).ok()?;
    tar.into_inner().ok()
}

fuzz_target!(init: {
    // A genuine one has to pass, or this program looks for nothing.
    let genuine = build(&include_bytes!("../seeds/archive/members")[1..]).expect("the seed is an archive");
    let manifest = archive::check(&mut Cursor::new(genuine)).expect("the seed passes");
    assert_eq!((manifest.streams, manifest.events, manifest.blobs), (1, 4, 1));
}, |input: &[u8]| {
    match input.split_first() {
        Some((0, members)) => {
            let Some(archive) = build(members) else { return };
            if let Ok(manifest) = archive::check(&mut Cursor::new(&archive)) {
                assert!(!manifest.members.is_empty());
                // One bit of the content, and it is another archive.
                let mut altered = archive;
                altered[512] ^= 1;
                assert!(archive::check(&mut Cursor::new(&altered)).is_err(), "an altered archive passed");
            }
        }
        _ => {
            let _ = archive::check(&mut Cursor::new(input));
        }
    }
});
