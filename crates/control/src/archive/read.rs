//! Reading an archive, and checking it.

use super::{
    ABOUT, About, ArchiveError, Begin, FORMAT, Line, MANIFEST, Manifest, Member, SIGNING_KEY, VERSION,
    damaged,
};
use everloop_journal::chain::{self, Verifier};
use everloop_journal::{digest, hex, receipt};
use everloop_store::rows::{Installation, Lane};
use everloop_store::work::Row;
use everloop_types::event::Event;
use everloop_types::id::TenantId;
use everloop_types::limits;
use everloop_types::receipt::AnchorClaims;
use everloop_types::stream::StreamName;
use std::io::{Read, Seek};

/// Of a part; a blob has its own limit. A line is a stream's record or an event, both far smaller.
const PART_BYTES: u64 = 64 * 1024 * 1024;

/// What is found in an archive, in order.
pub(super) enum Item {
    Installation(Installation),
    Begin(Box<Begin>),
    Event(Box<Event>),
    Lane(Lane),
    Row(Row),
    Blob { tenant: TenantId, id: String, bytes: Vec<u8> },
    SigningKey(String),
}

/// Checks an archive from its beginning to its end: every member against the manifest, every chain against its hashes.
///
/// # Errors
/// What is wrong with it.
pub fn check(file: &mut (impl Read + Seek)) -> Result<Manifest, ArchiveError> {
    let mut checker = Checker::default();
    let manifest = walk(file, &mut |member, item| checker.item(member, item))?;
    checker.end("the last stream")?;
    let found = &checker.found;
    let counts = |manifest: &Manifest| {
        (manifest.streams, manifest.events, manifest.rows, manifest.blobs, manifest.signing_key)
    };
    if counts(found) != counts(&manifest) {
        return Err(damaged(MANIFEST, "it counts other things than there are"));
    }
    Ok(manifest)
}

/// Takes every item of an archive, and holds its members against the manifest.
pub(super) fn walk(
    file: &mut (impl Read + Seek),
    take: &mut dyn FnMut(&str, Item) -> Result<(), ArchiveError>,
) -> Result<Manifest, ArchiveError> {
    file.rewind()?;
    let foreign = |error: std::io::Error| ArchiveError::Foreign(error.to_string());
    let mut tar = tar::Archive::new(file);
    let mut members: Vec<Member> = Vec::new();
    let mut manifest: Option<Manifest> = None;
    for entry in tar.entries().map_err(foreign)? {
        let mut entry = entry.map_err(|error| match members.is_empty() {
            true => foreign(error),
            false => damaged("the archive", error),
        })?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if manifest.is_some() {
            return Err(damaged(&name, "nothing may follow the manifest"));
        }
        if members.is_empty() && name != ABOUT {
            return Err(ArchiveError::Foreign(format!("its first member is {name:?}")));
        }
        let bytes = entry.size();
        if bytes > PART_BYTES.max(limits::BLOB_BYTES) && name != MANIFEST {
            return Err(damaged(&name, "it is too large"));
        }
        let mut content = Vec::new();
        entry.read_to_end(&mut content).map_err(|error| damaged(&name, error))?;
        if content.len() as u64 != bytes {
            return Err(damaged(&name, "it is cut"));
        }
        if name == MANIFEST {
            manifest = Some(serde_json::from_slice(&content).map_err(|error| damaged(&name, error))?);
            continue;
        }
        let sha256 = hex::encode(&digest::sha256(&content));
        member(&name, content, take)?;
        members.push(Member { name, bytes, sha256 });
    }
    let Some(manifest) = manifest else {
        return Err(match members.is_empty() {
            true => ArchiveError::Foreign("there is nothing in it".to_owned()),
            false => damaged(MANIFEST, "it is missing: the archive is cut"),
        });
    };
    for (found, told) in members.iter().zip(&manifest.members) {
        if found != told {
            return Err(damaged(&found.name, "it is not what the manifest says"));
        }
    }
    if members.len() != manifest.members.len() {
        return Err(damaged(MANIFEST, "it names other members than there are"));
    }
    Ok(manifest)
}

fn member(
    name: &str,
    content: Vec<u8>,
    take: &mut dyn FnMut(&str, Item) -> Result<(), ArchiveError>,
) -> Result<(), ArchiveError> {
    let text = |content| String::from_utf8(content).map_err(|error| damaged(name, error));
    if name == ABOUT {
        let about: About =
            serde_json::from_slice(&content).map_err(|error| ArchiveError::Foreign(error.to_string()))?;
        if about.format != FORMAT {
            return Err(ArchiveError::Foreign(format!("it says that it is {:?}", about.format)));
        }
        if about.v > VERSION {
            return Err(ArchiveError::Newer(about.v));
        }
        return take(name, Item::Installation(about.installation));
    }
    if name == SIGNING_KEY {
        return take(name, Item::SigningKey(text(content)?));
    }
    if let Some(path) = name.strip_prefix("blobs/") {
        let blob = path.split_once('/').and_then(|(tenant, id)| Some((tenant.parse().ok()?, id.to_owned())));
        let Some((tenant, id)) = blob else { return Err(damaged(name, "it names no blob")) };
        return take(name, Item::Blob { tenant, id, bytes: content });
    }
    let is_stream = match name.split_once('/') {
        Some(("streams", _)) => true,
        Some(("rows", _)) => false,
        _ => return Err(damaged(name, "no such member is known")),
    };
    for line in text(content)?.lines() {
        let item = if is_stream && !line.starts_with("{\"begin\":") {
            let event = chain::from_json(line).map_err(|error| damaged(name, error))?;
            Item::Event(Box::new(event))
        } else {
            match serde_json::from_str(line).map_err(|error| damaged(name, error))? {
                Line::Begin(begin) if is_stream => Item::Begin(begin),
                Line::Lane(lane) if !is_stream => Item::Lane(lane),
                Line::Row(row) if !is_stream => Item::Row(row),
                Line::Begin(_) | Line::Lane(_) | Line::Row(_) => {
                    return Err(damaged(name, "a line is in the wrong member"));
                }
            }
        };
        take(name, item)?;
    }
    Ok(())
}

/// The name of a stream that begins.
pub(super) fn name_of(begin: &Begin, member: &str) -> Result<StreamName, ArchiveError> {
    let name: StreamName =
        begin.stream.parse().map_err(|_| damaged(member, format!("{:?} is no stream", begin.stream)))?;
    let fits = match (name, &begin.task) {
        (StreamName::Task(id), Some(task)) => task.id == id && task.tenant == begin.tenant,
        (StreamName::Audit(tenant, _), None) => tenant == begin.tenant,
        (StreamName::Task(_), None) | (StreamName::Audit(..), Some(_)) => false,
    };
    if fits { Ok(name) } else { Err(damaged(member, format!("{name} does not go with its record"))) }
}

/// Follows the streams of an archive with their hashes.
#[derive(Default)]
struct Checker {
    open: Option<(Box<Begin>, Verifier)>,
    found: Manifest,
}

impl Checker {
    fn item(&mut self, member: &str, item: Item) -> Result<(), ArchiveError> {
        match item {
            Item::Begin(begin) => {
                self.end(member)?;
                let name = name_of(&begin, member)?;
                let verifier = match &begin.anchor {
                    None => Verifier::new(begin.tenant, name),
                    Some(anchor) => {
                        let claims = receipt::read::<AnchorClaims>(&anchor.jws)
                            .map_err(|error| damaged(member, format!("{name}: {error}")))?
                            .claims;
                        let hash = receipt::anchor_hash(&claims).filter(|_| claims.seq == anchor.upto_seq);
                        let Some(hash) = hash else {
                            return Err(damaged(member, format!("{name}: the anchor is of another event")));
                        };
                        Verifier::after_anchor(begin.tenant, name, anchor.upto_seq, hash)
                    }
                };
                self.found.streams += 1;
                self.open = Some((begin, verifier));
            }
            Item::Event(event) => {
                let Some((_, verifier)) = &mut self.open else {
                    return Err(damaged(member, "an event stands before its stream"));
                };
                verifier.check(&event).map_err(|error| damaged(member, error))?;
                self.found.events += 1;
            }
            Item::Lane(_) | Item::Row(_) => self.found.rows += 1,
            Item::Blob { .. } => self.found.blobs += 1,
            Item::SigningKey(_) => self.found.signing_key = true,
            Item::Installation(_) => {}
        }
        Ok(())
    }

    fn end(&mut self, member: &str) -> Result<(), ArchiveError> {
        let Some((begin, verifier)) = self.open.take() else { return Ok(()) };
        let head = verifier.head();
        if head.seq == begin.last_seq && hex::encode(&head.hash) == begin.hash {
            return Ok(());
        }
        let what = format!("{} ends with event {}, not with {}", begin.stream, head.seq, begin.last_seq);
        Err(damaged(member, what))
    }
}
