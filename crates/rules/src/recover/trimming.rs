//! Whether a request is sent again without a part of its context, where its caller allows that.

use crate::cause::Cause;

/// How often a full model refuses a request before its length may be the reason: long contexts are refused first.
const FULL_BEFORE_TRIM: u32 = 2;

/// Trimming of one request: at most once, and only as the last way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trimming {
    is_open: bool,
    full: u32,
}

// === impl Trimming ===

impl Trimming {
    /// For a request whose caller allows it, or does not.
    #[must_use]
    pub const fn new(is_allowed: bool) -> Self {
        Self { is_open: is_allowed, full: 0 }
    }

    /// Whether to trim after an attempt that failed so. `elsewhere`: another model could be asked with the whole of it.
    pub fn is_due(&mut self, cause: Cause, elsewhere: bool) -> bool {
        if cause == Cause::Capacity {
            self.full = self.full.saturating_add(1);
        }
        let may_help = match cause {
            Cause::ContextTooLong => true,
            Cause::Capacity => self.full >= FULL_BEFORE_TRIM,
            Cause::EdgeRateLimit
            | Cause::RateLimited
            | Cause::OutOfCredit
            | Cause::WindowUsedUp(_)
            | Cause::NotEntitled
            | Cause::FreeModelLimit
            | Cause::Cold
            | Cause::Disabled
            | Cause::ModelNotFound
            | Cause::DeadKey
            | Cause::AccountUnreadable
            | Cause::EdgeBlock
            | Cause::ContentFilter
            | Cause::BadRequest
            | Cause::Transient
            | Cause::Silent
            | Cause::BrokenStream
            | Cause::Unreachable => false,
        };
        let is_due = self.is_open && may_help && !elsewhere;
        self.is_open &= !is_due;
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_that_does_not_fit_is_trimmed_once() {
        let mut trimming = Trimming::new(true);
        assert!(!trimming.is_due(Cause::ContextTooLong, true), "a larger model is asked first");
        assert!(trimming.is_due(Cause::ContextTooLong, false));
        assert!(!trimming.is_due(Cause::ContextTooLong, false));
    }

    #[test]
    fn a_full_model_is_given_a_second_chance_with_all_of_it() {
        let mut trimming = Trimming::new(true);
        assert!(!trimming.is_due(Cause::Capacity, false));
        assert!(!trimming.is_due(Cause::Transient, false));
        assert!(!trimming.is_due(Cause::Capacity, true), "another model is asked first");
        assert!(trimming.is_due(Cause::Capacity, false));
        assert!(!trimming.is_due(Cause::ContextTooLong, false));
    }

    #[test]
    fn without_leave_nothing_is_trimmed() {
        let mut trimming = Trimming::new(false);
        for cause in [Cause::Capacity, Cause::Capacity, Cause::Capacity, Cause::ContextTooLong] {
            assert!(!trimming.is_due(cause, false));
        }
    }
}
