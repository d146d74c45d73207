//! What the tests here have in common.

use crate::cause::{Endpoint, Failure, Origin, Phase, Says};
use crate::time::{Mono, Now, Wall};

pub(super) fn at(seconds: u64) -> Now {
    Now {
        mono: Mono::from_micros(seconds * 1_000_000),
        wall: Wall::from_unix_seconds(1_790_510_400 + seconds as i64),
    }
}

pub(super) fn seconds(seconds: u64) -> Mono {
    at(seconds).mono
}

pub(super) fn failure(status: u16, origin: Origin, says: Says) -> Failure {
    Failure {
        endpoint: Endpoint::Inference,
        phase: Phase::Head,
        status: Some(status),
        origin,
        says,
        retry_after: None,
        reset_at: None,
        limit_spent: false,
    }
}

pub(super) fn edge_limit() -> Failure {
    failure(429, Origin::Edge, Says::Nothing)
}
