//! A gateway, an emulator behind it, and a client before it.

use crate::provider::Provider;
use bytes::Bytes;
use chutes_emulator::{
    AccountSpec, Control, Emulator, KeyKind, LogEntry, ModelSpec, PlanSpec, Running, Scenario,
};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use ripcord_client::endpoints::{BaseUrl, Endpoints, PlainHttp, Service};
use ripcord_client::key::Key;
use ripcord_client::transport::{Body, Target, Transport, TransportLimits, TransportSettings};
use ripcord_gateway::{
    AccountConfig, AdminToken, Config, Gateway, Limits, RoutingConfig, WatchConfig,
};
use ripcord_rules::admit::PaceRule;
use ripcord_rules::events::WatchSettings;
use ripcord_rules::quota::BookSettings;
use ripcord_rules::quota::{Paygo, SpendingPolicy, WhenUnknown};
use ripcord_store::{Ledger as _, MemoryCoordination, MemoryLedger, RequestStory};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// The ways in which a stream breaks after part of its answer.
pub(crate) const BREAKS: [chutes_emulator::FaultKind; 8] = [
    chutes_emulator::FaultKind::Cut,
    chutes_emulator::FaultKind::Reset,
    chutes_emulator::FaultKind::BareJsonError,
    chutes_emulator::FaultKind::ErrorMidStream,
    chutes_emulator::FaultKind::EndsEarly,
    chutes_emulator::FaultKind::MalformedEvent,
    chutes_emulator::FaultKind::Restart,
    chutes_emulator::FaultKind::Stall,
];

pub(crate) const MODEL: &str = "acme/Writer-9-TEE";
pub(crate) const OTHER_MODEL: &str = "acme/Sketch-2";

/// What a test may change before the world starts.
pub(crate) struct Plan {
    pub(crate) scenario: Scenario,
    pub(crate) limits: Limits,
    pub(crate) listen: SocketAddr,
    pub(crate) admin_token: Option<AdminToken>,
    pub(crate) routing: RoutingConfig,
    pub(crate) accounts: Vec<AccountConfig>,
    pub(crate) allowed_origins: Vec<String>,
    pub(crate) waits_for_figures: bool,
    pub(crate) watched_models: Vec<String>,
    /// Another address for inference than the emulator's.
    pub(crate) llm_url: Option<String>,
    /// Stands before the emulator: plays inference, and passes everything else on.
    pub(crate) provider: Option<Provider>,
    pub(crate) read_every: Duration,
    pub(crate) book: BookSettings,
    /// What is remembered of an earlier gateway, client keys included.
    pub(crate) ledger: Arc<MemoryLedger>,
}

pub(crate) struct World {
    pub(crate) emulator: Running,
    pub(crate) gateway: Option<Gateway>,
    pub(crate) address: SocketAddr,
    pub(crate) ledger: Arc<MemoryLedger>,
    pub(crate) provider: Option<Provider>,
    transport: Transport,
    target: Target,
    upstream: Target,
}

/// A whole answer.
pub(crate) struct Answered {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Plan {
    /// One Pro account with room, and two models.
    pub(crate) fn new() -> Self {
        let mut scenario = Scenario::empty()
            .lag(chutes_emulator::Lag::none())
            .account(
                AccountSpec::new("first", PlanSpec::Pro).keys(&[KeyKind::Admin, KeyKind::Admin]),
            )
            .model(ModelSpec::new(MODEL).price(0.2, 0.8, 0.1).pace(0, 0.0).tokens(10, 12))
            .model(ModelSpec::new(OTHER_MODEL).price(0.1, 0.4, 0.1).pace(0, 0.0));
        // Two hours into a window, so that none turns while a test runs. The gateway learns the time from the server.
        scenario.starts_at = Some(format!("{}T10:00:00", today()));
        let limits = Limits {
            stall: Duration::from_millis(400),
            first_token: Duration::from_millis(800),
            plain_answer: Duration::from_secs(5),
            body_timeout: Duration::from_millis(400),
            header_timeout: Duration::from_millis(600),
            drain: Duration::from_secs(5),
            // Tests send more in a second than Chutes bears in a minute.
            pace: PaceRule::Off,
            ..Limits::default()
        };
        Self {
            scenario,
            limits,
            listen: "127.0.0.1:0".parse().unwrap(),
            admin_token: None,
            routing: RoutingConfig::default(),
            accounts: vec![account("first", &[0])],
            allowed_origins: Vec::new(),
            waits_for_figures: true,
            watched_models: Vec::new(),
            llm_url: None,
            provider: None,
            read_every: Duration::from_secs(300),
            book: BookSettings::default(),
            ledger: Arc::default(),
        }
    }

    /// A second Pro account.
    pub(crate) fn and_second(mut self) -> Self {
        self.scenario = self.scenario.account(AccountSpec::new("second", PlanSpec::Pro));
        self.accounts.push(account("second", &[0]));
        self
    }

    pub(crate) async fn start(self) -> World {
        let emulator = Emulator::start(self.scenario).await.unwrap();
        let url = emulator.url();
        let provider = self.provider;
        if let Some(provider) = &provider {
            provider.stands_before(emulator.address());
        }
        let llm_url = self.llm_url.as_ref().or(provider.as_ref().map(|one| &one.url));
        let config = Config {
            listen: self.listen,
            admin_token: self.admin_token,
            endpoints: Endpoints::from_urls(
                Some(&url),
                Some(llm_url.unwrap_or(&url)),
                None,
                PlainHttp::LoopbackOnly,
            )
            .unwrap(),
            accounts: self.accounts,
            limits: self.limits,
            allowed_hosts: Vec::new(),
            allowed_origins: self.allowed_origins,
            quota_refresh_interval: self.read_every,
            book: self.book,
            watch: WatchConfig {
                settings: WatchSettings { steady: Duration::ZERO, ..WatchSettings::default() },
                models: self.watched_models,
                models_refresh_interval: Duration::from_millis(20),
            },
            routing: self.routing,
        };
        let ledger = self.ledger;
        // Providers have none.
        let with_figures = config.accounts.len();
        let gateway =
            Gateway::start(config, ledger.clone(), &MemoryCoordination::default()).await.unwrap();
        let address = gateway.address();
        let transport = Transport::new(TransportSettings::default());
        let base =
            BaseUrl::parse(Service::Llm, &format!("http://{address}"), PlainHttp::LoopbackOnly)
                .unwrap();
        let target = transport.target(&base).unwrap();
        let upstream = BaseUrl::parse(Service::Llm, &url, PlainHttp::LoopbackOnly).unwrap();
        let upstream = transport.target(&upstream).unwrap();
        let world = World {
            emulator,
            gateway: Some(gateway),
            address,
            ledger,
            provider,
            transport,
            target,
            upstream,
        };
        if !self.waits_for_figures {
            return world;
        }
        world
            .wait_for("first figures", || async {
                let status = world.status_report().await;
                status["accounts"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .take(with_figures)
                    .all(|account| account["figures"] != "not_read_yet")
                    && (self.llm_url.is_some() || !status["models_listed"].is_null())
            })
            .await;
        world
    }
}

pub(crate) fn today() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let now = i64::try_from(since.as_micros()).unwrap();
    ripcord_wire::time::format_timestamp(now)[..10].to_owned()
}

pub(crate) fn account(name: &str, keys: &[usize]) -> AccountConfig {
    AccountConfig {
        label: name.to_owned(),
        keys: keys
            .iter()
            .map(|&index| Key::parse(&Scenario::key(name, index)).unwrap().0)
            .collect(),
        paygo: Paygo::ByPlan,
        when_unknown: WhenUnknown::Allow,
        spending: SpendingPolicy::default(),
    }
}

pub(crate) fn chat(model: &str) -> Value {
    json!({ "model": model, "messages": [{ "role": "user", "content": "Say something." }] })
}

pub(crate) fn streamed(model: &str) -> Value {
    json!({ "model": model, "messages": [{ "role": "user", "content": "Say something." }], "stream": true })
}

impl World {
    pub(crate) async fn start() -> Self {
        Plan::new().start().await
    }

    pub(crate) fn control(&self) -> Control {
        self.emulator.control()
    }

    pub(crate) fn gateway(&self) -> &Gateway {
        self.gateway.as_ref().unwrap()
    }

    /// The inference calls that the upstream saw, in order.
    pub(crate) fn upstream_calls(&self) -> Vec<LogEntry> {
        self.control()
            .log()
            .into_iter()
            .filter(|entry| entry.method == "POST" && entry.path.starts_with("/v1/"))
            .collect()
    }

    pub(crate) async fn open(&self, request: Request<Bytes>) -> Response<Body> {
        self.transport.send(&self.target, request).await.unwrap()
    }

    pub(crate) async fn send(&self, request: Request<Bytes>) -> Answered {
        Answered::of(self.open(request).await).await
    }

    /// As [`Self::send`], for whoever waits in the queue as long as it takes.
    pub(crate) async fn send_patiently(&self, request: Request<Bytes>) -> Answered {
        Answered::of(self.open_patiently(request).await).await
    }

    /// As [`Self::open`], for whoever waits in the queue as long as it takes.
    pub(crate) async fn open_patiently(&self, request: Request<Bytes>) -> Response<Body> {
        let hour = Duration::from_secs(3_600);
        let limits = TransportLimits { first_byte: hour, idle: hour, ..TransportLimits::default() };
        self.transport.send_with(&self.target, request, limits).await.unwrap()
    }

    /// Past the gateway.
    pub(crate) async fn send_upstream(&self, request: Request<Bytes>) -> Answered {
        Answered::of(self.transport.send(&self.upstream, request).await.unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<Bytes>) -> Answered {
        self.send(post(path, body)).await
    }

    pub(crate) async fn chat(&self, body: &Value) -> Answered {
        self.post("/v1/chat/completions", body.to_string()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answered {
        self.send(Request::get(path).body(Bytes::new()).unwrap()).await
    }

    pub(crate) async fn status_report(&self) -> Value {
        self.get("/-/status").await.json()
    }

    /// Polls until `condition` holds; fails loudly after five seconds.
    pub(crate) async fn wait_for<F: Future<Output = bool>>(
        &self,
        what: &str,
        condition: impl Fn() -> F,
    ) {
        let polled = async {
            while !condition().await {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), polled)
            .await
            .unwrap_or_else(|_| panic!("never: {what}"));
    }

    /// No slot, place in the queue or upstream call is left; the emulator agrees.
    pub(crate) async fn wait_until_idle(&self) {
        self.wait_for("everything given back", || async {
            let gateway = self.gateway();
            let upstream = self.control().accounts().iter().all(|account| account.in_flight == 0);
            let provider = self.provider.as_ref().is_none_or(Provider::is_idle);
            gateway.slots_in_use() == 0 && gateway.queued() == 0 && upstream && provider
        })
        .await;
    }

    /// The story of the newest request, once it is written.
    pub(crate) async fn story(&self, answered: &Answered) -> RequestStory {
        let id = answered.header("x-ripcord-request-id").to_owned();
        self.story_of(&id).await
    }

    pub(crate) async fn story_of(&self, id: &str) -> RequestStory {
        self.wait_for("the request's row", || async {
            self.ledger.request(id).unwrap().is_some_and(|story| story.request.is_some())
        })
        .await;
        self.ledger.request(id).unwrap().unwrap()
    }
}

pub(crate) fn post(path: &str, body: impl Into<Bytes>) -> Request<Bytes> {
    Request::post(path).header("content-type", "application/json").body(body.into()).unwrap()
}

impl Answered {
    async fn of(answer: Response<Body>) -> Self {
        let (head, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Self { status: head.status, headers: head.headers, body }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Status, code, and whether an SDK should try again.
    pub(crate) fn refusal(&self) -> (u16, String, &str) {
        let code = self.json()["error"]["code"].as_str().unwrap_or("").to_owned();
        (self.status.as_u16(), code, self.header("x-should-retry"))
    }

    /// The data of a stream's events.
    pub(crate) fn events(&self) -> Vec<String> {
        let mut reader = ripcord_wire::sse::EventReader::new(1 << 20);
        let mut events = Vec::new();
        let mut take = |event: ripcord_wire::sse::Event<'_>| match event {
            ripcord_wire::sse::Event::Data(data) => {
                events.push(String::from_utf8(data.to_vec()).unwrap())
            }
            ripcord_wire::sse::Event::Stray(line) => {
                panic!("stray line: {}", String::from_utf8_lossy(line))
            }
            ripcord_wire::sse::Event::Comment(_) | ripcord_wire::sse::Event::Field { .. } => {}
        };
        reader.feed(&self.body, &mut take).unwrap();
        reader.finish(&mut take).unwrap();
        events
    }

    /// The text of a stream.
    pub(crate) fn streamed_text(&self) -> String {
        self.events()
            .iter()
            .filter_map(|data| serde_json::from_str::<Value>(data).ok())
            .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str().map(str::to_owned))
            .collect()
    }

    /// A stream that broke says so, and never looks finished.
    pub(crate) fn assert_broken_stream(&self) {
        let events = self.events();
        let last: Value = serde_json::from_str(events.last().unwrap()).unwrap();
        assert_eq!(last["error"]["code"], "stream_broken", "{}", self.text());
        assert!(!events.iter().any(|data| data == "[DONE]"), "{}", self.text());
        assert!(!self.text().contains(r#""finish_reason":"stop""#), "{}", self.text());
    }

    pub(crate) fn assert_whole_stream(&self) {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text());
        let events = self.events();
        assert_eq!(events.last().map(String::as_str), Some("[DONE]"), "{}", self.text());
        assert!(self.text().contains(r#""finish_reason":"stop""#), "{}", self.text());
        assert!(!self.streamed_text().is_empty());
    }
}
