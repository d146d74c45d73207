//! Whether a 200 says what its endpoint says.
//!
//! The readers of answers are tolerant: any object reads as an answer in which everything is missing. An error inside
//! a 200 (recordings, 491) must not pass for one of those.

use ripcord_wire::Value;
use ripcord_wire::chat::ChatCompletion;
use ripcord_wire::chutes::{Chute, ChutePage, Me, Ping, QuotaUsage, Quotas, SubscriptionUsage};
use ripcord_wire::items::Items;
use ripcord_wire::models::ModelList;

/// An answer that knows whether it is one.
pub(super) trait Recognised {
    /// Whether at least one thing is there that every such answer has.
    fn is_recognised(&self) -> bool;
}

impl Recognised for Me {
    fn is_recognised(&self) -> bool {
        self.user_id.is_some() || self.username.is_some() || self.balance.is_some()
    }
}

impl Recognised for Quotas {
    fn is_recognised(&self) -> bool {
        // Its reader refuses what is no quota.
        true
    }
}

impl Recognised for QuotaUsage {
    fn is_recognised(&self) -> bool {
        self.quota.is_some() || self.used.is_some()
    }
}

impl Recognised for SubscriptionUsage {
    fn is_recognised(&self) -> bool {
        self.subscription.is_some() || self.four_hour.is_some() || self.monthly.is_some()
    }
}

impl Recognised for ModelList {
    fn is_recognised(&self) -> bool {
        self.object.is_some() || self.data.is_recognised() && !self.data.is_empty()
    }
}

impl Recognised for ChutePage {
    fn is_recognised(&self) -> bool {
        self.total.is_some() || !self.items.is_empty()
    }
}

impl Recognised for Chute {
    fn is_recognised(&self) -> bool {
        !self.chute_id.is_empty()
    }
}

impl Recognised for Ping {
    fn is_recognised(&self) -> bool {
        self.message.is_some()
    }
}

impl Recognised for ChatCompletion {
    fn is_recognised(&self) -> bool {
        !self.choices.is_empty()
    }
}

/// A list, even an empty one. Of what is none, nothing could be read.
impl<T> Recognised for Items<T> {
    fn is_recognised(&self) -> bool {
        !self.is_empty() || self.skipped == 0
    }
}

/// Embeddings.
impl Recognised for Value {
    fn is_recognised(&self) -> bool {
        self.get("data").is_some()
    }
}
