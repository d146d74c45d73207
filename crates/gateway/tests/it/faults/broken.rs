//! Answers that break off, or only look as if.

use super::answers::{
    again_behind_the_end, bare_error, bare_error_before_any_text, begun, begun_again,
    begun_again_otherwise, body_end, breaks, cut_behind_the_end, detail, error_behind_the_end,
    error_event, from_word, malformed, reset_before_any_text, whole, with_running_totals,
    without_done,
};
use super::case::{Case, Outcome};
use super::client::Client;
use super::upstream::{Step, at_once, paused};
use crate::provider::{Act, Asked, Script};
use serde_json::json;
use std::time::Duration;

fn cut(asked: &Asked) -> Script {
    // Half of an HTTP chunk.
    let half = asked.streams.then(|| Act::Send(b"ff\r\ndata: {\"id\":".to_vec()));
    breaks("cut mid-answer", asked, half.as_slice())
}

fn reset(asked: &Asked) -> Script {
    breaks("reset mid-answer", asked, &[Act::Reset])
}

fn stalls(asked: &Asked) -> Script {
    breaks("stalls mid-answer", asked, &[Act::Stall])
}

/// The body ends as it should, and the answer does not.
fn ends_early(asked: &Asked) -> Script {
    let end = asked.streams.then(body_end);
    breaks("ends mid-answer", asked, end.as_slice())
}

/// First this, then whatever is asked for.
fn once(asked: &Asked, fault: fn(&Asked) -> Script) -> Script {
    if asked.number == 0 { fault(asked) } else { whole(asked) }
}

/// The beginning of an answer is refused as a part of the question.
pub(crate) fn no_prefill(asked: &Asked, then: fn(&Asked) -> Script) -> Script {
    let text = "Invalid request: Invalid request: {\"detail\": {\"error\": {\"message\": \"Cannot continue the final \
                message: this model does not support assistant prefill.\", \"type\": \"BadRequestError\", \"param\": \
                null, \"code\": 400}}}";
    match begun(asked) {
        0 => then(asked),
        _ => detail("400 Bad Request", text).named("400 prefill refused"),
    }
}

/// The same for the rest of an answer that was cut.
fn refuses_prefill(asked: &Asked, then: fn(&Asked) -> Script) -> Script {
    if asked.number == 0 { cut(asked) } else { no_prefill(asked, then) }
}

/// A whole answer in other words.
fn otherwise(asked: &Asked) -> Script {
    from_word(asked, 2).named("another answer")
}

/// The answer goes on where it broke, from the same model.
fn goes_on(fault: &'static str) -> [Step; 2] {
    [at_once("first", fault), paused("first", "the rest")]
}

/// A plain answer is asked for once more.
fn asked_again(fault: &'static str) -> [Step; 2] {
    [at_once("first", fault), paused("first", "whole answer")]
}

cases! {
    an_answer_that_is_cut = Case::new("cut mid-answer")
        .plays(|asked| once(asked, cut))
        .plain(Client::Whole, &asked_again("cut mid-answer"))
        .stream(Client::Whole, &goes_on("cut mid-answer"))
        .also(Outcome::assert_both_attempts_are_recorded);

    an_answer_that_is_reset = Case::new("reset mid-answer")
        .plays(|asked| once(asked, reset))
        .plain(Client::Whole, &asked_again("reset mid-answer"))
        .stream(Client::Whole, &goes_on("reset mid-answer"));

    an_answer_that_stalls = Case::new("stall mid-answer")
        .plan(|plan| {
            plan.limits.stall = Duration::from_millis(600);
            plan.limits.first_token = Duration::from_millis(600);
            plan.limits.plain_answer = Duration::from_millis(600);
        })
        .plays(|asked| once(asked, stalls))
        .plain(Client::Whole, &asked_again("stalls mid-answer"))
        .stream(Client::Whole, &goes_on("stalls mid-answer"));

    an_answer_that_ends_early = Case::new("ends mid-answer with a proper end of the body")
        .plays(|asked| once(asked, ends_early))
        .plain(Client::Whole, &asked_again("ends mid-answer"))
        .stream(Client::Whole, &goes_on("ends mid-answer"));

    a_malformed_event = Case::new("malformed event")
        .plays(|asked| once(asked, malformed))
        .plain(Client::Whole, &asked_again("a malformed answer"))
        .stream(Client::Whole, &goes_on("a malformed event mid-answer"));

    a_bare_error = Case::new("bare-JSON error mid-stream")
        .plays(|asked| once(asked, bare_error))
        .stream(Client::Whole, &goes_on("a bare JSON error mid-answer"));

    an_error_event = Case::new("error event mid-stream")
        .plays(|asked| once(asked, error_event))
        .stream(Client::Whole, &goes_on("an error event mid-answer"));

    /// Nothing of the answer has gone to the client yet, so it is simply asked for again.
    a_break_before_any_text = Case::new("reset after the role, before any text")
        .plays(|asked| once(asked, reset_before_any_text))
        .stream(Client::Whole, &asked_again("reset before any text"));

    a_bare_error_before_any_text = Case::new("bare-JSON error after the role, before any text")
        .plays(|asked| once(asked, bare_error_before_any_text))
        .stream(Client::Whole, &asked_again("a bare JSON error before any text"));

    an_answer_begun_again = Case::new("begun again mid-stream with a new id")
        .plays(begun_again)
        .stream(Client::Whole, &[at_once("first", "begun again mid-answer with a new id")]);

    an_answer_begun_again_otherwise = Case::new("begun again mid-stream with another text")
        .plays(|asked| once(asked, begun_again_otherwise))
        .stream(Client::Whole, &goes_on("begun again mid-answer with another text"));

    prefill_is_refused = Case::new("cut mid-answer, and prefill is refused")
        .plays(|asked| refuses_prefill(asked, whole))
        .stream(
            Client::Whole,
            &[
                at_once("first", "cut mid-answer"),
                paused("first", "400 prefill refused"),
                paused("first", "whole answer"),
            ],
        );

    prefill_is_refused_and_the_answer_differs = Case::new("cut mid-answer, prefill is refused, and the new answer is another")
        .plays(|asked| refuses_prefill(asked, otherwise))
        .stream(
            Client::Broken,
            &[
                at_once("first", "cut mid-answer"),
                paused("first", "400 prefill refused"),
                paused("first", "another answer"),
            ],
        );

    /// A call of a tool is not continued: half of it may have been understood already.
    an_answer_that_must_not_be_continued = Case::new("cut mid-answer, with a `seed`, so that it cannot be continued")
        .body(|body| body["seed"] = json!(7))
        .plays(|asked| once(asked, cut))
        .plain(Client::Whole, &asked_again("cut mid-answer"))
        .stream(Client::Broken, &[at_once("first", "cut mid-answer")])
        .also(|outcome| {
            if outcome.streams {
                outcome.assert_shows_the_beginning();
            }
        });

    an_answer_that_breaks_for_ever = Case::new("cut mid-answer for ever, not continued")
        .body(|body| body["seed"] = json!(7))
        .plays(cut)
        .stream(Client::Broken, &[at_once("first", "cut mid-answer")]);

    /// The answer is whole by then; only its usage is missing.
    a_break_behind_the_end = Case::new("cut behind the finish reason")
        .plays(cut_behind_the_end)
        .stream(Client::WholeWithoutDone, &[at_once("first", "cut behind the finish reason")]);

    an_error_behind_the_end = Case::new("bare-JSON error behind the finish reason")
        .plays(error_behind_the_end)
        .stream(Client::WholeWithoutDone, &[at_once("first", "an error behind the finish reason")]);

    begun_again_behind_the_end = Case::new("begun again behind the finish reason")
        .plays(again_behind_the_end)
        .stream(Client::WholeWithoutDone, &[at_once("first", "begun again behind the finish reason")]);

    an_end_without_done = Case::new("no `[DONE]`")
        .plays(without_done)
        .plain(Client::Whole, &[at_once("first", "whole answer")])
        .stream(Client::WholeWithoutDone, &[at_once("first", "all but `[DONE]`")]);

    running_totals = Case::new("running usage totals")
        .plays(with_running_totals)
        .plain(Client::Whole, &[at_once("first", "whole answer")])
        .stream(Client::Whole, &[at_once("first", "running totals")])
        .also(|outcome| outcome.assert_recorded_tokens(100, 12));
}
