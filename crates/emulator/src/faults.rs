//! Faults: what can be made to go wrong, for a model or an account, how often and for how long.

use serde::{Deserialize, Serialize};

use crate::{clock::SECOND, instances::TryOutcome};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// 429 `Infrastructure is at maximum capacity, try again later`.
    Capacity,
    /// 429 with nginx's HTML page, as the load balancer sends it.
    EdgeRateLimit,
    /// 403 with the Google edge's HTML page.
    EdgeForbidden,
    /// 503 `No instances available (yet) ...`.
    Cold,
    /// 503 `This chute is currently disabled.`.
    Disabled,
    /// 500: by default `exhausted all available targets to no avail`; `text` overrides it.
    ServerError,
    /// 500 `No infrastructure available to serve request`.
    NoInfrastructure,
    /// The plain-text 500 after which the connection closes unannounced.
    PlainServerError,
    /// The engine's 400 for a prompt that is too long, nested as the server nests it.
    ContextTooLong,
    /// A 200 whose choice ends with `content_filter`.
    ContentFilter,
    /// The first token comes `delay_ms` late.
    SlowFirstToken,
    /// No answer at all, until the client leaves or `delay_ms` is over.
    Silent,
    /// The connection is reset before a status line.
    ResetBeforeHeaders,
    /// The stream goes quiet after `after_chunks`, for `delay_ms` or until the client leaves.
    Stall,
    /// The connection ends inside an HTTP chunk, after `after_chunks` or `after_bytes` of the body.
    Cut,
    /// The connection is reset after `after_chunks`.
    Reset,
    /// After `after_chunks` the server's bare JSON line and a proper end of the body.
    BareJsonError,
    /// The engine's error object as the only event of a 200 stream, then `[DONE]`.
    ErrorFirstEvent,
    /// The engine's error object after `after_chunks`, then the end without `[DONE]`.
    ErrorMidStream,
    /// A 200 stream without one event.
    EmptyStream,
    /// Everything but the last `[DONE]`.
    MissingDone,
    /// The stream ends properly after `after_chunks`, without finish reason, usage or `[DONE]`.
    EndsEarly,
    /// An event that is no JSON after `after_chunks`; the stream goes on behind it.
    MalformedEvent,
    /// After `after_chunks` the stream starts again with a new id and repeats the text.
    Restart,
    /// The instances behind the model make of the call what `tries` says, one after the other; what
    /// the caller sees follows from that.
    Instances,
}

impl FaultKind {
    /// Whether the fault shows in the course of a body; the others replace the answer or delay it.
    #[must_use]
    pub fn is_in_body(self) -> bool {
        matches!(
            self,
            Self::Stall
                | Self::Cut
                | Self::Reset
                | Self::BareJsonError
                | Self::ErrorFirstEvent
                | Self::ErrorMidStream
                | Self::EmptyStream
                | Self::MissingDone
                | Self::EndsEarly
                | Self::MalformedEvent
                | Self::Restart
                | Self::ContentFilter
                | Self::Instances
        )
    }
}

/// Which requests of an account a fault touches. Faults of a model touch inference only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultScope {
    /// Chat completions, completions, embeddings.
    #[default]
    Inference,
    /// Everything else that carries a key.
    Management,
    /// Both.
    All,
}

/// A fault with its bounds. Without `count` and `seconds` it stays until it is cleared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What goes wrong.
    pub kind: FaultKind,
    /// How many requests it hits before it is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// How many emulated seconds it lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// How many emulated seconds pass before it begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begins_after_seconds: Option<f64>,
    /// The share of requests it hits, 0 to 1, drawn from the scenario's seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
    /// Events of a stream that pass first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_chunks: Option<usize>,
    /// Bytes of the body that pass first (`cut` only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_bytes: Option<usize>,
    /// A delay in real milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    /// Another text for the error, where the kind has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// What the tries of a request come to, in order (`instances` only); the last one stands for
    /// all further ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tries: Vec<TryOutcome>,
    /// Which requests of an account it touches.
    #[serde(default)]
    pub on: FaultScope,
}

impl Fault {
    /// A fault that stays until it is cleared.
    #[must_use]
    pub fn new(kind: FaultKind) -> Self {
        Self {
            kind,
            count: None,
            seconds: None,
            begins_after_seconds: None,
            probability: None,
            after_chunks: None,
            after_bytes: None,
            delay_ms: None,
            text: None,
            tries: Vec::new(),
            on: FaultScope::Inference,
        }
    }

    /// Hits this many requests, then is gone.
    #[must_use]
    pub fn times(mut self, count: u32) -> Self {
        self.count = Some(count);
        self
    }

    /// Lasts this many emulated seconds.
    #[must_use]
    pub fn for_seconds(mut self, seconds: f64) -> Self {
        self.seconds = Some(seconds);
        self
    }

    /// Hits this share of the requests, 0 to 1.
    #[must_use]
    pub fn with_probability(mut self, probability: f64) -> Self {
        self.probability = Some(probability);
        self
    }

    /// Lets this many events of a stream pass first.
    #[must_use]
    pub fn after_chunks(mut self, chunks: usize) -> Self {
        self.after_chunks = Some(chunks);
        self
    }

    /// Lets this many bytes of the body pass first.
    #[must_use]
    pub fn after_bytes(mut self, bytes: usize) -> Self {
        self.after_bytes = Some(bytes);
        self
    }

    /// Delays by real milliseconds.
    #[must_use]
    pub fn delay_ms(mut self, delay_ms: u64) -> Self {
        self.delay_ms = Some(delay_ms);
        self
    }

    /// What the instances make of the tries of a request.
    #[must_use]
    pub fn instances(tries: &[TryOutcome]) -> Self {
        Self { tries: tries.to_vec(), ..Self::new(FaultKind::Instances) }
    }

    /// Touches other requests than inference.
    #[must_use]
    pub fn on(mut self, scope: FaultScope) -> Self {
        self.on = scope;
        self
    }
}

/// The faults in force of one model or account.
#[derive(Debug, Clone, Default)]
pub(crate) struct FaultList {
    active: Vec<ActiveFault>,
}

#[derive(Debug, Clone)]
struct ActiveFault {
    fault: Fault,
    begins_micros: i64,
    ends_micros: Option<i64>,
    left: Option<u32>,
}

impl FaultList {
    pub(crate) fn new(faults: &[Fault], now: i64) -> Self {
        let mut list = Self::default();
        for fault in faults {
            list.add(fault.clone(), now);
        }
        list
    }

    pub(crate) fn add(&mut self, fault: Fault, now: i64) {
        let begins_micros = now.saturating_add(micros(fault.begins_after_seconds.unwrap_or(0.0)));
        let ends_micros =
            fault.seconds.map(|seconds| begins_micros.saturating_add(micros(seconds)));
        let left = fault.count;
        self.active.push(ActiveFault { fault, begins_micros, ends_micros, left });
    }

    pub(crate) fn clear(&mut self) {
        self.active.clear();
    }

    /// The faults still in force, with what is left of their counts.
    pub(crate) fn in_force(&self, now: i64) -> Vec<Fault> {
        self.active
            .iter()
            .filter(|active| active.ends_micros.is_none_or(|ends| now < ends))
            .map(|active| Fault { count: active.left, ..active.fault.clone() })
            .collect()
    }

    /// The first fault that hits this request, counted down. `draw` gives a number below one million.
    pub(crate) fn hit(
        &mut self,
        now: i64,
        inference: bool,
        draw: &mut dyn FnMut() -> u64,
    ) -> Option<Fault> {
        self.active.retain(|active| {
            active.left != Some(0) && active.ends_micros.is_none_or(|ends| now < ends)
        });
        for active in &mut self.active {
            let in_scope = match active.fault.on {
                FaultScope::Inference => inference,
                FaultScope::Management => !inference,
                FaultScope::All => true,
            };
            if !in_scope || now < active.begins_micros {
                continue;
            }
            if let Some(probability) = active.fault.probability
                && (draw() as f64) >= probability * 1_000_000.0
            {
                continue;
            }
            if let Some(left) = &mut active.left {
                *left = left.saturating_sub(1);
            }
            return Some(active.fault.clone());
        }
        None
    }
}

fn micros(seconds: f64) -> i64 {
    (seconds.max(0.0) * SECOND as f64) as i64
}
