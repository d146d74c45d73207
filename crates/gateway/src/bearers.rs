//! Who spends: whoever may call without a client key, or the bearer of one, each with its own policy within that of the
//! accounts, and with a share of its own.

mod paid;
mod visit;

use crate::refusal::Refusal;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, StatusCode};
pub(crate) use paid::PaidToday;
use parking_lot::{Mutex, MutexGuard, RwLock};
use ripcord_rules::admit::Class;
use ripcord_rules::clients::{ClientLimits, ClientMeter, ModelPatterns, Used};
use ripcord_rules::quota::{ClientPolicy, Work};
use ripcord_rules::time::Wall;
use ripcord_rules::units::NanoUsd;
use ripcord_store::ClientPriority;
use std::sync::Arc;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
pub(crate) use visit::{Share, Visit};

/// Somebody with a policy.
pub(crate) struct Bearer {
    /// Those with one number have one policy and nothing of their own to count.
    number: u32,
    /// Whose turn it is in the queue; 0 for all who need no key.
    pub(crate) client: u32,
    /// The name of its client key; `None` where no key is asked for.
    pub(crate) label: Option<Arc<str>>,
    pub(crate) policy: ClientPolicy,
    pub(crate) rights: Rights,
    /// The key was revoked, or has expired.
    ended: CancellationToken,
    paid: Mutex<PaidToday>,
    meter: Mutex<ClientMeter>,
    /// Told when a call under way did cost less than it might have.
    freed: Notify,
}

/// What a client key may do beside who pays for it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Rights {
    pub(crate) limits: ClientLimits,
    pub(crate) models: ModelPatterns,
    pub(crate) highest_priority: ClientPriority,
    pub(crate) expires_at: Option<Wall>,
}

/// A bearer, and for whom this request of its is.
#[derive(Clone)]
pub(crate) struct Spender {
    pub(crate) bearer: Arc<Bearer>,
    work: Work,
}

/// One client key, as the gateway knows it: never the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KnownKey {
    pub(crate) name: Arc<str>,
    pub(crate) digest: [u8; 32],
    pub(crate) policy: ClientPolicy,
    pub(crate) rights: Rights,
    pub(crate) is_revoked: bool,
}

/// What a bearer has used before this gateway began.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct UsedBefore {
    pub(crate) paid: NanoUsd,
    pub(crate) share: Used,
}

/// Everybody who may call.
pub(crate) struct Bearers {
    anyone: Arc<Bearer>,
    is_required: bool,
    known: RwLock<Known>,
}

#[derive(Default)]
struct Known {
    /// Whether a key is asked for: also while all of them are revoked.
    wants_key: bool,
    keys: Vec<([u8; 32], Arc<Bearer>)>,
    /// Those that were revoked or have expired, so that their bearers are told which.
    ended: Vec<([u8; 32], Ended)>,
    next_number: u32,
    next_client: u32,
}

/// Why a key is not in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Revoked,
    Expired,
}

/// A new client key: `rip_` and 256 random bits.
///
/// # Errors
/// When the system gives no random numbers.
pub fn new_client_key() -> std::io::Result<String> {
    let mut random = [0_u8; 32];
    getrandom::fill(&mut random).map_err(std::io::Error::other)?;
    // Hexadecimal: no key of ours may look as if it held one of Chutes.
    Ok(random.iter().fold("rip_".to_owned(), |key, byte| format!("{key}{byte:02x}")))
}

// === impl Bearer ===

impl Bearer {
    fn new(number: u32, client: u32, key: Option<&KnownKey>) -> Arc<Self> {
        Arc::new(Self {
            number,
            client,
            label: key.map(|key| Arc::clone(&key.name)),
            policy: key.map(|key| key.policy).unwrap_or_default(),
            rights: key.map(|key| key.rights.clone()).unwrap_or_default(),
            ended: CancellationToken::new(),
            paid: Mutex::default(),
            meter: Mutex::default(),
            freed: Notify::new(),
        })
    }

    /// What the balance paid today. Held while something is added to it, so that of two calls each sees the other.
    pub(crate) fn paid(&self) -> MutexGuard<'_, PaidToday> {
        self.paid.lock()
    }

    /// A call that the balance may have paid for ended, at this cost.
    pub(crate) fn settle(&self, likely: NanoUsd, cost: NanoUsd, now: Wall) {
        self.paid.lock().settle(likely, cost, now);
    }

    /// Whether calls are under way that the balance may pay for.
    pub(crate) fn has_open_paid(&self) -> bool {
        self.paid.lock().has_open()
    }

    fn remember(&self, before: UsedBefore, now: Wall) {
        self.settle(NanoUsd::ZERO, before.paid, now);
        self.meter.lock().remember(before.share, now);
    }

    fn is_of(&self, key: &KnownKey) -> bool {
        self.policy == key.policy
            && self.rights == key.rights
            && self.label.as_deref() == Some(&*key.name)
    }
}

// === impl KnownKey ===

impl KnownKey {
    /// Why it is not in force, if it is not.
    fn ended(&self, now: Wall) -> Option<Ended> {
        let has_expired = self.rights.expires_at.is_some_and(|end| end <= now);
        if self.is_revoked { Some(Ended::Revoked) } else { has_expired.then_some(Ended::Expired) }
    }
}

// === impl Spender ===

impl Spender {
    pub(crate) fn new(bearer: Arc<Bearer>, asked: Work) -> Self {
        let work = bearer.policy.work(asked);
        Self { bearer, work }
    }

    pub(crate) const fn work(&self) -> Work {
        self.work
    }

    /// Requests that an account's budget lets in together.
    pub(crate) fn class(&self) -> Class {
        Class { bearer: self.bearer.number, work: self.work }
    }
}

// === impl Bearers ===

impl Default for Bearers {
    /// Nobody has a key, and nobody needs one.
    fn default() -> Self {
        Self::new(false)
    }
}

impl Bearers {
    /// Nobody has a key yet. Where one `is_required`, nobody gets in without one, whatever becomes of the keys.
    pub(crate) fn new(is_required: bool) -> Self {
        let known =
            Known { next_number: 1, next_client: 1, wants_key: is_required, ..Known::default() };
        Self { anyone: Bearer::new(0, 0, None), is_required, known: RwLock::new(known) }
    }

    /// Whoever needs no key: what the accounts' own policies say.
    pub(crate) fn anyone(&self) -> Spender {
        Spender::new(Arc::clone(&self.anyone), Work::Interactive)
    }

    /// Whose request this is.
    pub(crate) fn bearer_of(&self, headers: &HeaderMap, now: Wall) -> Result<Arc<Bearer>, Refusal> {
        let known = self.known.read();
        if !known.wants_key {
            return Ok(Arc::clone(&self.anyone));
        }
        let Some(sent) = sent_key(headers) else {
            return Err(refused(
                "this gateway asks for a client key: set it as the API key of your client. Whoever runs the gateway makes \
                 one with `ripcord keys add NAME`",
            ));
        };
        let digest = ripcord_store::ClientKey::digest(sent);
        let found = find(&known.keys, &digest).map(Arc::clone);
        match (found, find(&known.ended, &digest)) {
            (Some(bearer), _) => match bearer.rights.expires_at.filter(|end| *end <= now) {
                Some(_) => Err(Refusal::key_ended(Ended::Expired)),
                None => Ok(bearer),
            },
            (None, Some(ended)) => Err(Refusal::key_ended(*ended)),
            (None, None) => Err(refused(
                "the client key is not one of this gateway; whoever runs it sees with `ripcord keys list` which there are",
            )),
        }
    }

    /// Whether callers need a key.
    pub(crate) fn wants_key(&self) -> bool {
        self.known.read().wants_key
    }

    /// Whether a key is in force.
    pub(crate) fn knows(&self, digest: &[u8; 32]) -> bool {
        self.known.read().keys.iter().any(|(known, _)| known == digest)
    }

    /// The bearers of keys that are in force, as they were added.
    pub(crate) fn with_keys(&self) -> Vec<Arc<Bearer>> {
        self.known.read().keys.iter().map(|(_, bearer)| Arc::clone(bearer)).collect()
    }

    /// One spender of each class in use.
    pub(crate) fn spenders(&self) -> Vec<Spender> {
        let known = self.known.read();
        let mut spenders: Vec<Spender> = Vec::new();
        for bearer in [&self.anyone].into_iter().chain(known.keys.iter().map(|(_, bearer)| bearer))
        {
            for work in [Work::Interactive, Work::Background] {
                let spender = Spender::new(Arc::clone(bearer), work);
                if !spenders.iter().any(|other| other.class() == spender.class()) {
                    spenders.push(spender);
                }
            }
        }
        spenders
    }

    /// Takes over the keys there are now; whether anything changed. Whoever has a key keeps what it has used.
    pub(crate) fn learn(
        &self,
        keys: &[KnownKey],
        before: impl Fn(&str) -> UsedBefore,
        now: Wall,
    ) -> bool {
        let mut known = self.known.write();
        let (valid, gone): (Vec<&KnownKey>, Vec<&KnownKey>) =
            keys.iter().partition(|key| key.ended(now).is_none());
        let ended = gone.iter().filter_map(|key| Some((key.digest, key.ended(now)?)));
        known.ended = ended.collect();
        let wants_key = self.is_required || !keys.is_empty();
        let is_same_key = |(digest, bearer): &([u8; 32], Arc<Bearer>), key: &KnownKey| {
            *digest == key.digest && bearer.is_of(key)
        };
        let unchanged = known.wants_key == wants_key
            && known.keys.len() == valid.len()
            && known.keys.iter().zip(&valid).all(|(old, new)| is_same_key(old, new));
        if unchanged {
            return false;
        }
        let mut taken = Vec::with_capacity(valid.len());
        for key in valid {
            let old = known.keys.iter().find(|old| is_same_key(old, key));
            let bearer = match old {
                Some((_, bearer)) => Arc::clone(bearer),
                None => {
                    let number = known.number_for(&key.policy, &taken);
                    let bearer = Bearer::new(number, known.next_client, Some(key));
                    known.next_client = known.next_client.wrapping_add(1).max(1);
                    bearer.remember(before(&key.name), now);
                    bearer
                }
            };
            taken.push((key.digest, bearer));
        }
        for (digest, bearer) in &known.keys {
            if !taken.iter().any(|(other, _)| other == digest) {
                bearer.ended.cancel();
            }
        }
        known.keys = taken;
        known.wants_key = wants_key;
        true
    }

    /// Takes keys out of force whose time has come; whether there were any.
    pub(crate) fn expire(&self, now: Wall) -> bool {
        let mut known = self.known.write();
        let has_expired = |bearer: &Bearer| bearer.rights.expires_at.is_some_and(|end| end <= now);
        let (gone, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut known.keys)
            .into_iter()
            .partition(|(_, bearer)| has_expired(bearer));
        known.keys = kept;
        for (digest, bearer) in &gone {
            bearer.ended.cancel();
            known.ended.push((*digest, Ended::Expired));
        }
        !gone.is_empty()
    }
}

impl Known {
    /// The number of those with the same policy; one of its own for whoever has something of its own to count.
    fn number_for(&mut self, policy: &ClientPolicy, taken: &[([u8; 32], Arc<Bearer>)]) -> u32 {
        if *policy == ClientPolicy::default() {
            // As whoever needs no key.
            return 0;
        }
        let alike = |bearer: &&Arc<Bearer>| bearer.policy == *policy;
        let bearers = self.keys.iter().chain(taken).map(|(_, bearer)| bearer);
        match bearers.clone().find(alike).filter(|_| policy.daily_bound().is_none()) {
            Some(bearer) => bearer.number,
            None => {
                self.next_number += 1;
                self.next_number - 1
            }
        }
    }
}

/// What the client sent as its key.
pub(crate) fn sent_key(headers: &HeaderMap) -> Option<&str> {
    let authorization = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = authorization.map(|text| {
        let scheme = text.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("bearer "));
        scheme.map_or(text, |_| &text[7..])
    });
    let other =
        || headers.get(HeaderName::from_static("x-api-key")).and_then(|value| value.to_str().ok());
    bearer.or_else(other).map(str::trim).filter(|key| !key.is_empty())
}

/// What belongs to the key of this digest. All of them are looked at, each in the same time: how long it takes tells
/// nothing.
fn find<'a, T>(keys: &'a [([u8; 32], T)], digest: &[u8; 32]) -> Option<&'a T> {
    let mut found = None;
    for (of_key, what) in keys {
        if is_same(of_key, digest) {
            found = Some(what);
        }
    }
    found
}

/// In the same time wherever they differ.
pub(crate) fn is_same(one: &[u8; 32], other: &[u8; 32]) -> bool {
    let difference = one.iter().zip(other).fold(0, |all, (one, other)| all | (one ^ other));
    std::hint::black_box(difference) == 0
}

fn refused(message: &str) -> Refusal {
    Refusal::of_request(StatusCode::UNAUTHORIZED, "invalid_api_key", message)
}

#[cfg(test)]
mod tests;
