//! Who is to blame for what, and what to do next.

use ripcord_rules::cause::{Cause, Endpoint};

use super::Blame;
use crate::transport::{TransportError, TransportErrorKind};

pub(super) fn blame_for(cause: Cause, endpoint: Endpoint) -> Blame {
    match cause {
        Cause::DeadKey => Blame::You,
        Cause::WindowUsedUp(_)
        | Cause::NotEntitled
        | Cause::FreeModelLimit
        | Cause::AccountUnreadable
        | Cause::EdgeRateLimit => Blame::Account,
        Cause::Capacity
        | Cause::Cold
        | Cause::Disabled
        | Cause::Transient
        | Cause::Silent
        | Cause::BrokenStream => Blame::Chutes,
        Cause::EdgeBlock | Cause::Unreachable => Blame::Network,
        Cause::ModelNotFound | Cause::ContextTooLong | Cause::ContentFilter => Blame::You,
        // On inference the request is the caller's, everywhere else it was built here.
        Cause::BadRequest => match endpoint {
            Endpoint::Inference => Blame::You,
            Endpoint::Account | Endpoint::Public => Blame::Ripcord,
        },
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

pub(super) fn hint_for_cause(cause: Cause, endpoint: Endpoint) -> &'static str {
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
        Cause::BadRequest if endpoint == Endpoint::Inference => {
            "change the request as the message says"
        }
        Cause::BadRequest => {
            "check the address; if it is right, report this: the request was built here"
        }
        Cause::Transient | Cause::Silent | Cause::BrokenStream => "try again in a moment",
        Cause::Unreachable => "check the network of this machine",
    }
}
