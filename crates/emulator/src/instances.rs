//! The instances behind a model: which of them a call tries, what comes of each, and what the
//! caller sees of it.

use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::{clock::SECOND, models::Model, reply::Reply};

/// How many instances one call tries.
const TRIES: usize = 3;
/// Failures in a row that switch an instance off, and for how long.
const FAILURES: u32 = 7;
const OFF_MICROS: i64 = 90 * SECOND;

/// What an instance makes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TryOutcome {
    /// The answer.
    Ok,
    /// 429: it is full.
    Full,
    /// 5xx, 404, 413, 422, 451, a reset, another model's answer: it failed.
    Failed,
    /// A stream without one event. A plain call fails.
    Empty,
    /// A stream of one blank line, which commits the status. A plain call fails.
    BlankLine,
    /// The engine's 400, which is final.
    BadRequest,
    /// 426: the instance is deleted.
    UpgradeRequired,
    /// An answer without usage: the instance is deleted.
    NoUsage,
    /// The stream breaks after some events. A plain call fails.
    BreaksMidStream,
    /// The engine's error object after some events; the stream ends there. A plain call fails.
    ErrorMidStream,
    /// An error object in place of the answer, with status 200.
    ErrorBody,
}

/// An instance, as the server knows it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Instance {
    pub(crate) id: String,
    pub(crate) failures: u32,
    pub(crate) off_until: Option<i64>,
    pub(crate) deleted: bool,
}

/// A part of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Segment {
    BlankLine,
    /// The first events, then nothing: another instance begins again.
    Broken,
    Whole,
    /// The first events, the engine's error, the end.
    ErrorMid,
    /// An error object as the only event, then `[DONE]`; of a plain call, as the body.
    ErrorBody,
    /// The server's bare line.
    Bare(&'static str),
}

/// One try: which instance, and what went wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub(crate) instance: u32,
    pub(crate) error: Option<&'static str>,
}

/// What came of all tries.
#[derive(Debug, Clone, Default)]
pub(crate) struct Course {
    pub(crate) available: usize,
    pub(crate) attempts: Vec<Attempt>,
    /// What goes out, when any of it did.
    pub(crate) segments: Vec<Segment>,
    pub(crate) refusal: Option<Refusal>,
}

/// Why no instance answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    Capacity,
    BadRequest,
    NoInfrastructure,
    Exhausted,
}

impl Refusal {
    pub(crate) fn reply(self, text: Option<&str>) -> Reply {
        match self {
            Self::Capacity => Reply::capacity(),
            Self::BadRequest => Reply::long_prompt(text),
            Self::NoInfrastructure | Self::Exhausted => {
                Reply::detail(StatusCode::INTERNAL_SERVER_ERROR, self.word())
            }
        }
    }

    /// How the bare line and the trace name it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Capacity => "infra_overload",
            Self::BadRequest => "bad_request",
            Self::NoInfrastructure => "No infrastructure available to serve request",
            Self::Exhausted => "exhausted all available targets to no avail",
        }
    }
}

/// Tries one instance after the other. `outcomes` holds what the tries of this request come to, the
/// last one for all further ones; `used` counts them across the members of a list.
pub(crate) fn run(
    model: &mut Model,
    outcomes: &[TryOutcome],
    used: &mut usize,
    stream: bool,
    now: i64,
) -> Course {
    let standing = model.instances.iter().filter(|instance| !instance.deleted).count();
    let targets: Vec<usize> = model.available(now).take(TRIES).collect();
    let mut course = Course { available: targets.len(), ..Course::default() };
    let mut full = targets.is_empty();
    for at in targets {
        let outcome = outcomes.get(*used).or(outcomes.last()).copied().unwrap_or(TryOutcome::Ok);
        *used += 1;
        let error = course.step(outcome, stream);
        let instance = &mut model.instances[at];
        match outcome {
            TryOutcome::UpgradeRequired | TryOutcome::NoUsage => instance.deleted = true,
            TryOutcome::Full | TryOutcome::BadRequest => {}
            _ if error.is_some() => instance.fail(now),
            _ => instance.failures = 0,
        }
        full |= outcome == TryOutcome::Full;
        let number = u32::try_from(at).unwrap_or(u32::MAX);
        course.attempts.push(Attempt { instance: number, error });
        if error.is_none() {
            return course;
        }
        if outcome == TryOutcome::BadRequest {
            return course.end(Refusal::BadRequest);
        }
    }
    course.end(if full {
        Refusal::Capacity
    } else if standing < TRIES {
        Refusal::NoInfrastructure
    } else {
        Refusal::Exhausted
    })
}

impl Course {
    /// Adds what one try sends; the error when another has to be made.
    fn step(&mut self, outcome: TryOutcome, stream: bool) -> Option<&'static str> {
        let (segment, error) = match outcome {
            TryOutcome::Ok => (Some(Segment::Whole), None),
            TryOutcome::ErrorBody => (Some(Segment::ErrorBody), None),
            TryOutcome::ErrorMidStream if stream => (Some(Segment::ErrorMid), None),
            TryOutcome::BreaksMidStream if stream => (Some(Segment::Broken), Some("BROKEN_STREAM")),
            TryOutcome::BlankLine if stream => (Some(Segment::BlankLine), Some("EMPTY_STREAM")),
            TryOutcome::Empty if stream => (None, Some("EMPTY_STREAM")),
            TryOutcome::Full => (None, Some("RATE_LIMIT")),
            TryOutcome::BadRequest => (None, Some("BAD_REQUEST")),
            _ => (None, Some("INVALID_RESPONSE")),
        };
        self.segments.extend(segment);
        error
    }

    /// Ends in a refusal: as an answer, or, when something went out before, as the bare line.
    fn end(mut self, refusal: Refusal) -> Self {
        if self.segments.is_empty() {
            self.refusal = Some(refusal);
        } else {
            self.segments.push(Segment::Bare(refusal.word()));
        }
        self
    }
}

impl Instance {
    fn fail(&mut self, now: i64) {
        self.failures += 1;
        if self.failures >= FAILURES {
            self.off_until = Some(now + OFF_MICROS);
        }
    }

    fn is_on(&self, now: i64) -> bool {
        !self.deleted && self.off_until.is_none_or(|until| now >= until)
    }
}

impl Model {
    /// The instances that may be tried.
    fn available(&self, now: i64) -> impl Iterator<Item = usize> + use<> {
        let on: Vec<usize> = self
            .instances
            .iter()
            .enumerate()
            .filter(|(_, instance)| instance.is_on(now))
            .map(|(at, _)| at)
            .collect();
        on.into_iter()
    }
}
