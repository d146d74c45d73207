//! Answers that are refusals: statuses and pages instead of an answer.

use super::answers::{detail, empty, error_first, filtered, page, whole};
use super::case::Case;
use super::client::{Client, refused, refused_for};
use super::upstream::{Upstream, at_once, not_before, paused};
use crate::provider::Script;

const CAPACITY: &str = "Infrastructure is at maximum capacity, try again later";
const TOO_LONG: &str = "Invalid request: Invalid request: {\"detail\": {\"error\": {\"message\": \"This model's \
     maximum context length is 32768 tokens. However, you requested 40000 tokens.\", \"type\": \
     \"BadRequestError\", \"param\": null, \"code\": 400}}}";

fn capacity() -> Script {
    detail("429 Too Many Requests", CAPACITY).named("429 capacity")
}

fn edge_429() -> Script {
    page("429 page", "429 Too Many Requests")
}

fn edge_403() -> Script {
    page("403 page", "403 Forbidden")
}

pub(crate) fn asks_for_a_second() -> Script {
    page("429 page, `Retry-After: 1`", "429 Too Many Requests\r\nretry-after: 1")
}

fn exhausted() -> Script {
    detail("500 Internal Server Error", "exhausted all available targets to no avail")
}

fn plain_500() -> Script {
    let head = "500 Internal Server Error\r\ncontent-type: text/plain; charset=utf-8";
    Script::whole("500 plain text", head, "Internal Server Error")
}

fn no_infrastructure() -> Script {
    detail("500 Internal Server Error", "No infrastructure available to serve request")
        .named("500 no infrastructure")
}

fn unavailable() -> Script {
    detail("503 Service Unavailable", "Database connectivity problems")
}

cases! {
    /// Others may answer at once, so nobody waits.
    a_429_with_retry_after_goes_to_another_account = Case::new("429 with `Retry-After: 1`, two accounts")
        .accounts(2)
        .plays(|asked| if asked.who == "first" { asks_for_a_second() } else { whole(asked) })
        .both(Client::Whole, &[at_once("first", "429 page, `Retry-After: 1`"), at_once("second", "whole answer")]);

    a_429_with_retry_after_is_waited_out = Case::new("429 with `Retry-After: 1`, one account")
        .plays(|asked| if asked.number == 0 { asks_for_a_second() } else { whole(asked) })
        .both(
            Client::Whole,
            &[
                at_once("first", "429 page, `Retry-After: 1`"),
                not_before(1_000, "first", "whole answer"),
            ],
        );

    a_full_model_is_waited_for = Case::new("429 capacity once")
        .plays(|asked| if asked.number == 0 { capacity() } else { whole(asked) })
        .both(Client::Whole, &[at_once("first", "429 capacity"), paused("first", "whole answer")]);

    a_model_that_stays_full = Case::new("429 capacity for ever, deadline 2 s")
        .plays(|_| capacity())
        .header("x-ripcord-deadline", "2")
        .expects(
            false,
            refused_for(503, "no_capacity", true, 30..=300),
            Upstream::Times(1..=12, "first", "429 capacity"),
        )
        .expects(
            true,
            refused_for(503, "no_capacity", true, 30..=300),
            Upstream::Times(1..=12, "first", "429 capacity"),
        );

    the_edge_limits_the_only_account = Case::new("edge 429 page for ever, one account with two keys, deadline 30 s")
        .plan(|plan| plan.accounts = vec![crate::world::account("first", &[0, 1])])
        .plays(|_| edge_429())
        .header("x-ripcord-deadline", "30")
        .both(refused_for(429, "deadline", false, 80..=90), &[at_once("first", "429 page")]);

    the_edge_limits_one_account = Case::new("edge 429 page, two accounts")
        .accounts(2)
        .plays(|asked| if asked.who == "first" { edge_429() } else { whole(asked) })
        .both(Client::Whole, &[at_once("first", "429 page"), at_once("second", "whole answer")]);

    /// A second account within two minutes means the edge itself; a third is not burnt.
    the_edge_limits_everybody = Case::new("edge 429 page for ever, three accounts, deadline 30 s")
        .accounts(3)
        .plays(|_| edge_429())
        .header("x-ripcord-deadline", "30")
        .both(
            refused_for(429, "deadline", false, 80..=90),
            &[at_once("first", "429 page"), at_once("second", "429 page")],
        );

    the_edge_blocks_once = Case::new("edge 403 page once")
        .plays(|asked| if asked.number == 0 { edge_403() } else { whole(asked) })
        .both(Client::Whole, &[at_once("first", "403 page"), at_once("first", "whole answer")]);

    the_edge_blocks_for_ever = Case::new("edge 403 page for ever")
        .plays(|_| edge_403())
        .both(
            refused_for(502, "upstream_failed", true, 1..=60),
            &[at_once("first", "403 page"), at_once("first", "403 page")],
        );

    a_500_once = Case::new("500 once")
        .plays(|asked| if asked.number == 0 { exhausted() } else { whole(asked) })
        .both(Client::Whole, &[at_once("first", "500"), paused("first", "whole answer")]);

    a_500_of_the_framework_once = Case::new("500 as plain text, and the connection closed")
        .plays(|asked| if asked.number == 0 { plain_500() } else { whole(asked) })
        .both(Client::Whole, &[at_once("first", "500 plain text"), paused("first", "whole answer")]);

    no_infrastructure_once = Case::new("500 `No infrastructure available` once")
        .plays(|asked| if asked.number == 0 { no_infrastructure() } else { whole(asked) })
        .both(Client::Whole, &[at_once("first", "500 no infrastructure"), paused("first", "whole answer")]);

    a_503_for_ever = Case::new("503 for ever")
        .plays(|_| unavailable())
        .both(
            refused_for(502, "upstream_failed", true, 1..=60),
            &[at_once("first", "503"), paused("first", "503")],
        );

    a_503_for_ever_on_one_account = Case::new("503 for ever on one of two accounts")
        .accounts(2)
        .plays(|asked| if asked.who == "first" { unavailable() } else { whole(asked) })
        .both(Client::Whole, &[at_once("first", "503"), paused("second", "whole answer")]);

    an_error_inside_a_200_once = Case::new("error as the first event once")
        .plays(|asked| if asked.number == 0 { error_first(asked) } else { whole(asked) })
        .both(
            Client::Whole,
            &[at_once("first", "an error inside of a 200"), paused("first", "whole answer")],
        );

    an_empty_answer_once = Case::new("empty stream once")
        .plays(|asked| if asked.number == 0 { empty(asked) } else { whole(asked) })
        .both(
            Client::Whole,
            &[at_once("first", "an empty answer"), paused("first", "whole answer")],
        );

    /// Billed each time, as far as anybody knows: bought twice at most.
    an_empty_answer_for_ever = Case::new("empty stream for ever")
        .plays(empty)
        .both(
            refused_for(502, "upstream_failed", true, 1..=60),
            &[at_once("first", "an empty answer"), paused("first", "an empty answer")],
        );

    a_prompt_that_is_too_long = Case::new("context too long")
        .accounts(2)
        .plays(|_| detail("400 Bad Request", TOO_LONG).named("400 context too long"))
        .both(
            refused(400, "context_length_exceeded", false),
            &[at_once("first", "400 context too long")],
        );

    a_bad_request = Case::new("bad request")
        .accounts(2)
        .plays(|_| detail("400 Bad Request", "Regex-based structured output is temporarily disabled."))
        .both(refused(400, "bad_request", false), &[at_once("first", "400")]);

    content_that_is_filtered = Case::new("content filter ends the answer")
        .accounts(2)
        .plays(filtered)
        .both(
            Client::AsItIs("content_filter"),
            &[at_once("first", "finish reason `content_filter`")],
        );

    content_that_is_refused = Case::new("content filter refuses the request")
        .accounts(2)
        .plays(|_| super::answers::openai_error(
            "400 Bad Request", "invalid_request_error", "content_filter",
            "The response was filtered due to the prompt triggering the content management policy.",
        ))
        .both(refused(400, "content_filter", false), &[at_once("first", "400 `content_filter`")]);
}
