//! What happened to one request, written to the ledger and the metrics when it ends, however it ends.
//!
//! A [`Story`] lives with the request: in the pipeline first, then inside the body of the answer. Dropping it
//! before its end means that the client left.

mod steps;

pub(crate) use steps::{ContinuedBy, WaitedFor};

use crate::bearers::Visit;
use crate::charge::{Bill, Charge};
use crate::shared::Shared;
use ripcord_rules::cause::{Failure, Phase};
use ripcord_rules::time::{Mono, Wall};
use ripcord_store::{
    AttemptRow, Cost, Coverage, Outcome, RequestRow, Row, ServedBy, Timing, Tokens,
};
use ripcord_wire::chat::UsageGlance;
use std::sync::Arc;
use std::time::Duration;
use steps::Steps;

/// The record of one request.
pub(crate) struct Story {
    shared: Arc<Shared>,
    pub(crate) request_id: Arc<str>,
    /// The name of the client key.
    client_key: Option<Arc<str>>,
    /// Its place in the share of its bearer, until the answer is over.
    visit: Option<Visit>,
    route: &'static str,
    requested_model: Option<Arc<str>>,
    is_stream: bool,
    started: Mono,
    started_wall: Wall,
    priority: Option<&'static str>,
    deadline: Option<Duration>,
    waited: Duration,
    /// What it waited since the attempt before.
    waited_since: Duration,
    first_byte: Option<Duration>,
    status: Option<u16>,
    served_by: ServedBy,
    tokens: Tokens,
    cost: Cost,
    attempts: u32,
    attempt: Option<Attempt>,
    /// Where the attempt before went, and why it ended.
    before: Option<(ServedBy, Option<&'static str>)>,
    steps: Steps,
    ending: Option<(Outcome, Option<&'static str>)>,
}

/// The attempt under way.
struct Attempt {
    served_by: ServedBy,
    charge: Option<Charge>,
    usage: Option<UsageGlance>,
    /// The model that the answer names.
    answered: Option<Box<str>>,
    started: Mono,
    started_wall: Wall,
    waited: Duration,
    /// Not all of it went out, so nobody worked on it.
    is_unsent: bool,
    status: Option<u16>,
    first_byte: Option<Duration>,
    tokens: Tokens,
    cost: Cost,
}

impl Story {
    pub(crate) fn begin(shared: &Arc<Shared>, request_id: Arc<str>, route: &'static str) -> Self {
        let now = shared.clock.now();
        shared.metrics.requests_in_flight.inc();
        Self {
            shared: Arc::clone(shared),
            steps: Steps::new(Arc::clone(&request_id)),
            request_id,
            client_key: None,
            visit: None,
            route,
            requested_model: None,
            is_stream: false,
            started: now.mono,
            started_wall: now.wall,
            priority: None,
            deadline: None,
            waited: Duration::ZERO,
            waited_since: Duration::ZERO,
            first_byte: None,
            status: None,
            served_by: ServedBy::default(),
            tokens: Tokens::default(),
            cost: Cost::default(),
            attempts: 0,
            attempt: None,
            before: None,
            ending: None,
        }
    }

    pub(crate) fn called_by(&mut self, client_key: Option<Arc<str>>) {
        self.client_key = client_key;
    }

    pub(crate) fn visits(&mut self, visit: Visit) {
        self.visit = Some(visit);
    }

    pub(crate) fn asks_for(&mut self, model: &str, is_stream: bool) {
        self.requested_model = Some(model.into());
        self.is_stream = is_stream;
    }

    pub(crate) const fn attempts(&self) -> u32 {
        self.attempts
    }

    pub(crate) fn begin_attempt(&mut self, served_by: ServedBy, charge: Charge) {
        self.switch_to(&served_by);
        self.attempts += 1;
        if let Some(visit) = &mut self.visit {
            visit.is_sent();
        }
        let now = self.shared.clock.now();
        self.attempt = Some(Attempt {
            served_by,
            charge: Some(charge),
            usage: None,
            answered: None,
            started: now.mono,
            started_wall: now.wall,
            waited: std::mem::take(&mut self.waited_since),
            is_unsent: false,
            status: None,
            first_byte: None,
            tokens: Tokens::default(),
            cost: Cost::default(),
        });
    }

    /// The head of the upstream's answer came.
    pub(crate) fn answered(&mut self, status: u16) {
        let now = self.shared.clock.mono();
        if let Some(attempt) = &mut self.attempt {
            attempt.status = Some(status);
            attempt.first_byte = Some(now.since(attempt.started));
        }
    }

    /// The first byte of an answer goes to the client.
    pub(crate) fn first_byte(&mut self, status: u16) {
        let elapsed = self.shared.clock.mono().since(self.started);
        self.status = Some(status);
        if self.first_byte.is_none() {
            self.first_byte = Some(elapsed);
            self.shared.metrics.first_byte_seconds.observe(elapsed.as_secs_f64());
        }
    }

    /// The model that the upstream says it is.
    pub(crate) fn answered_by(&mut self, model: &str) {
        if let Some(attempt) = &mut self.attempt {
            attempt.answered = Some(model.into());
        }
    }

    /// What the upstream says it used.
    pub(crate) fn used(&mut self, usage: UsageGlance) {
        if let Some(attempt) = &mut self.attempt {
            attempt.usage = Some(usage);
            attempt.tokens = Tokens {
                prompt: usage.prompt_tokens,
                completion: usage.completion_tokens,
                cached: usage.cached_tokens,
                estimated: false,
            };
        }
    }

    /// The attempt failed.
    pub(crate) fn attempt_failed(&mut self, failure: &Failure, cause: &'static str) {
        if let Some(attempt) = &mut self.attempt {
            attempt.is_unsent = failure.phase < Phase::AwaitHead;
        }
        self.end_attempt(Outcome::Failed, Some(cause));
    }

    /// The attempt is over.
    pub(crate) fn end_attempt(&mut self, outcome: Outcome, cause: Option<&'static str>) {
        let Some(mut attempt) = self.attempt.take() else { return };
        let bill = attempt.bill(outcome, self.is_stream);
        if let Some(charge) = attempt.charge.take() {
            let settled = charge.settle(bill, attempt.answered.as_deref());
            attempt.tokens.estimated = settled.is_estimate;
            if let Some(size) = settled.size {
                attempt.tokens.prompt = Some(size.prompt_tokens);
                attempt.tokens.completion = Some(size.completion_tokens);
            }
            attempt.cost = Cost {
                list_price_nano_usd: settled.price.map(|price| price.0),
                coverage: settled.coverage,
            };
            self.shared.metrics.settled(&attempt.served_by, settled);
        }
        self.shared.metrics.attempt_ended(outcome, cause);
        self.tokens = add_tokens(self.tokens, attempt.tokens);
        self.cost = match self.before {
            None => attempt.cost,
            Some(_) => add_cost(self.cost, attempt.cost),
        };
        self.served_by = attempt.served_by.clone();
        self.before = Some((attempt.served_by.clone(), cause));
        let total = self.shared.clock.mono().since(attempt.started);
        self.shared.ledger.append(Row::Attempt(AttemptRow {
            request_id: Arc::clone(&self.request_id),
            number: self.attempts,
            served_by: attempt.served_by,
            status: attempt.status,
            outcome,
            cause: cause.map(Arc::from),
            tokens: attempt.tokens,
            cost: attempt.cost,
            timing: Timing {
                started_at_unix_us: attempt.started_wall.as_unix_micros(),
                waited_us: micros(attempt.waited),
                first_byte_us: attempt.first_byte.map(micros),
                total_us: micros(total),
            },
        }));
    }

    /// The request is over. What is not said before the story is dropped counts as "the client left".
    pub(crate) fn end(&mut self, outcome: Outcome, cause: Option<&'static str>) {
        self.end_attempt(outcome, cause);
        self.ending = Some((outcome, cause));
    }

    /// The request is refused with this status.
    pub(crate) fn refused(&mut self, status: u16, cause: &'static str) {
        self.status = Some(status);
        let outcome = if self.attempts == 0 { Outcome::Refused } else { Outcome::Failed };
        self.end(outcome, Some(cause));
    }
}

impl Attempt {
    /// What Chutes will count, as far as the ending tells.
    fn bill(&self, outcome: Outcome, is_stream: bool) -> Bill {
        match (outcome, self.usage) {
            (Outcome::Completed, Some(usage)) => Bill::Counted(usage),
            (Outcome::Broken, Some(usage)) => Bill::Broken(usage),
            (Outcome::Completed | Outcome::Broken, None) => Bill::Likely,
            (Outcome::Cancelled, usage) if is_stream => Bill::Left(usage),
            (Outcome::Cancelled, _) => Bill::RunsOn,
            // An error inside a 200 is counted (recordings, D44); one instead of it is not.
            (Outcome::Failed | Outcome::Refused, _) => match self.status {
                Some(200..=299) => Bill::Likely,
                None if !is_stream && !self.is_unsent => Bill::RunsOn,
                Some(_) | None => Bill::Nothing,
            },
        }
    }
}

impl Drop for Story {
    fn drop(&mut self) {
        let (outcome, cause) = self.ending.take().unwrap_or((Outcome::Cancelled, None));
        self.end_attempt(outcome, cause);
        let total = self.shared.clock.mono().since(self.started);
        self.shared.metrics.request_ended(self.route, outcome, self.waited);
        self.shared.ledger.append(Row::Request(RequestRow {
            request_id: Arc::clone(&self.request_id),
            client_key: self.client_key.clone(),
            route: self.route.into(),
            requested_model: self.requested_model.take(),
            served_by: std::mem::take(&mut self.served_by),
            is_stream: self.is_stream,
            priority: self.priority.map(Arc::from),
            deadline_us: self.deadline.map(micros),
            status: self.status,
            outcome,
            cause: cause.map(Arc::from),
            attempt_count: self.attempts,
            tokens: self.tokens,
            cost: self.cost,
            timing: Timing {
                started_at_unix_us: self.started_wall.as_unix_micros(),
                waited_us: micros(self.waited),
                first_byte_us: self.first_byte.map(micros),
                total_us: micros(total),
            },
        }));
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn add<T: Copy>(left: Option<T>, right: Option<T>, sum: impl Fn(T, T) -> T) -> Option<T> {
    match (left, right) {
        (Some(left), Some(right)) => Some(sum(left, right)),
        (left, right) => left.or(right),
    }
}

/// One call that the balance paid for makes the request a paid one. Who paid for all of it is known only where that is
/// known of everything that cost something.
fn add_cost(left: Cost, right: Cost) -> Cost {
    let is_nothing = |cost: Cost| cost.list_price_nano_usd.is_none_or(|price| price == 0);
    let coverage = match (left.coverage, right.coverage) {
        (Some(Coverage::Paid), _) | (_, Some(Coverage::Paid)) => Some(Coverage::Paid),
        (None, known) if is_nothing(left) => known,
        (known, None) if is_nothing(right) => known,
        (Some(Coverage::Covered), Some(Coverage::Covered)) => Some(Coverage::Covered),
        _ => None,
    };
    let price = add_price(left.list_price_nano_usd, right.list_price_nano_usd);
    Cost { list_price_nano_usd: price, coverage }
}

/// What is known of the price of several attempts. Nothing is not the sum where a part of it is not known.
fn add_price(before: Option<i64>, price: Option<i64>) -> Option<i64> {
    let sum = add(before, price, i64::saturating_add);
    sum.filter(|sum| *sum != 0 || (before.is_some() && price.is_some()))
}

fn add_tokens(left: Tokens, right: Tokens) -> Tokens {
    let sum = |left, right| add(left, right, u64::saturating_add);
    Tokens {
        prompt: sum(left.prompt, right.prompt),
        completion: sum(left.completion, right.completion),
        cached: sum(left.cached, right.cached),
        estimated: left.estimated || right.estimated,
    }
}
