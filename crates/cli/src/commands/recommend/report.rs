//! What `ripcord recommend --json` prints.

use ripcord_rules::recommend::{Advice, Grade, Kinship, Misfit, Score};
use schemars::JsonSchema;
use serde::Serialize;

use super::speed::SpeedSource;
use super::{Choice, Privacy, Recommendation};
use crate::args::Purpose;
use crate::catalogue::StateWord;
use crate::commands::usage::ErrorReport;
use crate::context::Context;
use crate::error::CommandError;
use crate::figures;
use crate::printer::moment;

/// What `ripcord recommend --json` prints.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct RecommendReport {
    #[schemars(extend("const" = "ripcord/recommend/1"))]
    schema: &'static str,
    /// When the report was made, UTC.
    generated_at: String,
    /// The model in use, by its exact name; null if none was named.
    model: Option<String>,
    /// `privacy`, `budget`, `coding`, `reasoning`, `creative`, `roleplay`; null if none was asked for.
    purpose: Option<&'static str>,
    /// `stay` with the model in use, `switch` to `recommended`, `use` it (no model was named), `none` that fits answers
    /// now (exit code 1), `unknown` (exit code 3).
    pub(super) advice: &'static str,
    /// The model to use; null with `none` and `unknown`.
    pub(super) recommended: Option<String>,
    /// Why, in words.
    pub(super) why: String,
    /// Whether only models in a trusted execution environment are recommended.
    tee_only: bool,
    /// Why so: `asked`, `like_current`, `like_watched`; null if it is not so.
    tee_only_because: Option<&'static str>,
    /// What may be recommended, best first, the model in use among it.
    candidates: Vec<CandidateReport>,
    /// Variants and favourites that may not be recommended.
    left_out: Vec<LeftOutReport>,
    /// What could not be read; what it would have said is null or `unknown`.
    errors: Vec<ErrorReport>,
}

/// A model that may be recommended.
#[derive(Debug, Serialize, JsonSchema)]
struct CandidateReport {
    /// Its place, from 1.
    rank: usize,
    /// Its exact name.
    name: String,
    /// Whether it is the model in use.
    in_use: bool,
    /// How it is related to the model in use: `itself`, `same_release` (run in another way), `other_release`; null for
    /// another model.
    kinship: Option<&'static str>,
    /// Its state.
    state: StateWord,
    /// Why, in words.
    why: String,
    /// What counts first: `steady`, `strained` (little room, or load not known), `full`, `unknown`, `cold`, `down`.
    grade: &'static str,
    /// What counts inside a grade.
    points: PointsReport,
    /// What speaks for and against it, in words.
    reasons: Vec<String>,
    /// Its place among the favourites of the purpose, from 1; null if it is none.
    favourite: Option<usize>,
    /// Whether it runs in a trusted execution environment; null if no list says.
    tee: Option<bool>,
    /// How busy it is.
    load: LoadReport,
    /// What it costs.
    price: PriceReport,
    /// How fast it was; null if nobody measured.
    speed: Option<SpeedReport>,
    /// Tokens that fit in its context.
    context_tokens: Option<u64>,
}

/// Points of a thousand. What is not known scores 400.
#[derive(Debug, Serialize, JsonSchema)]
struct PointsReport {
    /// All together.
    total: u64,
    /// Free slots, calls that were not refused.
    room: u64,
    /// How much of a favourite it is; without a purpose, whether it is the same release.
    preference: u64,
    /// The cheaper the more.
    price: u64,
    /// The faster the more.
    speed: u64,
}

/// How busy a model is; null where that is not known or older than five minutes.
#[derive(Debug, Serialize, JsonSchema)]
struct LoadReport {
    /// Share of slots busy, in percent.
    busy_percent: Option<f64>,
    /// Share of calls refused for capacity over five minutes, in percent.
    refused_percent: Option<f64>,
    /// The age of both in seconds.
    age_seconds: Option<u64>,
    /// Who says so: `server`.
    source: &'static str,
}

/// What a model costs.
#[derive(Debug, Serialize, JsonSchema)]
struct PriceReport {
    /// US dollars per million prompt tokens.
    usd_per_million_in: Option<f64>,
    /// US dollars per million generated tokens.
    usd_per_million_out: Option<f64>,
    /// US dollars per million tokens, three parts prompt and one part answer: what is compared.
    usd_per_million_mixed: Option<f64>,
    /// Who says so: `server`.
    source: &'static str,
}

/// How fast a model was.
#[derive(Debug, Serialize, JsonSchema)]
struct SpeedReport {
    /// Seconds to the first token.
    first_token_seconds: Option<f64>,
    /// Generated tokens per second.
    tokens_per_second: Option<f64>,
    /// Who measured: `server` (the average of everybody's calls on `day`) or `ledger` (the median of `calls` through this
    /// machine's gateway in the last 24 hours).
    source: &'static str,
    /// The day of the average, UTC.
    day: Option<String>,
    /// The calls of the median.
    calls: Option<usize>,
}

/// A model that may not be recommended.
#[derive(Debug, Serialize, JsonSchema)]
struct LeftOutReport {
    /// Its exact name.
    name: String,
    /// Its state.
    state: StateWord,
    /// `not_confidential`, `lacks_feature`, `too_dear`, `not_preferred`.
    reason: &'static str,
    /// The same in words.
    why: String,
}

/// Everything that was weighed.
pub(super) fn report(
    recommendation: &Recommendation<'_>,
    problems: &[CommandError],
    context: &Context,
) -> RecommendReport {
    let choices = &recommendation.choices;
    RecommendReport {
        schema: "ripcord/recommend/1",
        generated_at: moment::utc(context.now()),
        model: recommendation.in_use().map(|choice| choice.entry.name.clone()),
        purpose: recommendation.purpose.map(purpose_word),
        advice: match recommendation.advice {
            Advice::Stay => "stay",
            Advice::Switch(_) => "switch",
            Advice::Use(_) => "use",
            Advice::Nothing => "none",
            Advice::Unknown => "unknown",
        },
        recommended: recommendation.chosen().map(|choice| choice.entry.name.clone()),
        why: recommendation.why(),
        tee_only: recommendation.privacy != Privacy::Open,
        tee_only_because: match recommendation.privacy {
            Privacy::Open => None,
            Privacy::Asked => Some("asked"),
            Privacy::LikeCurrent => Some("like_current"),
            Privacy::LikeWatched => Some("like_watched"),
        },
        candidates: recommendation
            .ranked
            .iter()
            .enumerate()
            .filter_map(|(place, (index, score))| {
                let in_use = recommendation.current == Some(*index);
                let purpose = recommendation.purpose;
                Some(candidate(place + 1, choices.get(*index)?, score, in_use, purpose))
            })
            .collect(),
        left_out: choices.iter().filter_map(left_out).collect(),
        errors: problems.iter().map(ErrorReport::from).collect(),
    }
}

fn candidate(
    rank: usize,
    choice: &Choice<'_>,
    score: &Score,
    in_use: bool,
    purpose: Option<Purpose>,
) -> CandidateReport {
    let (entry, standing) = (choice.entry, &choice.candidate.standing);
    let percent = |permille: Option<u64>| permille.map(|permille| permille as f64 / 10.0);
    let thousandth = |figure: Option<u64>| figure.map(|figure| figure as f64 / 1e3);
    CandidateReport {
        rank,
        name: entry.name.clone(),
        in_use,
        kinship: choice.candidate.kinship.map(|kinship| match kinship {
            Kinship::Itself => "itself",
            Kinship::SameRelease => "same_release",
            Kinship::OtherRelease => "other_release",
        }),
        state: entry.state_word(),
        why: entry.why(),
        grade: match score.grade {
            Grade::Steady => "steady",
            Grade::Strained => "strained",
            Grade::Full => "full",
            Grade::Unknown => "unknown",
            Grade::Cold => "cold",
            Grade::Down => "down",
        },
        points: PointsReport {
            total: score.total,
            room: score.room,
            preference: score.preference,
            price: score.price,
            speed: score.speed,
        },
        reasons: choice.reasons(purpose),
        favourite: choice.place.map(|place| place + 1),
        tee: entry.tee(),
        load: LoadReport {
            busy_percent: percent(standing.busy_permille),
            refused_percent: percent(standing.refused_permille),
            age_seconds: entry.evidence.utilization_age.map(|age| age.as_secs()),
            source: "server",
        },
        price: PriceReport {
            usd_per_million_in: entry.price_in().map(figures::usd),
            usd_per_million_out: entry.price_out().map(figures::usd),
            usd_per_million_mixed: standing.price.map(figures::usd),
            source: "server",
        },
        speed: choice.measured.map(|measured| SpeedReport {
            first_token_seconds: thousandth(measured.speed.first_token_ms),
            tokens_per_second: thousandth(measured.speed.pace_milli),
            source: match measured.source {
                SpeedSource::Platform(_) => "server",
                SpeedSource::Ledger(_) => "ledger",
            },
            day: match &measured.source {
                SpeedSource::Platform(day) => Some(day.clone()),
                SpeedSource::Ledger(_) => None,
            },
            calls: match measured.source {
                SpeedSource::Platform(_) => None,
                SpeedSource::Ledger(calls) => Some(calls),
            },
        }),
        context_tokens: entry.context(),
    }
}

fn left_out(choice: &Choice<'_>) -> Option<LeftOutReport> {
    Some(LeftOutReport {
        name: choice.entry.name.clone(),
        state: choice.entry.state_word(),
        reason: match choice.candidate.misfit.as_ref()? {
            Misfit::NotConfidential => "not_confidential",
            Misfit::Lacks(_) => "lacks_feature",
            Misfit::TooDear(_) => "too_dear",
            Misfit::NotPreferred => "not_preferred",
        },
        why: choice.left_out()?,
    })
}

/// The word of the command line.
pub(super) const fn purpose_word(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Privacy => "privacy",
        Purpose::Budget => "budget",
        Purpose::Coding => "coding",
        Purpose::Reasoning => "reasoning",
        Purpose::Creative => "creative",
        Purpose::Roleplay => "roleplay",
    }
}
