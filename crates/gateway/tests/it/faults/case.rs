//! One situation: what Chutes or another provider does, what the client gets for it, and what the upstream sees.

use crate::provider::{Asked, Provider, Script};
use crate::world::{Answered, MODEL, OTHER_MODEL, Plan, World, account, chat, post, streamed};
use chutes_emulator::{AccountSpec, PlanSpec};
use ripcord_gateway::RoutingConfig;
use ripcord_store::Ledger as _;
use serde_json::Value;
use std::time::Duration;

use super::answers::{PART_WORDS, text};
use super::client::Client;
use super::upstream::{Call, Step, Upstream};

/// A situation with what is expected of it.
pub(crate) struct Case {
    pub(crate) situation: &'static str,
    plan: Vec<fn(&mut Plan)>,
    accounts: usize,
    director: Option<fn(&Asked) -> Script>,
    routes: Option<fn(&str) -> RoutingConfig>,
    before: Option<fn(&World)>,
    /// Whether the gateway has read the lists of models before. It does when somebody asks.
    knows_the_lists: bool,
    body: fn(&mut Value),
    headers: Vec<(&'static str, &'static str)>,
    pub(crate) expected: Vec<Expected>,
    also: Option<fn(&Outcome)>,
}

/// A row of the table.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) situation: String,
    pub(crate) streams: bool,
    pub(crate) client: String,
    pub(crate) upstream: String,
}

/// What is expected of one way to ask.
pub(crate) struct Expected {
    pub(crate) streams: bool,
    pub(crate) client: Client,
    pub(crate) upstream: Upstream,
}

/// What came of one request.
pub(crate) struct Outcome {
    pub(crate) streams: bool,
    pub(crate) answered: Answered,
    pub(crate) calls: Vec<Call>,
    pub(crate) world: World,
}

/// No case takes as long.
const PATIENCE: Duration = Duration::from_secs(20);

// === impl Case ===

impl Case {
    pub(crate) fn new(situation: &'static str) -> Self {
        Self {
            situation,
            plan: Vec::new(),
            accounts: 1,
            director: None,
            routes: None,
            before: None,
            knows_the_lists: false,
            body: |_| {},
            headers: Vec::new(),
            expected: Vec::new(),
            also: None,
        }
    }

    /// What each request upstream gets. Without it the emulator answers.
    pub(crate) fn plays(mut self, director: fn(&Asked) -> Script) -> Self {
        self.director = Some(director);
        self
    }

    /// Who else may serve, told the address of the provider that plays.
    pub(crate) fn routes(mut self, routes: fn(&str) -> RoutingConfig) -> Self {
        self.routes = Some(routes);
        self
    }

    /// What is done to the emulator before the request.
    pub(crate) fn before(mut self, before: fn(&World)) -> Self {
        self.before = Some(before);
        self
    }

    /// After a request for another model, and a look at the lists.
    pub(crate) fn knows_the_lists(mut self) -> Self {
        self.knows_the_lists = true;
        self
    }

    /// So many accounts: `first`, `second`, `third`.
    pub(crate) fn accounts(mut self, count: usize) -> Self {
        self.accounts = count;
        self
    }

    pub(crate) fn plan(mut self, change: fn(&mut Plan)) -> Self {
        self.plan.push(change);
        self
    }

    /// Changes the request's body.
    pub(crate) fn body(mut self, change: fn(&mut Value)) -> Self {
        self.body = change;
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    /// What is expected of a plain call.
    pub(crate) fn plain(self, client: Client, steps: &[Step]) -> Self {
        self.expects(false, client, Upstream::Steps(steps.to_vec()))
    }

    /// What is expected of a stream.
    pub(crate) fn stream(self, client: Client, steps: &[Step]) -> Self {
        self.expects(true, client, Upstream::Steps(steps.to_vec()))
    }

    /// What is expected of both.
    pub(crate) fn both(self, client: Client, steps: &[Step]) -> Self {
        self.plain(client.clone(), steps).stream(client, steps)
    }

    pub(crate) fn expects(mut self, streams: bool, client: Client, upstream: Upstream) -> Self {
        self.expected.push(Expected { streams, client, upstream });
        self
    }

    /// What else has to hold.
    pub(crate) fn also(mut self, also: fn(&Outcome)) -> Self {
        self.also = Some(also);
        self
    }

    /// Its rows of the table.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let row = |expected: &Expected| Row {
            situation: self.situation.to_owned(),
            streams: expected.streams,
            client: expected.client.words(),
            upstream: expected.upstream.words(),
        };
        self.expected.iter().map(row).collect()
    }

    /// Runs it in every way and compares.
    pub(crate) async fn check(self) {
        for expected in &self.expected {
            let outcome = tokio::time::timeout(PATIENCE, self.run(expected.streams)).await;
            let outcome = outcome.unwrap_or_else(|_| panic!("{}: hangs", self.situation));
            let got = Client::of(&outcome.answered, outcome.streams);
            let shown = || {
                format!(
                    "{}, stream: {}\nclient {got:?}\nupstream {:#?}\n{}",
                    self.situation,
                    expected.streams,
                    outcome.calls,
                    String::from_utf8_lossy(&outcome.answered.body)
                )
            };
            assert!(expected.client.fits(&got), "expected {:?}\n{}", expected.client, shown());
            if let Err(why) = expected.upstream.fits(&outcome.calls) {
                panic!("{why}\n{}", shown());
            }
            if let Some(also) = self.also {
                also(&outcome);
            }
        }
    }

    async fn run(&self, streams: bool) -> Outcome {
        let mut plan = Plan::new();
        // Far longer than anything here takes; where time is the point, the case says how much.
        plan.limits.stall = Duration::from_secs(10);
        plan.limits.first_token = Duration::from_secs(10);
        plan.limits.plain_answer = Duration::from_secs(10);
        for model in &mut plan.scenario.models {
            *model = model.clone().numbered().tokens(100, super::answers::WORDS as u64);
        }
        for name in ["second", "third"].iter().take(self.accounts.saturating_sub(1)) {
            plan.scenario = plan.scenario.account(AccountSpec::new(name, PlanSpec::Pro));
            plan.accounts.push(account(name, &[0]));
        }
        for change in &self.plan {
            change(&mut plan);
        }
        if let Some(director) = self.director {
            let provider = Provider::start(director).await;
            if let Some(routes) = self.routes {
                plan.routing = routes(&provider.url);
            }
            plan.provider = Some(provider);
        }
        let world = plan.start().await;
        if let Some(before) = self.before {
            before(&world);
        }
        let earlier = if self.knows_the_lists { read_lists(&world).await } else { 0 };
        let mut body = if streams { streamed(MODEL) } else { chat(MODEL) };
        (self.body)(&mut body);
        let mut request = post("/v1/chat/completions", body.to_string());
        for (name, value) in &self.headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let answered = world.send_patiently(request).await;
        world.wait_until_idle().await;
        let calls = Call::all(&world).split_off(earlier);
        Outcome { streams, answered, calls, world }
    }
}

/// Lets the gateway read the lists of models, and says how many calls that took.
async fn read_lists(world: &World) -> usize {
    assert_eq!(world.chat(&chat(OTHER_MODEL)).await.status, 200);
    let are_read = || async {
        let log = world.control().log();
        let reads = |path: &str| {
            log.iter().filter(|entry| entry.path.starts_with(path) && entry.ended.is_some()).count()
        };
        reads("/chutes/utilization") > 0 && reads("/chutes/?") > 0
    };
    world.wait_for("the lists", are_read).await;
    // What was sent has arrived a moment later; a status report is answered after that.
    world.status_report().await;
    1
}

// === impl Outcome ===

impl Outcome {
    /// What the ledger says of the request.
    pub(crate) fn assert_recorded_tokens(&self, prompt: u64, completion: u64) {
        let id = self.answered.header("x-ripcord-request-id");
        let story = self.world.ledger.request(id).unwrap().unwrap();
        let tokens = story.request.unwrap().tokens;
        assert_eq!((tokens.prompt, tokens.completion), (Some(prompt), Some(completion)));
    }

    /// One that failed or broke, and one that gave the rest.
    pub(crate) fn assert_both_attempts_are_recorded(&self) {
        let id = self.answered.header("x-ripcord-request-id");
        let story = self.world.ledger.request(id).unwrap().unwrap();
        let outcomes: Vec<ripcord_store::Outcome> =
            story.attempts.iter().map(|attempt| attempt.outcome).collect();
        let first = if self.streams {
            ripcord_store::Outcome::Broken
        } else {
            ripcord_store::Outcome::Failed
        };
        assert_eq!(outcomes, [first, ripcord_store::Outcome::Completed]);
        let request = story.request.unwrap();
        assert_eq!(request.outcome, ripcord_store::Outcome::Completed);
        assert_eq!(request.attempt_count, 2);
    }

    /// What an answer that broke shows of the text.
    pub(crate) fn assert_shows_the_beginning(&self) {
        let shown = self.answered.streamed_text();
        assert!(text().starts_with(&shown) && !shown.is_empty(), "{shown}");
        assert_eq!(shown.split(' ').count(), PART_WORDS, "all of the beginning");
    }
}
