//! Finding the server: `EVERLOOP_URL`, the data folder here, those that servers of this user listed, the usual port.
//!
//! A running server keeps `server.json` in its data folder and lists that folder in the user's state folder. A file that a
//! killed server left behind is recognised by nobody listening there.

use serde::{Deserialize, Serialize};
use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;
use url::Url;

/// The server's own file in its data folder.
pub const SERVER_FILE: &str = "server.json";
/// The local key in a data folder: who can read it may do everything.
pub const KEY_FILE: &str = "api-key";
/// Where servers list their data folders, in the user's state folder: one file each, with the path in it.
const SERVERS: &str = "servers";
/// Where a server is looked for when nothing else is known.
pub const DEFAULT_URL: &str = "http://127.0.0.1:7420";
/// The data folder of dev mode, seen from where it was started.
pub const DEV_FOLDER: &str = ".everloop";
/// How long a look whether somebody listens may take.
const LOOK: Duration = Duration::from_millis(300);

/// What a running server says about itself in its data folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerFile {
    /// Where it listens.
    pub url: String,
    /// Its process.
    pub pid: u32,
}

/// What a client knows before it looks for a server.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// The address that was given.
    pub url: Option<String>,
    /// The API key that was given.
    pub api_key: Option<String>,
    /// The data folder here: `./.everloop`, or the one that was named.
    pub folder: PathBuf,
    /// Whether only the server of that folder is meant.
    pub only_here: bool,
    /// The user's state folder: see [`state_folder`].
    pub state: Option<PathBuf>,
}

/// A server, and how it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its address.
    pub url: String,
    /// The key to show.
    pub api_key: Option<String>,
    /// Its data folder, where it is known.
    pub folder: Option<PathBuf>,
    /// Whether somebody was seen to listen there. An address that was given is not looked at.
    pub listens: bool,
}

/// `$XDG_STATE_HOME/everloop`, or `~/.local/state/everloop`.
pub fn state_folder(variable: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = set("XDG_STATE_HOME").or_else(|| set("HOME").map(|home| home.join(".local/state")))?;
    Some(home.join("everloop"))
}

/// Finds the server to talk to. There is always an answer; whether it listens is another matter.
pub fn discover(surroundings: &Surroundings) -> Found {
    let candidates = candidates(surroundings);
    if let Some(url) = &surroundings.url {
        let known = candidates.into_iter().find(|found| same(&found.url, url));
        let folder = known.and_then(|found| found.folder);
        let api_key = surroundings.api_key.clone().or_else(|| folder.as_deref().and_then(read_key));
        return Found { url: url.clone(), api_key, folder, listens: true };
    }
    let found = candidates.into_iter().find(|found| listens(&found.url)).unwrap_or_else(|| Found {
        url: DEFAULT_URL.to_owned(),
        api_key: None,
        folder: None,
        listens: !surroundings.only_here && listens(DEFAULT_URL),
    });
    let api_key = surroundings.api_key.clone().or_else(|| found.folder.as_deref().and_then(read_key));
    Found { api_key, ..found }
}

/// Servers that left a file, the one here first.
fn candidates(surroundings: &Surroundings) -> Vec<Found> {
    let mut folders = vec![surroundings.folder.clone()];
    if let Some(state) = &surroundings.state
        && !surroundings.only_here
    {
        folders.extend(listed(state));
    }
    let read = folders.into_iter().filter_map(|folder| {
        let server = read_server(&folder)?;
        Some(Found { url: server.url, api_key: None, folder: Some(folder), listens: true })
    });
    read.collect()
}

/// What a data folder says about its server.
#[expect(clippy::disallowed_methods, reason = "the client reads what servers leave for it")]
pub fn read_server(folder: &Path) -> Option<ServerFile> {
    let text = std::fs::read_to_string(folder.join(SERVER_FILE)).ok()?;
    serde_json::from_str(&text).ok()
}

/// The local key of a data folder, where this user may read it.
pub fn read_key(folder: &Path) -> Option<String> {
    read_key_file(&folder.join(KEY_FILE)).ok()
}

/// The key in a file.
///
/// # Errors
/// If the file can't be read.
#[expect(clippy::disallowed_methods, reason = "the client reads what servers leave for it")]
pub fn read_key_file(file: &Path) -> io::Result<String> {
    std::fs::read_to_string(file).map(|text| text.trim().to_owned())
}

/// The data folders that are listed, the latest first.
#[expect(clippy::disallowed_methods, reason = "the client reads what servers leave for it")]
fn listed(state: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(state.join(SERVERS)) else { return Vec::new() };
    let mut found: Vec<_> = entries
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let modified = entry.metadata().ok()?.modified().ok()?;
            let folder = std::fs::read_to_string(entry.path()).ok()?;
            Some((modified, PathBuf::from(folder.trim_end_matches('\n'))))
        })
        .collect();
    found.sort();
    found.into_iter().rev().map(|(_, folder)| folder).collect()
}

fn address(url: &str) -> Option<(String, u16)> {
    let url = Url::parse(url).ok()?;
    Some((url.host_str()?.trim_matches(['[', ']']).to_owned(), url.port_or_known_default()?))
}

fn same(a: &str, b: &str) -> bool {
    a.trim_end_matches('/') == b.trim_end_matches('/')
}

/// Whether somebody listens there.
pub fn listens(url: &str) -> bool {
    let Some((host, port)) = address(url) else { return false };
    let Ok(addresses) = (host.as_str(), port).to_socket_addrs() else { return false };
    addresses.into_iter().any(|address: SocketAddr| TcpStream::connect_timeout(&address, LOOK).is_ok())
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests look at files")]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("everloop-discover-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(folder.join("data")).unwrap();
        folder
    }

    #[test]
    fn a_listed_server_is_found_with_its_key_and_a_dead_one_is_not() {
        let root = folder("listed");
        let (data, state) = (root.join("data"), root.join("state"));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = ServerFile { url: url.clone(), pid: 1 };
        std::fs::write(data.join(SERVER_FILE), serde_json::to_string(&server).unwrap()).unwrap();
        std::fs::create_dir_all(state.join(SERVERS)).unwrap();
        std::fs::write(state.join(SERVERS).join("1"), format!("{}\n", data.display())).unwrap();
        std::fs::write(data.join(KEY_FILE), "evl_k\n").unwrap();
        let here =
            Surroundings { folder: root.join("none"), state: Some(state.clone()), ..Surroundings::default() };
        let found = discover(&here);
        assert_eq!(found.url, url);
        assert_eq!(found.api_key.as_deref(), Some("evl_k"));
        let named = Surroundings { url: Some(format!("{url}/")), ..here.clone() };
        assert_eq!(discover(&named).api_key.as_deref(), Some("evl_k"));
        assert!(!discover(&Surroundings { only_here: true, ..here.clone() }).listens);
        drop(listener);
        assert_eq!(discover(&here).url, DEFAULT_URL);
        std::fs::remove_dir_all(root).unwrap();
    }
}
