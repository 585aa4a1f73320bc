//! The dashboard as it was built: files that lie in `crates/ui/dist`, compressed with brotli, and nothing else.
//!
//! The sources are in `dashboard/`. `npm run build` there writes `dist/` and `src/files.rs`, so that building the program needs neither
//! Node nor a network; the lane `ui` of `cargo xtask test` builds again and compares.
//!
//! Deliberately absent: HTTP. Who gets which form of a file, and how long it may be kept, is the server's business.

mod files;

use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::{Read, Write};
use std::sync::OnceLock;

/// The page that every address of the dashboard begins with.
pub const PAGE: &str = "index.html";

/// A file of the dashboard.
#[derive(Debug)]
pub struct File {
    /// Its path below the dashboard's address: `assets/index-8c1f.js`.
    pub path: &'static str,
    /// What it is.
    pub media_type: &'static str,
    /// Names its content: the first 32 digits of its SHA-256 in hexadecimal.
    pub hash: &'static str,
    /// Its bytes, compressed with brotli.
    pub brotli: &'static [u8],
    plain: OnceLock<Vec<u8>>,
    gzip: OnceLock<Vec<u8>>,
}

impl File {
    const fn new(
        path: &'static str,
        media_type: &'static str,
        hash: &'static str,
        brotli: &'static [u8],
    ) -> Self {
        Self { path, media_type, hash, brotli, plain: OnceLock::new(), gzip: OnceLock::new() }
    }

    /// Its bytes. They are unpacked when somebody first asks.
    pub fn plain(&self) -> &[u8] {
        self.plain.get_or_init(|| {
            let mut plain = Vec::new();
            // The tests unpack every file that is committed, so that this can't fail.
            let _ = brotli_decompressor::Decompressor::new(self.brotli, 4096).read_to_end(&mut plain);
            plain
        })
    }

    /// Its bytes, compressed with gzip, for browsers that do not take brotli over plain HTTP.
    pub fn gzip(&self) -> &[u8] {
        self.gzip.get_or_init(|| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
            // Writing into memory can't fail.
            let _ = encoder.write_all(self.plain());
            encoder.finish().unwrap_or_default()
        })
    }

    /// Whether its name changes with its content, so that it may be kept for ever.
    pub fn is_immutable(&self) -> bool {
        self.path.starts_with("assets/")
    }
}

/// Every file.
pub fn files() -> &'static [File] {
    &files::FILES
}

/// The file at a path.
pub fn file(path: &str) -> Option<&'static File> {
    files().iter().find(|file| file.path == path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_unpacks_and_the_page_names_only_files_that_are_there() {
        for file in files() {
            assert!(!file.plain().is_empty(), "{}", file.path);
            assert!(file.gzip().len() < file.plain().len() + 64, "{}", file.path);
            assert_eq!(file.hash.len(), 32, "{}", file.path);
        }
        let page = std::str::from_utf8(file(PAGE).unwrap().plain()).unwrap();
        let named: Vec<&str> = page.split('"').filter(|text| text.starts_with("./")).collect();
        assert!(named.len() >= 2, "{page}");
        for path in named {
            assert!(file(&path[2..]).is_some(), "{path} is not there");
        }
    }

    #[test]
    fn the_page_has_a_base_and_no_script_of_its_own() {
        let page = std::str::from_utf8(file(PAGE).unwrap().plain()).unwrap();
        assert!(page.contains("<base href=\"/\" />"), "{page}");
        assert_eq!(page.matches("<script").count(), page.matches("<script type=\"module\"").count());
        assert!(!page.contains("<style") && !page.contains("style="), "{page}");
    }
}
