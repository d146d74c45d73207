//! Whether a 200 says what its endpoint says.
//!
//! The readers of answers are tolerant: any object reads as an answer in which everything is missing. An error inside
//! a 200 (recordings, 491) must not pass for one of those.

use ripcord_wire::Value;
use ripcord_wire::chat::ChatCompletion;
use ripcord_wire::chutes::{
    ApiKey, Chute, ChutePage, CreatedApiKey, CurrencyPrices, DeletedApiKey, Evidence, EvidenceList,
    KeyExchange, LoginNonce, Me, ModelAlias, NameCheck, Page, Ping, PlatformPricing, QuickWarmup,
    QuotaUsage, Quotas, SubscriptionUsage, TaoPayments,
};
use ripcord_wire::completions::Completion;
use ripcord_wire::items::Items;
use ripcord_wire::models::ModelList;
use ripcord_wire::oauth::{Discovery, Introspection, Revocation, TokenAnswer, UserInfo};
use ripcord_wire::tokens::{Detokenized, Tokenized};
use serde::Deserialize;

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

impl<T> Recognised for Page<T> {
    fn is_recognised(&self) -> bool {
        self.total.is_some() || !self.items.is_empty()
    }
}

impl Recognised for EvidenceList {
    fn is_recognised(&self) -> bool {
        self.failed_instance_ids.is_some() || !self.evidence.is_empty()
    }
}

impl Recognised for CreatedApiKey {
    fn is_recognised(&self) -> bool {
        self.secret_key.is_some() || self.key.is_recognised()
    }
}

impl Recognised for CurrencyPrices {
    fn is_recognised(&self) -> bool {
        !self.prices.is_empty()
    }
}

impl Recognised for PlatformPricing {
    fn is_recognised(&self) -> bool {
        self.tao_usd.is_some() || !self.gpu_price_estimates.is_empty()
    }
}

/// Answers that have one field which says what they are.
macro_rules! recognised_by {
    ($($answer:ident: $($field:ident)|+),+ $(,)?) => {
        $(impl Recognised for $answer {
            fn is_recognised(&self) -> bool {
                $(self.$field.is_some())||+
            }
        })+
    };
}

recognised_by! {
    ApiKey: api_key_id,
    DeletedApiKey: deleted | api_key_id,
    Detokenized: prompt,
    Discovery: token_endpoint | issuer,
    Evidence: quote | instance_id,
    Introspection: active,
    LoginNonce: nonce,
    ModelAlias: alias,
    NameCheck: valid | available,
    QuickWarmup: status,
    Revocation: revoked,
    TaoPayments: total | today,
    TokenAnswer: access_token,
    Tokenized: count,
    UserInfo: sub | username,
}

impl Recognised for KeyExchange {
    fn is_recognised(&self) -> bool {
        self.nonce_expires_in.is_some() || !self.instances.is_empty()
    }
}

impl Recognised for Completion {
    fn is_recognised(&self) -> bool {
        !self.choices.is_empty()
    }
}

/// Vectors, which are the caller's to read.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Embeddings(pub(super) Value);

impl Recognised for Embeddings {
    fn is_recognised(&self) -> bool {
        self.0.get("data").is_some()
    }
}

/// JSON whose form is not known. What looks like an error is none of it.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct AnyJson(pub(super) Value);

impl Recognised for AnyJson {
    fn is_recognised(&self) -> bool {
        let is_error = |object: &ripcord_wire::Map<String, Value>| {
            object.contains_key("detail") || object.contains_key("error")
        };
        !self.0.as_object().is_some_and(is_error)
    }
}
