//! Who is to blame for what, and what to do next.

use ripcord_rules::cause::{Cause, Endpoint, Failure, Says, classify};

use super::{Blame, Call};
use crate::transport::{TransportError, TransportErrorKind};

pub(super) fn blame_for(cause: Cause, call: &Call) -> Blame {
    match cause {
        Cause::DeadKey => Blame::You,
        Cause::WindowUsedUp(_)
        | Cause::NotEntitled
        | Cause::FreeModelLimit
        | Cause::AccountUnreadable
        | Cause::RateLimited
        | Cause::OutOfCredit
        | Cause::EdgeRateLimit => Blame::Account,
        Cause::Capacity
        | Cause::Cold
        | Cause::Disabled
        | Cause::Transient
        | Cause::Silent
        | Cause::BrokenStream => Blame::Chutes,
        Cause::EdgeBlock | Cause::Unreachable => Blame::Network,
        Cause::ModelNotFound | Cause::ContextTooLong | Cause::ContentFilter => Blame::You,
        // What the caller gave is the caller's; everything else was built here.
        Cause::BadRequest if call.is_callers => Blame::You,
        Cause::BadRequest => Blame::Ripcord,
    }
}

pub(super) fn hint_for_transport(error: &TransportError) -> &'static str {
    match error.kind() {
        TransportErrorKind::NameNotFound => {
            "check the address and the name server, or whether this machine is online"
        }
        TransportErrorKind::Refused => "nothing listens there; check host and port",
        TransportErrorKind::Unreachable => "check the network of this machine",
        TransportErrorKind::Certificate => {
            "check the clock of this machine; behind a company's proxy, add its certificate"
        }
        TransportErrorKind::Tls | TransportErrorKind::NotHttp => {
            "check scheme and port: this peer speaks something else"
        }
        TransportErrorKind::Timeout => "the service or the network is slow; try again in a minute",
        TransportErrorKind::ShuttingDown => "start again",
        TransportErrorKind::InvalidRequest => "report this: the request could not be put into HTTP",
        TransportErrorKind::HeadTooLarge
        | TransportErrorKind::Reset
        | TransportErrorKind::Closed
        | TransportErrorKind::Other => {
            "try again; if it stays, something between here and Chutes cuts connections"
        }
    }
}

pub(super) fn hint_for_answer(failure: &Failure, call: &Call) -> &'static str {
    if failure.says == Says::PlatformLimit {
        return "everybody shares this limit, which turns every minute; try again then, and keep what you get";
    }
    if failure.status == Some(402) && call.path.starts_with("/chutes/warmup/") {
        return "a warm-up needs a balance above 0, which a subscription does not replace";
    }
    hint_for_cause(classify(failure), call)
}

fn hint_for_cause(cause: Cause, call: &Call) -> &'static str {
    match cause {
        Cause::DeadKey => "check the key: Chutes does not know it, or it lacks the scope for this",
        Cause::AccountUnreadable => {
            "this key may call models but not read the account; use an admin key to see quota and balance"
        }
        Cause::WindowUsedUp(_) => "wait for the window to turn, or add balance",
        Cause::NotEntitled => {
            "the plan or the key does not cover this; choose another model, add balance, or change the plan"
        }
        Cause::FreeModelLimit => "free models open again at 00:00 UTC, or with a balance of $10",
        Cause::Capacity => {
            "the model is full for everybody; choose another one or try again in a minute"
        }
        Cause::EdgeRateLimit => {
            "too many requests from this account or address; wait a few minutes and send less"
        }
        Cause::RateLimited => "the service limits this account; send less at a time, or wait",
        Cause::OutOfCredit => "top the account up at this service, or raise its limit there",
        Cause::EdgeBlock => {
            "the load balancers refuse this connection; check for a proxy in between"
        }
        Cause::Cold => {
            "nothing runs this model now; choose another one or try again in some minutes"
        }
        Cause::Disabled => "this model is switched off; choose another one",
        Cause::ModelNotFound => "check the exact name of the model, also upper and lower case",
        Cause::ContextTooLong => "shorten the prompt or choose a model with a larger context",
        Cause::ContentFilter => "the content was refused; change it",
        Cause::BadRequest if call.endpoint == Endpoint::Inference => {
            "change the request as the message says"
        }
        Cause::BadRequest if call.is_callers => "check what was asked for, as the message says",
        Cause::BadRequest => {
            "check the address; if it is right, report this: the request was built here"
        }
        Cause::Transient | Cause::Silent | Cause::BrokenStream => "try again in a moment",
        Cause::Unreachable => "check the network of this machine",
    }
}
