//! What `/metrics` shows. Labels are few and bounded: routes, outcomes, causes, account labels; never a key, a
//! model name that a client made up, or an address.

use crate::charge::Settled;
use parking_lot::Mutex;
use prometheus_client::encoding::{EncodeLabelSet, text::encode};
use prometheus_client::metrics::{
    counter::Counter, family::Family, gauge::Gauge, histogram::Histogram,
};
use prometheus_client::registry::{Registry, Unit};
use ripcord_store::{Coverage, Outcome, ServedBy};
use std::time::Duration;

/// The metrics of one gateway.
pub(crate) struct Metrics {
    registry: Mutex<Registry>,
    requests: Family<RequestLabels, Counter>,
    attempts: Family<AttemptLabels, Counter>,
    unknown_causes: Family<UnknownLabels, Counter>,
    price: Family<PriceLabels, Counter>,
    switches: Family<SwitchLabels, Counter>,
    continuations: Family<ContinuationLabels, Counter>,
    trims: Family<TrimLabels, Counter>,
    pub(crate) requests_in_flight: Gauge,
    pub(crate) requests_queued: Gauge,
    pub(crate) buffered_bytes: Gauge,
    pub(crate) ledger_rows_lost: Gauge,
    pub(crate) account_slots_in_use: Family<AccountLabel, Gauge>,
    pub(crate) account_window_used_permille: Family<WindowLabels, Gauge>,
    pub(crate) first_byte_seconds: Histogram,
    waited_seconds: Histogram,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AttemptLabels {
    outcome: &'static str,
    cause: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UnknownLabels {
    service: String,
    /// The status, or 0 without one.
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SwitchLabels {
    /// `model`, `account`.
    of: &'static str,
    cause: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ContinuationLabels {
    /// `prefill`, `restart`.
    by: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TrimLabels {
    cause: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PriceLabels {
    account: String,
    /// `covered`, `paid`, `unknown`.
    coverage: &'static str,
    /// `reported`, `estimated`.
    tokens: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct AccountLabel {
    pub(crate) account: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct WindowLabels {
    pub(crate) account: String,
    pub(crate) window: &'static str,
}

/// From a local hop to the longest deadline.
const SECONDS: [f64; 14] =
    [0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0];

impl Metrics {
    pub(crate) fn new() -> Self {
        let metrics = Self {
            registry: Mutex::new(Registry::with_prefix("ripcord")),
            requests: Family::default(),
            attempts: Family::default(),
            unknown_causes: Family::default(),
            price: Family::default(),
            switches: Family::default(),
            continuations: Family::default(),
            trims: Family::default(),
            requests_in_flight: Gauge::default(),
            requests_queued: Gauge::default(),
            buffered_bytes: Gauge::default(),
            ledger_rows_lost: Gauge::default(),
            account_slots_in_use: Family::default(),
            account_window_used_permille: Family::default(),
            first_byte_seconds: Histogram::new(SECONDS),
            waited_seconds: Histogram::new(SECONDS),
        };
        metrics.register();
        metrics
    }

    fn register(&self) {
        let mut registry = self.registry.lock();
        registry.register(
            "requests",
            "Requests ended, by route and outcome",
            self.requests.clone(),
        );
        registry.register(
            "attempts",
            "Attempts ended upstream, by outcome and cause",
            self.attempts.clone(),
        );
        registry.register(
            "unknown_causes",
            "Failed attempts whose answer nobody recognised, by service and status; they were given a careful default",
            self.unknown_causes.clone(),
        );
        registry.register(
            "price_nano_usd",
            "Price of the attempts, by account, who pays, and whether Chutes reported the tokens or they are estimated",
            self.price.clone(),
        );
        registry.register(
            "switches",
            "Attempts that went to another model or account than the one before, by its cause",
            self.switches.clone(),
        );
        registry.register(
            "continuations",
            "Broken answers that went on in another attempt, by how",
            self.continuations.clone(),
        );
        registry.register(
            "trims",
            "Requests that were sent without a part of their context, by cause",
            self.trims.clone(),
        );
        registry.register(
            "requests_in_flight",
            "Requests under way",
            self.requests_in_flight.clone(),
        );
        registry.register(
            "requests_queued",
            "Requests waiting for a slot",
            self.requests_queued.clone(),
        );
        registry.register_with_unit(
            "buffered",
            "Request bodies held in memory",
            Unit::Bytes,
            self.buffered_bytes.clone(),
        );
        registry.register(
            "ledger_rows_lost",
            "Ledger rows that could not be kept",
            self.ledger_rows_lost.clone(),
        );
        registry.register(
            "account_slots_in_use",
            "Attempts under way on an account",
            self.account_slots_in_use.clone(),
        );
        registry.register(
            "account_window_used_permille",
            "Share of a window used, in thousandths, as last read",
            self.account_window_used_permille.clone(),
        );
        registry.register_with_unit(
            "first_byte",
            "From the request to the first byte of the answer",
            Unit::Seconds,
            self.first_byte_seconds.clone(),
        );
        registry.register_with_unit(
            "waited",
            "Waiting for a slot or for another attempt",
            Unit::Seconds,
            self.waited_seconds.clone(),
        );
    }

    pub(crate) fn request_ended(&self, route: &'static str, outcome: Outcome, waited: Duration) {
        self.requests_in_flight.dec();
        self.requests.get_or_create(&RequestLabels { route, outcome: outcome.as_str() }).inc();
        self.waited_seconds.observe(waited.as_secs_f64());
    }

    pub(crate) fn attempt_ended(&self, outcome: Outcome, cause: Option<&'static str>) {
        let labels = AttemptLabels { outcome: outcome.as_str(), cause: cause.unwrap_or("none") };
        self.attempts.get_or_create(&labels).inc();
    }

    /// A failed attempt was given the default of its status. A text that comes often should be recognised.
    pub(crate) fn unknown_cause(&self, service: &str, status: Option<u16>) {
        // Whatever a service sends, there are few series.
        let status = status.filter(|status| (100..600).contains(status)).unwrap_or(0);
        let labels = UnknownLabels { service: service.to_owned(), status };
        self.unknown_causes.get_or_create(&labels).inc();
    }

    pub(crate) fn switched(&self, of: &'static str, cause: &'static str) {
        self.switches.get_or_create(&SwitchLabels { of, cause }).inc();
    }

    pub(crate) fn continued(&self, by: &'static str) {
        self.continuations.get_or_create(&ContinuationLabels { by }).inc();
    }

    pub(crate) fn trimmed(&self, cause: &'static str) {
        self.trims.get_or_create(&TrimLabels { cause }).inc();
    }

    pub(crate) fn settled(&self, served_by: &ServedBy, settled: Settled) {
        let price = settled.price.map_or(0, |price| price.0);
        let Ok(price @ 1..) = u64::try_from(price) else { return };
        let labels = PriceLabels {
            account: served_by.account.as_deref().unwrap_or_default().to_owned(),
            coverage: settled.coverage.map_or("unknown", Coverage::as_str),
            tokens: if settled.is_estimate { "estimated" } else { "reported" },
        };
        self.price.get_or_create(&labels).inc_by(price);
    }

    /// The text that Prometheus reads.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry.lock());
        text
    }
}
