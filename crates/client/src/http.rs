//! Requests, and which of them are repeated.

use crate::error::{ClientError, Failed};
use bytes::Bytes;
use everloop_api::problem::{MEDIA_TYPE, Problem};
use everloop_types::id::IdGenerator;
use everloop_types::random::Random;
use everloop_types::retry::RetryPolicy;
use everloop_types::time::Clock;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Method, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::Notify;
use url::Url;

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(5);
/// How long an answer may take beyond what the request itself waits for.
const ANSWER: Duration = Duration::from_secs(30);
/// The longest time that a server is waited for because it says so.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);

/// How a client is set up.
#[derive(Clone)]
pub struct ClientOptions {
    /// The server's address: `http://127.0.0.1:7420`.
    pub url: String,
    /// The API key that is shown.
    pub api_key: Option<String>,
    /// How often a request that may be repeated is sent, and how far apart.
    pub retry: RetryPolicy,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness, for idempotency keys and the distance between tries.
    pub random: Arc<dyn Random>,
}

impl fmt::Debug for ClientOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientOptions")
            .field("url", &self.url)
            .field("retry", &self.retry)
            .finish_non_exhaustive()
    }
}

impl ClientOptions {
    /// With the retries that suit a person who waits: five tries within some seconds.
    pub fn new(url: impl Into<String>, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        let retry = RetryPolicy { initial_ms: 100, max_ms: 3_000, max_tries: 5 };
        Self { url: url.into(), api_key: None, retry, clock, random }
    }
}

/// Where the server is, and the key to show there.
#[derive(Clone)]
struct Point {
    url: String,
    api_key: Option<String>,
}

/// Speaks to one server. Cloning is cheap.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    point: RwLock<Point>,
    /// Told when nobody answers.
    unreachable: Notify,
    http: reqwest::Client,
    options: ClientOptions,
    ids: IdGenerator,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({})", self.url())
    }
}

/// One request.
pub(crate) struct Call {
    method: Method,
    path: String,
    query: Vec<(&'static str, String)>,
    headers: HeaderMap,
    body: Option<(Bytes, String)>,
    /// Whether sending it twice does no more than sending it once.
    repeatable: bool,
    /// How long the server was asked to hold it.
    wait: Duration,
    /// Whether the answer is a stream that may last.
    streaming: bool,
    /// Whether an answer is passed on whatever its status, unless it is a problem of ours.
    passing: bool,
}

impl Call {
    pub(crate) fn new(method: Method, path: impl Into<String>) -> Self {
        let repeatable = method == Method::GET || method == Method::HEAD;
        Self {
            method,
            path: path.into(),
            query: Vec::new(),
            headers: HeaderMap::new(),
            body: None,
            repeatable,
            wait: Duration::ZERO,
            streaming: false,
            passing: false,
        }
    }

    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    pub(crate) fn post(path: impl Into<String>) -> Self {
        Self::new(Method::POST, path)
    }

    pub(crate) fn query(mut self, name: &'static str, value: impl ToString) -> Self {
        self.query.push((name, value.to_string()));
        self
    }

    pub(crate) fn maybe(self, name: &'static str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.query(name, value),
            None => self,
        }
    }

    pub(crate) fn json(mut self, body: &impl Serialize) -> Result<Self, ClientError> {
        let text = serde_json::to_vec(body).map_err(|error| ClientError::Invalid(error.to_string()))?;
        self.body = Some((text.into(), "application/json".to_owned()));
        Ok(self)
    }

    pub(crate) fn bytes(mut self, body: Bytes, media_type: &str) -> Self {
        self.body = Some((body, media_type.to_owned()));
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Result<Self, ClientError> {
        let value = HeaderValue::from_str(value)
            .map_err(|_| ClientError::Invalid(format!("{value:?} can't stand in the header {name}")))?;
        self.headers.insert(name, value);
        Ok(self)
    }

    /// Says that sending it twice does no more than sending it once.
    pub(crate) fn repeatable(mut self) -> Self {
        self.repeatable = true;
        self
    }

    /// Asks the server to hold the request for so long.
    pub(crate) fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        match (wait.is_zero(), wait.subsec_millis()) {
            (true, _) => self,
            (false, 0) => self.query("wait", format!("{}s", wait.as_secs())),
            (false, _) => self.query("wait", format!("{}ms", wait.as_millis())),
        }
    }

    pub(crate) fn passing(mut self) -> Self {
        self.passing = true;
        self
    }

    pub(crate) fn streaming(mut self) -> Self {
        self.streaming = true;
        self
    }
}

impl Client {
    /// A client of the server at this address. Nothing is sent.
    ///
    /// # Errors
    /// If that is no address of a server.
    pub fn new(options: ClientOptions) -> Result<Self, ClientError> {
        let invalid = |why: &str| {
            ClientError::Invalid(format!("{:?} is not the address of a server: {why}", options.url))
        };
        let base = Url::parse(&options.url).map_err(|error| invalid(&error.to_string()))?;
        if !matches!(base.scheme(), "http" | "https") || base.host().is_none() {
            return Err(invalid("it looks like http://127.0.0.1:7420"));
        }
        let http = with_tls(base.scheme() == "https")
            .connect_timeout(CONNECT)
            .user_agent(concat!("everloop/", env!("CARGO_PKG_VERSION")))
            // A server of ours sends nobody elsewhere.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(|error| invalid(&error.to_string()))?;
        let url = base.as_str().trim_end_matches('/').to_owned();
        let point = RwLock::new(Point { url, api_key: options.api_key.clone() });
        let (unreachable, ids) = (Notify::new(), IdGenerator::default());
        Ok(Self { shared: Arc::new(Shared { point, unreachable, http, options, ids }) })
    }

    /// The server's address.
    pub fn url(&self) -> String {
        self.point().url
    }

    fn point(&self) -> Point {
        self.shared.point.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Speaks to another server from now on: the one that has the data folder of the last one.
    pub(crate) fn point_to(&self, url: String, api_key: Option<String>) {
        *self.shared.point.write().unwrap_or_else(PoisonError::into_inner) = Point { url, api_key };
    }

    /// Waits until nobody has answered a request.
    pub(crate) async fn unreachable(&self) {
        self.shared.unreachable.notified().await;
    }

    pub(crate) fn options(&self) -> &ClientOptions {
        &self.shared.options
    }

    /// A key that names one request, however often it is sent.
    pub fn request_key(&self) -> String {
        let options = self.options();
        let bytes = self.shared.ids.next(options.clock.now(), options.random.as_ref());
        everloop_types::id::RequestId(bytes).to_string()
    }

    /// Sends a request, again and again where that may help, and reads the answer.
    pub(crate) async fn read<T: DeserializeOwned>(&self, call: Call) -> Result<T, ClientError> {
        self.read_with_status(call).await.map(|(_, answer)| answer)
    }

    pub(crate) async fn read_with_status<T: DeserializeOwned>(
        &self,
        call: Call,
    ) -> Result<(StatusCode, T), ClientError> {
        let place = self.place(&call);
        let (status, bytes) = self.send(call).await?;
        let answer = crate::lenient::read(&bytes).map_err(|error| protocol(&place, error))?;
        Ok((status, answer))
    }

    /// Sends a request whose answer isn't needed.
    pub(crate) async fn done(&self, call: Call) -> Result<(), ClientError> {
        self.send(call).await.map(|_| ())
    }

    /// Sends a request and gives the bytes of the answer.
    pub(crate) async fn send(&self, call: Call) -> Result<(StatusCode, Bytes), ClientError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let failed = match self.once(&call).await {
                Ok(answer) => match self.whole(&call, answer).await {
                    Ok(answer) => return Ok(answer),
                    Err(failed) => failed,
                },
                Err(failed) => failed,
            };
            let Some(delay) = self.delay(&call, &failed, tries) else { return Err(failed.error) };
            tokio::time::sleep(delay).await;
        }
    }

    /// Sends a request and gives the answer as it begins.
    pub(crate) async fn open(&self, call: &Call) -> Result<Response, ClientError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let failed = match self.once(call).await {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            let Some(delay) = self.delay(call, &failed, tries) else { return Err(failed.error) };
            tokio::time::sleep(delay).await;
        }
    }

    /// How long to wait before the next try, where there is one.
    fn delay(&self, call: &Call, failed: &Failed, tries: u32) -> Option<Duration> {
        let options = self.options();
        if !call.repeatable || !failed.is_transient || tries >= options.retry.max_tries {
            return None;
        }
        let own = options.retry.delay(tries, options.random.as_ref());
        Some(own.max(failed.retry_after.unwrap_or_default().min(RETRY_AFTER_MAX)))
    }

    pub(crate) fn place(&self, call: &Call) -> String {
        format!("{}{}", self.url(), call.path)
    }

    async fn once(&self, call: &Call) -> Result<Response, Failed> {
        let point = self.point();
        let place = format!("{}{}", point.url, call.path);
        let mut url = Url::parse(&place).map_err(|error| Failed {
            error: ClientError::Invalid(format!("{place}: {error}")),
            is_transient: false,
            retry_after: None,
        })?;
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
        }
        let mut request = self.shared.http.request(call.method.clone(), url).headers(call.headers.clone());
        if !call.headers.contains_key(ACCEPT) {
            request = request.header(ACCEPT, "application/json");
        }
        if let Some(key) = &point.api_key {
            request = request.bearer_auth(key);
        }
        if let Some((body, media_type)) = &call.body {
            request = request.header(CONTENT_TYPE, media_type).body(body.clone());
        }
        if !call.streaming {
            request = request.timeout(ANSWER + call.wait);
        }
        let answer = request.send().await.map_err(|error| self.network(&error))?;
        let passes = call.passing && !is_problem(&answer);
        if answer.status().is_success() || answer.status() == StatusCode::NOT_MODIFIED || passes {
            return Ok(answer);
        }
        Err(self.refusal(&place, answer).await)
    }

    async fn whole(&self, call: &Call, answer: Response) -> Result<(StatusCode, Bytes), Failed> {
        let status = answer.status();
        let bytes = answer.bytes().await.map_err(|error| {
            // The request was heard: only the answer is lost.
            let error = ClientError::Protocol { url: self.place(call), reason: root_cause(&error) };
            Failed { error, is_transient: true, retry_after: None }
        })?;
        Ok((status, bytes))
    }

    fn network(&self, error: &reqwest::Error) -> Failed {
        let reason =
            if error.is_timeout() { "it did not answer in time".to_owned() } else { root_cause(error) };
        let error = ClientError::Unreachable { url: self.url(), reason };
        self.shared.unreachable.notify_waiters();
        Failed { error, is_transient: true, retry_after: None }
    }

    async fn refusal(&self, place: &str, answer: Response) -> Failed {
        let status = answer.status();
        let retry_after = answer
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.parse().ok())
            .map(Duration::from_secs);
        let is_problem = is_problem(&answer);
        let is_transient = matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::BAD_GATEWAY
                | StatusCode::GATEWAY_TIMEOUT
        );
        let body = answer.bytes().await.unwrap_or_default();
        let problem = if is_problem { serde_json::from_slice::<Problem>(&body).ok() } else { None };
        let error = match problem {
            Some(problem) => ClientError::Refused(Box::new(problem)),
            None => ClientError::Protocol {
                url: place.to_owned(),
                reason: format!("status {status} without a problem"),
            },
        };
        Failed { error, is_transient, retry_after }
    }
}

fn is_problem(answer: &Response) -> bool {
    let kind = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with(MEDIA_TYPE))
}

/// A builder that knows how to speak TLS where that is needed. Where it is not, the machine's certificates are not read: that
/// takes longer than a whole request to a server on this machine.
fn with_tls(is_needed: bool) -> reqwest::ClientBuilder {
    // A second call changes nothing: the first provider stays.
    let _ = rustls::crypto::CryptoProvider::install_default(rustls::crypto::ring::default_provider());
    let builder = reqwest::Client::builder();
    if is_needed {
        return builder;
    }
    let none = rustls::ClientConfig::builder().with_root_certificates(rustls::RootCertStore::empty());
    builder.tls_backend_preconfigured(none.with_no_client_auth())
}

pub(crate) fn protocol(place: &str, reason: impl fmt::Display) -> ClientError {
    ClientError::Protocol { url: place.to_owned(), reason: reason.to_string() }
}

/// What the innermost error says: the layers above only say that something went wrong.
pub(crate) fn root_cause(error: &dyn std::error::Error) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    let text = inner.to_string();
    // "Connection refused (os error 111)": the number helps nobody.
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

/// A segment of a path, so that a key with a slash stays one segment.
pub(crate) fn segment(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' => {
                out.push(byte as char)
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_key_stays_one_segment() {
        assert_eq!(super::segment("key:a/b ä"), "key:a%2Fb%20%C3%A4");
    }
}
