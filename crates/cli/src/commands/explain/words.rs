//! What the words of the ledger mean, for people.

use std::time::Duration;

use ripcord_store::{AttemptRow, Outcome, StepKind, StepRow};

use crate::printer::moment;
use crate::printer::number::counted;
use crate::troubleshooting;

/// A time that is seldom as long as a minute: `12 ms`, `0.4 s`, `12.0 s`, `2 min 30 s`.
pub(super) fn seconds(duration: Duration) -> String {
    if duration >= Duration::from_secs(60) {
        return moment::duration(duration);
    }
    let millis = duration.as_millis();
    if millis < 100 {
        return format!("{millis} ms");
    }
    let tenths = millis / 100;
    format!("{}.{} s", tenths / 10, tenths % 10)
}

/// Why an attempt or a request ended as it did. The words are causes (`ripcord_rules::cause`) and codes of refusals.
pub(super) fn cause(word: &str) -> &str {
    match word {
        "capacity" => "the model was full",
        "edge_rate_limit" => "the load balancers refused the account for its rate",
        "rate_limited" => "the provider refused the account for its rate",
        "out_of_credit" => "the account at the provider has no credit",
        "window_used_up" | "window_exhausted" => "a window of the account was used up",
        "not_entitled" => "the account may not use this model",
        "free_model_limit" => "the account's free calls of the day were used up",
        "cold" | "model_cold" => "nothing ran the model",
        "disabled" | "model_down" => "the model was switched off",
        "model_not_found" => "there was no such model",
        "dead_key" | "upstream_auth" => "the key was refused",
        "edge_block" => "the load balancers refused the connection",
        "context_too_long" | "context_length_exceeded" => {
            "the prompt was longer than the model's context"
        }
        "content_filter" => "the content was refused",
        "bad_request" => "the request was wrong",
        "transient" => "it failed in a way that passes",
        "silent" => "nothing came in time",
        "broken_stream" => "the answer broke off",
        "unreachable" => "the server could not be reached",
        "no_capacity" => "every model that could serve it was full",
        "queue_full" => "the queue was full",
        "deadline" => "nothing could serve it before its deadline",
        "paygo_not_allowed" => "the balance may not pay for it",
        "budget_exhausted" => "the client key's budget was used up",
        "not_allowed" => "the client key may not do that",
        "shutting_down" => "the gateway was stopped",
        "upstream_failed" => "upstream failed",
        other => other,
    }
}

/// Why something was left out.
fn left_out(reason: &str) -> &str {
    match reason {
        "not_allowed" => "the client key may not use it",
        "fallback_off" => "the caller allows no fallback",
        "not_confidential" => {
            "it is not known to run in a trusted execution environment, which is required"
        }
        "less_private" => {
            "it is not known to run in a trusted execution environment, and the model it would stand in for does"
        }
        "context_too_short" => "its context is too short for the prompt",
        "no_tools" => "it takes no tools",
        "no_vision" => "it takes no pictures",
        "no_json_schema" => "it keeps to no JSON schema",
        "too_dear" => "its output costs more than allowed, or nobody knows what",
        "keeps_failing" => "it kept failing",
        other => cause(other),
    }
}

/// Why something else was asked than what comes first.
fn chosen(first: &str, reason: &str) -> String {
    match reason {
        "sticky" => format!("instead of {first}: it answered this conversation before"),
        "busy" => format!("instead of {first}, which was full"),
        "cold" => format!("instead of {first}, which nothing ran"),
        "disabled" => format!("instead of {first}, which was switched off"),
        "closed" => format!("instead of {first}, for which no account was open"),
        other => format!("instead of {first}: {}", left_out(other)),
    }
}

fn waited_for(reason: &str) -> &str {
    match reason {
        "slot" => "for a free slot",
        "account" => "until an account could be used",
        "room" => "for room in a window",
        "share" => "for room in what the client key may spend",
        "backoff" => "before trying again",
        "warming" => "for the model to warm up",
        other => other,
    }
}

/// A step as a sentence without its period.
pub(super) fn step(step: &StepRow) -> String {
    let subject = step.subject.as_deref().unwrap_or("?");
    let reason = step.reason.as_deref().unwrap_or("unknown");
    let amounts = step.before.zip(step.after);
    match step.kind {
        StepKind::Waited => {
            let took = seconds(Duration::from_micros(step.took_us));
            format!("waited {took} {}", waited_for(reason))
        }
        StepKind::LeftOut => format!("left out {subject}: {}", left_out(reason)),
        StepKind::Chosen => {
            format!("chose {subject} {}", chosen(step.target.as_deref().unwrap_or("?"), reason))
        }
        StepKind::Switched => {
            let target = step.target.as_deref().unwrap_or("?");
            format!("went from {subject} to {target}: {}", cause(reason))
        }
        StepKind::Trimmed => format!("cut {}: {}", cut(step), cause(reason)),
        StepKind::Continued => {
            let bytes = counted(amounts.unwrap_or_default().0, "byte", "bytes");
            let how = match subject {
                "prefill" => "by letting the model go on from what it had said",
                "restart" => "by asking anew and joining what is the same",
                other => other,
            };
            format!("went on after {bytes} of text {how}: {}", cause(reason))
        }
        StepKind::More => "more happened that was not kept".to_owned(),
    }
}

/// What was cut, of several steps of one trimming in a row.
pub(super) fn cuts(steps: &[StepRow]) -> String {
    let parts: Vec<String> = steps.iter().map(cut).collect();
    let reason = steps.first().and_then(|step| step.reason.as_deref());
    format!("cut {}: {}", parts.join(", "), cause(reason.unwrap_or("unknown")))
}

fn cut(step: &StepRow) -> String {
    let (before, after) = step.before.zip(step.after).unwrap_or_default();
    match step.subject.as_deref() {
        Some("max_tokens") => format!("max_tokens from {before} to {after}"),
        Some("messages") => {
            let gone = before.saturating_sub(after);
            format!("{gone} of {}", counted(before, "message", "messages"))
        }
        _ => format!("the whole from {} to {} kB", before.div_ceil(1_000), after.div_ceil(1_000)),
    }
}

/// How an attempt ended, and why.
pub(super) fn attempt_ending(row: &AttemptRow) -> String {
    let total = seconds(Duration::from_micros(row.timing.total_us));
    let status = row.status.map(|status| format!("{status}, ")).unwrap_or_default();
    let why = row.cause.as_deref().map(cause);
    match (row.outcome, why) {
        (Outcome::Completed, _) => format!("whole after {total}"),
        (Outcome::Cancelled, _) => format!("the client left after {total}"),
        (_, Some(why)) => format!("{status}{why}, after {total}"),
        (_, None) => format!("{status}{}, after {total}", row.outcome.as_str()),
    }
}

/// The entry of the troubleshooting page that says more about a cause or code.
pub(super) fn anchor(word: &str) -> Option<&'static str> {
    // Two entries have it; in a story the wait that comes before it says more than either.
    if word == "deadline" {
        return Some("no-answer");
    }
    let is_meant = |entry: &troubleshooting::Entry| {
        entry.sightings.iter().any(|sighting| sighting.means == Some(word))
    };
    troubleshooting::entries().iter().find(|entry| is_meant(entry)).map(|entry| entry.anchor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_lead_to_entries_that_exist() {
        let known: Vec<_> = troubleshooting::entries().iter().map(|entry| entry.anchor).collect();
        for word in ["deadline", "queue_full", "capacity", "model_cold", "window_exhausted"] {
            assert!(anchor(word).is_some_and(|anchor| known.contains(&anchor)), "{word}");
        }
        assert_eq!(anchor("nothing of the kind"), None);
    }

    #[test]
    fn times_are_as_exact_as_they_are_short() {
        let told = |millis| seconds(Duration::from_millis(millis));
        assert_eq!([told(49), told(100), told(59_999)], ["49 ms", "0.1 s", "59.9 s"]);
        assert_eq!(told(150_000), "2 min 30 s");
    }
}
