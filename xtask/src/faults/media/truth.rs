//! What a server showed before its files were damaged, and how far what it shows now differs.

use crate::crash::oracle::http::CUT_OFF;
use crate::faults::asking::{Answer, Asking};
use anyhow::{Result, bail};
use everloop_journal::export::verify_text;
use everloop_journal::keys::Jwks;
use std::collections::BTreeMap;

/// What is read of each task: a name, and what stands behind its id in the path.
const READS: &[(&str, &str)] = &[
    ("task get", ""),
    ("events", "/events?limit=1000"),
    ("steps", "/steps"),
    ("export", "/export"),
    ("receipt", "/receipt"),
];

/// All answers about some tasks.
pub(super) struct Truth {
    tasks: Vec<String>,
    answers: BTreeMap<(String, &'static str), String>,
    listed: usize,
    keys: Jwks,
}

/// How what is shown now compares to it.
#[derive(Default)]
pub(super) struct Found {
    /// How often each read had each outcome.
    pub(super) reads: BTreeMap<String, u64>,
    /// What differs, and nobody says so.
    pub(super) untold: Vec<String>,
    told: u64,
    lost: u64,
}

impl Found {
    pub(super) fn verdict(&self) -> &'static str {
        if !self.untold.is_empty() {
            "served as truth"
        } else if self.told > 0 {
            "started, and named what is hit"
        } else if self.lost > 0 {
            "started without the last commits"
        } else {
            "started, and all is as it was"
        }
    }

    fn read(&mut self, name: &str, outcome: &str) {
        *self.reads.entry(format!("{name}: {outcome}")).or_default() += 1;
    }
}

impl Truth {
    pub(super) fn take(asking: &Asking, tasks: Vec<String>) -> Result<Self> {
        let keys = asking.ask("GET", "/.well-known/jwks.json", None);
        let Ok(keys) = Jwks::from_json(&keys.text) else { bail!("the keys can't be read: {}", keys.text) };
        let mut answers = BTreeMap::new();
        for task in &tasks {
            for (name, path) in READS {
                let answer = read(asking, task, path);
                if answer.status != 200 {
                    bail!("{name} of {task} was answered with {} {}", answer.status, answer.text);
                }
                answers.insert((task.clone(), *name), answer.text);
            }
        }
        let listed = list(asking).map_or(0, |tasks| tasks.len());
        Ok(Self { tasks, answers, listed, keys })
    }

    pub(super) fn compare(&self, asking: &Asking) -> Found {
        let mut found = Found::default();
        match list(asking) {
            Ok(tasks) if tasks.len() < self.listed => found.read("task list", "tasks are missing"),
            Ok(_) => found.read("task list", "complete"),
            Err(_) => {
                found.told += 1;
                found.read("task list", "error");
            }
        }
        for task in &self.tasks {
            self.task(asking, task, &mut found);
        }
        found
    }

    fn task(&self, asking: &Asking, task: &str, found: &mut Found) {
        let export = read(asking, task, "/export");
        let verified = export.status == 200 && verify_text(&export.text, Some(&self.keys)).is_ok();
        // Chain and signature are whole and it is another history: the files went back, and the server on from there.
        let earlier = self.answers.get(&(task.to_owned(), "export")) != Some(&export.text);
        for (name, path) in READS {
            let answer = read(asking, task, path);
            let was = self.answers.get(&(task.to_owned(), *name));
            match answer.status {
                200 if was == Some(&answer.text) => found.read(name, "unchanged"),
                200 if verified && earlier => {
                    found.lost += 1;
                    found.read(name, "an earlier state, gone on from there");
                }
                200 => {
                    found.read(name, "differs");
                    let begin = answer.text.chars().take(300).collect::<String>();
                    found.untold.push(format!("{name} of {task}: {begin}"));
                }
                404 => {
                    found.lost += 1;
                    found.read(name, "not found");
                }
                // What is damaged was met after the first page had gone out: whoever reads it sees that it is not whole.
                0 if *name == "export" && answer.text.contains(CUT_OFF) => {
                    found.told += 1;
                    found.read(name, "cut off");
                }
                0 => {
                    found.read(name, "no answer");
                    found.untold.push(format!("{name} of {task}: {}", answer.text));
                }
                status => {
                    found.told += 1;
                    found.read(name, &format!("{status} {}", answer.code()));
                }
            }
        }
    }
}

fn read(asking: &Asking, task: &str, path: &str) -> Answer {
    asking.ask("GET", &format!("/api/v1/tasks/{task}{path}"), None)
}

fn list(asking: &Asking) -> Result<Vec<String>> {
    let answer = asking.ask("GET", "/api/v1/tasks?limit=200&order=oldest", None);
    let json = answer.json();
    match json["items"].as_array() {
        Some(items) if answer.status == 200 => {
            Ok(items.iter().filter_map(|item| item["id"].as_str()).map(str::to_owned).collect())
        }
        _ => bail!("{} {}", answer.status, answer.text),
    }
}
