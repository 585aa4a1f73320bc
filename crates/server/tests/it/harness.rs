//! A server for one test.

use crate::http::{Answer, Wire, request};
use everloop_control::testing::Bench;
use everloop_control::{Control, Options as ControlOptions};
use everloop_server::Options;
use everloop_testkit::clock::FakeClock;
use everloop_testkit::random::Seeded;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// A running server.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) control: Control,
    pub(crate) store: everloop_control::testing::Store,
    pub(crate) clock: Arc<FakeClock>,
    pub(crate) stop: Option<oneshot::Sender<()>>,
    pub(crate) served: Option<tokio::task::JoinHandle<()>>,
    _worker: Option<tokio::task::JoinHandle<()>>,
}

/// What most tests want.
pub(crate) fn options() -> Options {
    Options { stop_timeout: Duration::from_secs(2), ..Options::default() }
}

impl Server {
    /// With a worker.
    pub(crate) async fn start() -> Self {
        Self::start_with(options(), ControlOptions::default(), true).await
    }

    /// Without one: tasks stay in the queue.
    pub(crate) async fn start_idle() -> Self {
        Self::start_with(options(), ControlOptions::default(), false).await
    }

    /// With a worker, or with the word of one that never comes.
    pub(crate) async fn start_with(options: Options, control: ControlOptions, worker: bool) -> Self {
        let server = Self::bare_with(options, control, worker).await;
        if worker {
            while server.get("/api/v1/workers").await.json()["items"].as_array().unwrap().is_empty() {
                tokio::task::yield_now().await;
            }
        } else {
            // The kind has to be known.
            let spec = json!({"name": "absent", "protocol": 1, "kinds": [{"kind": "mock", "versions": [1]}], "max_concurrent_tasks": 1});
            server.post("/api/v1/workers", &spec).await.expect(201);
        }
        server
    }

    /// Without any worker.
    pub(crate) async fn bare(options: Options, control: ControlOptions) -> Self {
        Self::bare_with(options, control, false).await
    }

    #[expect(clippy::disallowed_methods, reason = "a test runs its server and worker beside itself")]
    async fn bare_with(options: Options, control: ControlOptions, worker: bool) -> Self {
        let clock = Arc::new(FakeClock::default());
        let bench = Bench::start(clock.clone(), Arc::new(Seeded::new(1)), control).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let control = bench.control.clone();
        let served = tokio::spawn({
            let control = control.clone();
            async move {
                let stopped = async {
                    let _ = stopped.await;
                };
                everloop_server::serve(listener, control, options, stopped).await.unwrap();
            }
        });
        let worker = worker.then(|| {
            let worker = bench.worker();
            tokio::spawn(async move { worker.work().await.unwrap() })
        });
        Self {
            address,
            control,
            store: bench.store,
            clock,
            stop: Some(stop),
            served: Some(served),
            _worker: worker,
        }
    }

    pub(crate) async fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let mut wire = Wire::open(self.address).await;
        wire.send(&request(method, path, headers, body)).await;
        wire.answer(method == "HEAD").await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, &[], b"").await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call("POST", path, &[], body.to_string().as_bytes()).await
    }

    /// A task that has ended.
    pub(crate) async fn done(&self, input: Value) -> Value {
        let task =
            self.post("/api/v1/tasks?wait=20s", &json!({"kind": "mock", "input": input})).await.expect(201);
        assert!(task["finished_at"].is_string(), "{task}");
        task
    }

    /// A task as it is once it was submitted.
    pub(crate) async fn submit(&self, input: Value) -> String {
        let task = self.post("/api/v1/tasks", &json!({"kind": "mock", "input": input})).await.expect(201);
        task["id"].as_str().unwrap().to_owned()
    }

    /// Waits until a task is in a state.
    pub(crate) async fn until(&self, id: &str, state: &str) -> Value {
        for _ in 0..2_000 {
            let task = self.get(&format!("/api/v1/tasks/{id}")).await.expect(200);
            if task["state"] == state {
                return task;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        panic!("task {id} never came to {state}");
    }

    /// Follows a path with SSE.
    pub(crate) async fn follow(&self, path: &str, headers: &[(&str, &str)]) -> Sse {
        let mut wire = Wire::open(self.address).await;
        let mut all = vec![("Accept", "text/event-stream")];
        all.extend(headers);
        wire.send(&request("GET", path, &all, b"")).await;
        Sse::open(wire).await
    }
}

/// A stream of events.
pub(crate) struct Sse {
    wire: Wire,
    pub(crate) status: u16,
    pub(crate) headers: std::collections::HashMap<String, String>,
    text: String,
}

/// One block of a stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Block {
    pub(crate) id: Option<String>,
    pub(crate) event: Option<String>,
    pub(crate) data: Option<String>,
    pub(crate) comment: Option<String>,
    pub(crate) retry: Option<String>,
}

impl Sse {
    pub(crate) async fn open(mut wire: Wire) -> Self {
        let (status, headers) = wire.head().await;
        Self { wire, status, headers, text: String::new() }
    }

    /// The next block; none when the stream has ended.
    pub(crate) async fn next(&mut self) -> Option<Block> {
        while !self.text.contains("\n\n") {
            let chunk = self.wire.chunk().await?;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
        let (block, rest) = self.text.split_once("\n\n").unwrap();
        let mut read = Block::default();
        for line in block.lines() {
            let (name, value) = line.split_once(": ").unwrap();
            let field = match name {
                "id" => &mut read.id,
                "event" => &mut read.event,
                "data" => &mut read.data,
                "retry" => &mut read.retry,
                "" => &mut read.comment,
                other => panic!("field {other:?}"),
            };
            assert_eq!(field.replace(value.to_owned()), None);
        }
        self.text = rest.to_owned();
        Some(read)
    }

    /// The next block that dispatches an event.
    pub(crate) async fn event(&mut self) -> Option<(String, String, Value)> {
        loop {
            let block = self.next().await?;
            if let (Some(event), Some(data)) = (block.event, block.data) {
                return Some((block.id.unwrap_or_default(), event, serde_json::from_str(&data).unwrap()));
            }
        }
    }

    /// Every event until the stream ends: id and type.
    pub(crate) async fn rest(&mut self) -> Vec<(String, String)> {
        let mut all = Vec::new();
        while let Some((id, event, _)) = self.event().await {
            all.push((id, event));
        }
        all
    }
}
