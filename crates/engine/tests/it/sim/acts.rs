//! What clients do to live tasks, and to those that have ended.

use super::client::Job;
use super::program::Program;
use super::server::Server;
use everloop_control::Caller;
use everloop_control::acts::NewInput;
use everloop_control::tasks::Shown;
use everloop_types::error::{Code, Refusal};
use everloop_types::event::{ApprovalDecision, TaskPatch};
use everloop_types::id::TaskId;
use everloop_types::json::Json;
use everloop_types::state::State;
use futures_util::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;

impl Job {
    pub(super) async fn act(&mut self, shown: &Shown, program: &Program) {
        let task = shown.task();
        for open in &task.open_requests {
            self.answer(task.id, &open.id).await;
        }
        if self.early || task.state == State::Waiting {
            for (name, word) in program.inputs() {
                let id = format!("{}/{word}", task.id);
                if self.sent.insert(id.clone()) {
                    self.input(task.id, id, name, &word).await;
                    break;
                }
            }
        }
        if let (State::Paused, Some(why)) = (task.state, &task.paused) {
            let verdict =
                if why.reason == Code::Nondeterminism.as_str() { Err(format!("{why:?}")) } else { Ok(()) };
            self.rule("a replay follows the journal", verdict);
        }
        if matches!(task.state, State::Paused | State::Pausing) && self.dice.per_mille(700) {
            self.wish("resumes", task.id, &[Code::IllegalTransition], move |server: Arc<Server>| {
                let id = task_of(shown);
                Box::pin(async move { server.control.resume(&Caller::local(true), id).await })
            })
            .await;
        } else if self.pauses && self.dice.per_mille(300) {
            self.pauses = self.dice.per_mille(300);
            self.wish("pauses", task.id, &[Code::IllegalTransition], move |server: Arc<Server>| {
                let id = task_of(shown);
                Box::pin(async move { server.control.pause(&Caller::local(true), id, None).await })
            })
            .await;
        }
        if self.patches && self.dice.per_mille(300) {
            self.patches = false;
            let patch = TaskPatch { description: Some("changed".to_owned()), ..TaskPatch::default() };
            self.wish("changes", task.id, &[Code::IllegalTransition], move |server: Arc<Server>| {
                let (id, patch) = (task_of(shown), patch.clone());
                Box::pin(async move { server.control.patch(&Caller::local(true), id, patch, None).await })
            })
            .await;
        }
        if self.cancels && self.dice.per_mille(200) {
            (self.cancels, self.cancelled) = (false, true);
            self.wish("cancels", task.id, &[Code::IllegalTransition], move |server: Arc<Server>| {
                let id = task_of(shown);
                Box::pin(async move { server.control.cancel(&Caller::local(true), id, None).await })
            })
            .await;
        }
    }

    async fn wish(
        &self,
        what: &str,
        task: TaskId,
        fine: &[Code],
        wish: impl Fn(Arc<Server>) -> BoxFuture<'static, Result<Shown, Refusal>>,
    ) -> bool {
        let answer = self.ask(wish).await;
        self.say(format_args!(
            "{what} {task}: {:?}",
            answer.as_ref().map(|shown| shown.task().state).map_err(|r| r.code)
        ));
        match answer {
            Ok(shown) => {
                self.acknowledged(what, &shown);
                true
            }
            Err(refusal) => {
                if !fine.contains(&refusal.code) {
                    self.unexplained(what, &refusal);
                }
                false
            }
        }
    }

    async fn input(&self, task: TaskId, id: String, name: String, word: &str) {
        let data = everloop_journal::canonical::to_canonical(word).unwrap();
        let new = NewInput { name, data, id: Some(id.clone()) };
        let taken = self
            .wish("sends an input to", task, &[Code::IllegalTransition], move |server: Arc<Server>| {
                let new = new.clone();
                Box::pin(async move {
                    server.control.input(&Caller::local(true), task, new).await.map(|(_, shown)| shown)
                })
            })
            .await;
        if taken {
            self.world.oracle().input_taken(task, &id);
        }
    }

    async fn answer(&mut self, task: TaskId, request: &str) {
        // A question of the program's is called q1, q2, …; any other is about a step that was cut off.
        let decision = if request.starts_with('q') {
            "yes"
        } else {
            *self.dice.pick(&["happened", "happened", "rerun", "rerun", "fail"])
        };
        self.happened |= decision == "happened";
        self.gave_up |= decision == "fail";
        let step = request.split(['#']).next().unwrap_or_default();
        let step = step.rsplit('/').next().unwrap_or_default();
        let result = Json::from_canonical(format!("\"{step}\"")).unwrap();
        let answer = ApprovalDecision {
            decision: decision.to_owned(),
            id: request.to_owned(),
            note: None,
            result: Some(result),
        };
        let fine = [Code::AlreadyDecided, Code::NotFound, Code::IllegalTransition];
        let counts = self
            .wish("answers", task, &fine, move |server: Arc<Server>| {
                let answer = answer.clone();
                Box::pin(async move { server.control.decide(&Caller::local(true), task, answer).await })
            })
            .await;
        if counts {
            self.world.oracle().answered(task, request, decision);
        }
    }

    pub(super) async fn delete(&self, task: TaskId) {
        for _ in 0..200 {
            let deleted = self
                .ask(move |server: Arc<Server>| -> BoxFuture<'static, _> {
                    Box::pin(async move { server.control.delete(&Caller::local(true), task).await })
                })
                .await;
            self.say(format_args!("deletes {task}: {:?}", deleted.as_ref().map_err(|refusal| refusal.code)));
            match deleted {
                // Deleted by an earlier request, whose answer was lost.
                Ok(()) => break,
                Err(refusal) if refusal.code == Code::NotFound => break,
                // Others are still being told of its end.
                Err(refusal) if refusal.code == Code::IllegalTransition => {
                    tokio::time::sleep(Duration::from_secs(10)).await;
                }
                Err(refusal) => return self.unexplained("a deletion", &refusal),
            }
        }
    }
}

fn task_of(shown: &Shown) -> TaskId {
    shown.task().id
}
