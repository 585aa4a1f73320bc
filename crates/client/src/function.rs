//! Functions as tasks.

use crate::Client;
use crate::error::ClientError;
use everloop_api::task::TaskRequest;
use everloop_types::json::Json;
use everloop_types::names;
use everloop_types::task::{Policy, TaskSpec};
use everloop_types::worker::KindOffer;
use everloop_worker::child::Child;
use everloop_worker::context::{Context, canonical};
use everloop_worker::executor::{Executor, Stop};
use futures_util::future::BoxFuture;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::sync::Arc;

type Run = dyn Fn(Context) -> BoxFuture<'static, Result<Json, Stop>> + Send + Sync;
type Marker<I, O> = std::marker::PhantomData<fn(I) -> O>;

/// A function that a worker runs as a task of a kind. Cloning is cheap.
pub struct Task<I, O> {
    offer: KindOffer,
    run: Arc<Run>,
    types: Marker<I, O>,
}

impl<I, O> Clone for Task<I, O> {
    fn clone(&self) -> Self {
        Self { offer: self.offer.clone(), run: self.run.clone(), types: self.types }
    }
}

impl<I, O> fmt::Debug for Task<I, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("offer", &self.offer).finish_non_exhaustive()
    }
}

/// Makes a function a task of this kind. Its input and result are what serde makes of them; a step that runs is dropped where it
/// stands when the task is cancelled.
///
/// ```
/// use everloop_client::{Context, Stop, task};
///
/// async fn greet(_context: Context, name: String) -> Result<String, Stop> {
///     Ok(format!("Hello, {name}!"))
/// }
///
/// let greet = task("greet", greet).about("greets somebody");
/// ```
pub fn task<I, O, F, R>(kind: &str, function: F) -> Task<I, O>
where
    I: DeserializeOwned,
    O: Serialize,
    F: Fn(Context, I) -> R + Send + Sync + 'static,
    R: Future<Output = Result<O, Stop>> + Send + 'static,
{
    let function = Arc::new(function);
    let run = move |context: Context| -> BoxFuture<'static, Result<Json, Stop>> {
        let function = function.clone();
        Box::pin(async move {
            let input = context.input_as()?;
            let result = function(context.interrupted(), input).await?;
            canonical(&result)
        })
    };
    Task { offer: KindOffer::new(kind), run: Arc::new(run), types: std::marker::PhantomData }
}

impl<I, O> Task<I, O> {
    /// The version of the function, 1 where nothing is said. Tasks that were submitted for another version are not run by it.
    #[must_use]
    pub fn version(mut self, version: u32) -> Self {
        self.offer.versions = vec![version];
        self
    }

    /// What it does, in one line.
    #[must_use]
    pub fn about(mut self, about: &str) -> Self {
        self.offer.about = Some(about.to_owned());
        self
    }

    /// How its tasks are run where whoever submits them says nothing.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.offer.defaults.policy = policy;
        self
    }

    /// The queue of its tasks where whoever submits them says nothing.
    #[must_use]
    pub fn queue(mut self, queue: &str) -> Self {
        self.offer.defaults.queue = Some(queue.to_owned());
        self
    }

    /// A face that offers it as something of its own: `mcp` makes it a tool there.
    #[must_use]
    pub fn expose(mut self, face: &str) -> Self {
        self.offer.expose.push(face.to_owned());
        self
    }

    /// The JSON Schema of its input. An input that is not of it is refused before a task is made of it.
    #[must_use]
    pub fn input_schema(mut self, schema: Json) -> Self {
        self.offer.input_schema = Some(schema);
        self
    }

    /// The JSON Schema of its result, for those who read it.
    #[must_use]
    pub fn output_schema(mut self, schema: Json) -> Self {
        self.offer.output_schema = Some(schema);
        self
    }

    /// Both schemas, as they follow from the types.
    #[must_use]
    pub fn schemas(self) -> Self
    where
        I: JsonSchema,
        O: JsonSchema,
    {
        let schema = |schema: schemars::Schema| canonical(&schema).unwrap_or_default();
        let (input, output) = (schema(schemars::schema_for!(I)), schema(schemars::schema_for!(O)));
        self.input_schema(input).output_schema(output)
    }

    /// The kind of its tasks.
    pub fn kind(&self) -> &str {
        &self.offer.kind
    }

    /// The version that a task has to ask for.
    fn asked_version(&self) -> Option<u32> {
        self.offer.versions.last().copied().filter(|version| *version != 1)
    }
}

impl<I: Serialize, O: DeserializeOwned> Task<I, O> {
    /// The request that submits a task of it.
    ///
    /// # Errors
    /// If the kind can't be one, or the input has no canonical form.
    pub fn request(&self, input: &I) -> Result<TaskRequest, ClientError> {
        if !names::is_name(self.kind()) {
            let why = "lower-case letters, digits, . _ - and at most 64, the first one a letter or digit";
            return Err(ClientError::Invalid(format!("{:?} can't be a kind of task: {why}", self.kind())));
        }
        let input = canonical(input).map_err(|stop| ClientError::Invalid(format!("input: {stop:?}")))?;
        let kind_version = self.asked_version();
        Ok(TaskRequest { input: Some(input), kind_version, ..TaskRequest::new(self.kind()) })
    }

    /// Starts a task of it as a child of the one that the caller runs in.
    ///
    /// # Errors
    /// See [`Context::start`].
    pub async fn start(&self, context: &Context, input: &I) -> Result<Child, Stop> {
        let spec = TaskSpec { kind_version: self.asked_version(), ..TaskSpec::new(self.kind()) };
        context.start_as(TaskSpec { input: Some(canonical(input)?), ..spec }).await
    }

    /// Starts a task of it as a child of the one that the caller runs in, and waits for its result.
    ///
    /// # Errors
    /// See [`Context::start`] and [`Child::result`].
    pub async fn call(&self, context: &Context, input: &I) -> Result<O, Stop> {
        self.start(context, input).await?.result(context).await
    }
}

impl<I, O> Executor for Task<I, O> {
    fn offer(&self) -> KindOffer {
        self.offer.clone()
    }

    fn about(&self) -> &str {
        self.offer.about.as_deref().unwrap_or("a function")
    }

    fn run(&self, context: Context) -> BoxFuture<'_, Result<Json, Stop>> {
        (self.run)(context)
    }
}

impl Client {
    /// The result of a task once it has ended, however long that takes, and whatever other task goes on for it: `None` where it
    /// has none, because it failed or was cancelled.
    ///
    /// # Errors
    /// The server's refusal; that it can't be reached; that the result is not of the type.
    pub async fn result<T: DeserializeOwned>(&self, task: &str) -> Result<Option<T>, ClientError> {
        let mut task = task.to_owned();
        loop {
            self.finished(&task).await?;
            let output = self.output(&task).await?;
            match output.continued_as {
                Some(next) => task = next.to_string(),
                None => return self.read_result(&task, output.result).await,
            }
        }
    }

    /// A result as a value of a type, fetched where it was put aside.
    pub(crate) async fn read_result<T: DeserializeOwned>(
        &self,
        task: &str,
        result: Option<Json>,
    ) -> Result<Option<T>, ClientError> {
        let Some(result) = result else { return Ok(None) };
        let wrong = |error| crate::http::protocol(task, format!("its result is not of this type: {error}"));
        match everloop_types::blob::BlobName::of(&result) {
            Ok(Some(name)) if name.media_type == everloop_types::blob::VALUE => {
                let bytes = self.blob(&name.id).await?;
                serde_json::from_slice(&bytes).map(Some).map_err(wrong)
            }
            _ => result.parse().map(Some).map_err(wrong),
        }
    }
}
