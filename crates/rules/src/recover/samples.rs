//! What the tests here have in common.

use crate::cause::{Failure, Origin, Says};

pub(super) use crate::cause::tests::answer as failure;
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

pub(super) fn edge_limit() -> Failure {
    failure(429, Origin::Edge, Says::Nothing)
}
