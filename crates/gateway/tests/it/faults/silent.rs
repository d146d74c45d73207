//! No answer, a late one, or a connection that dies before there is one.

use super::answers::{silence, whole};
use super::case::Case;
use super::client::{Client, refused, refused_for};
use super::upstream::{at_once, paused};
use crate::provider::{Act, Script};
use crate::world::Plan;
use std::time::Duration;

fn reset() -> Script {
    Script::new("reset", vec![Act::Reset])
}

fn closed() -> Script {
    Script::new("closed", Vec::new())
}

/// The limits of waiting for an answer.
fn patience(plan: &mut Plan) {
    plan.limits.first_token = Duration::from_millis(700);
    plan.limits.plain_answer = Duration::from_millis(700);
}

cases! {
    a_reset_before_the_head_once = Case::new("reset before headers once")
        .plays(|asked| if asked.number == 0 { reset() } else { whole(asked) })
        .both(Client::Whole, &[at_once("first", "reset"), paused("first", "whole answer")]);

    a_reset_before_the_head_for_ever = Case::new("reset before headers for ever")
        .plays(|_| reset())
        .both(
            refused_for(502, "upstream_failed", true, 1..=60),
            &[at_once("first", "reset"), paused("first", "reset")],
        );

    a_close_before_the_head_once = Case::new("connection closed before headers once")
        .plays(|asked| if asked.number == 0 { closed() } else { whole(asked) })
        .both(Client::Whole, &[at_once("first", "closed"), paused("first", "whole answer")]);

    no_answer_at_all = Case::new("no answer at all, for ever")
        .plan(patience)
        .plays(|_| silence())
        .both(
            refused(504, "upstream_timeout", false),
            &[at_once("first", "nothing"), paused("first", "nothing")],
        );

    /// Named by the client. Without that a plain answer, which is billed all the same, may take its time.
    no_answer_by_the_deadline = Case::new("no answer by the deadline that the client named")
        .header("x-ripcord-deadline", "1")
        .plan(|plan| {
            plan.limits.first_token = Duration::from_secs(20);
            plan.limits.plain_answer = Duration::from_secs(20);
            plan.limits.heartbeat = Duration::from_secs(20);
        })
        .plays(|_| silence())
        .both(refused(504, "upstream_timeout", false), &[at_once("first", "nothing")]);

    /// The head of a plain answer, and not the rest.
    half_an_answer_by_the_deadline = Case::new("half an answer by the deadline that the client named")
        .header("x-ripcord-deadline", "1")
        .plan(|plan| plan.limits.stall = Duration::from_secs(20))
        .plays(|_| {
            let half = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n{\"id\":";
            Script::new("half", vec![Act::Send(half.as_bytes().to_vec()), Act::Stall])
        })
        .plain(refused(504, "upstream_timeout", false), &[at_once("first", "half")]);

    no_answer_of_one_account = Case::new("no answer at all on one of two accounts")
        .plan(patience)
        .accounts(2)
        .plays(|asked| if asked.who == "first" { silence() } else { whole(asked) })
        .both(Client::Whole, &[at_once("first", "nothing"), paused("second", "whole answer")]);

    /// A third of the limit, as 20 s are of 60 s.
    a_late_first_token = Case::new("first token late, inside of its limit")
        .plan(|plan| {
            plan.limits.first_token = Duration::from_millis(3_000);
            plan.limits.plain_answer = Duration::from_millis(3_000);
            plan.limits.heartbeat = Duration::from_millis(100);
        })
        .plays(|asked| whole(asked).after(Act::Pause(Duration::from_millis(1_000))))
        .both(Client::Whole, &[at_once("first", "whole answer")])
        .also(|outcome| {
            let text = outcome.answered.text();
            let comments = text.lines().filter(|line| line.starts_with(": ripcord is waiting"));
            assert!(!outcome.streams || comments.count() >= 3, "kept alive: {text}");
        });

    a_first_token_past_its_limit = Case::new("first token later than its limit, once")
        .plan(patience)
        .plays(|asked| match asked.number {
            0 => whole(asked).after(Act::Pause(Duration::from_millis(3_000))).named("late"),
            _ => whole(asked),
        })
        .both(Client::Whole, &[at_once("first", "late"), paused("first", "whole answer")]);
}
