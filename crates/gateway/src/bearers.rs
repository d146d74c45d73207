//! Who spends: whoever may call without a client key, or the bearer of one, each with its own policy within that of the
//! accounts.

use crate::refusal::Refusal;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, StatusCode};
use parking_lot::{Mutex, MutexGuard, RwLock};
use ripcord_rules::admit::Class;
use ripcord_rules::quota::{ClientPolicy, Work};
use ripcord_rules::time::Wall;
use ripcord_rules::units::NanoUsd;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Somebody with a policy.
pub(crate) struct Bearer {
    /// Those with one number have one policy and nothing of their own to count.
    number: u32,
    /// The name of its client key; `None` where no key is asked for.
    pub(crate) label: Option<Arc<str>>,
    pub(crate) policy: ClientPolicy,
    is_revoked: AtomicBool,
    paid: Mutex<PaidToday>,
}

/// A bearer, and for whom this request of its is.
#[derive(Clone)]
pub(crate) struct Spender {
    pub(crate) bearer: Arc<Bearer>,
    work: Work,
}

/// What the balance paid, or is about to pay, for a bearer's calls on one day.
#[derive(Clone, Debug, Default)]
pub(crate) struct PaidToday {
    /// By the day, counted from 1970. A clock that was set may bring one back, so the last few are known.
    settled: BTreeMap<i64, NanoUsd>,
    /// For calls under way, at what they are likely to cost.
    open: NanoUsd,
}

/// One client key, as the gateway knows it: never the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KnownKey {
    pub(crate) name: Arc<str>,
    pub(crate) digest: [u8; 32],
    pub(crate) policy: ClientPolicy,
    pub(crate) is_revoked: bool,
}

/// Everybody who may call.
pub(crate) struct Bearers {
    anyone: Arc<Bearer>,
    known: RwLock<Known>,
}

#[derive(Default)]
struct Known {
    /// Whether a key is asked for: also while all of them are revoked.
    wants_key: bool,
    keys: Vec<([u8; 32], Arc<Bearer>)>,
    next_number: u32,
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

// === impl PaidToday ===

impl PaidToday {
    /// What was paid on the day of `now`, what is under way included.
    pub(crate) fn all(&self, now: Wall) -> NanoUsd {
        self.settled.get(&day_of(now)).map_or(self.open, |settled| settled.plus(self.open))
    }

    pub(crate) fn reserve(&mut self, likely: NanoUsd) {
        self.open = self.open.plus(likely);
    }

    fn settle(&mut self, likely: NanoUsd, cost: NanoUsd, now: Wall) {
        self.open = NanoUsd(self.open.0.saturating_sub(likely.0).max(0));
        let day = day_of(now);
        self.settled.retain(|known, _| known.abs_diff(day) <= 3);
        let settled = self.settled.entry(day).or_default();
        *settled = settled.plus(cost);
    }
}

const fn day_of(now: Wall) -> i64 {
    now.as_unix_seconds().div_euclid(86_400)
}

// === impl Bearer ===

impl Bearer {
    fn new(number: u32, label: Option<Arc<str>>, policy: ClientPolicy) -> Arc<Self> {
        Arc::new(Self {
            number,
            label,
            policy,
            is_revoked: AtomicBool::new(false),
            paid: Mutex::default(),
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
        self.paid.lock().open > NanoUsd::ZERO
    }

    pub(crate) fn is_revoked(&self) -> bool {
        self.is_revoked.load(Ordering::Relaxed)
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
        let known = Known { next_number: 1, ..Known::default() };
        Self { anyone: Bearer::new(0, None, ClientPolicy::default()), known: RwLock::new(known) }
    }
}

impl Bearers {
    /// Whoever needs no key: what the accounts' own policies say.
    pub(crate) fn anyone(&self) -> Spender {
        Spender::new(Arc::clone(&self.anyone), Work::Interactive)
    }

    /// Whose request this is.
    pub(crate) fn bearer_of(&self, headers: &HeaderMap) -> Result<Arc<Bearer>, Refusal> {
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
        let mut found = None;
        // All of them, each in the same time: how long it takes tells nothing.
        for (of_key, bearer) in &known.keys {
            if is_same(of_key, &digest) {
                found = Some(bearer);
            }
        }
        found.map(Arc::clone).ok_or_else(|| {
            refused(
                "the client key is not one of this gateway, or was revoked; `ripcord keys list` shows which there are",
            )
        })
    }

    /// Whether callers need a key.
    pub(crate) fn wants_key(&self) -> bool {
        self.known.read().wants_key
    }

    /// Whether a key is in force.
    pub(crate) fn knows(&self, digest: &[u8; 32]) -> bool {
        self.known.read().keys.iter().any(|(known, _)| known == digest)
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

    /// Takes over the keys there are now; whether anything changed. Whoever has a key keeps what it has paid today.
    pub(crate) fn learn(
        &self,
        keys: &[KnownKey],
        paid: impl Fn(&str) -> NanoUsd,
        now: Wall,
    ) -> bool {
        let mut known = self.known.write();
        let is_same_key = |(digest, bearer): &([u8; 32], Arc<Bearer>), key: &KnownKey| {
            *digest == key.digest
                && bearer.policy == key.policy
                && bearer.label.as_deref() == Some(&*key.name)
        };
        let valid: Vec<&KnownKey> = keys.iter().filter(|key| !key.is_revoked).collect();
        let unchanged = known.wants_key != keys.is_empty()
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
                    let bearer = Bearer::new(number, Some(Arc::clone(&key.name)), key.policy);
                    bearer.settle(NanoUsd::ZERO, paid(&key.name), now);
                    bearer
                }
            };
            taken.push((key.digest, bearer));
        }
        for (digest, bearer) in &known.keys {
            if !taken.iter().any(|(other, _)| other == digest) {
                bearer.is_revoked.store(true, Ordering::Relaxed);
            }
        }
        known.keys = taken;
        known.wants_key = !keys.is_empty();
        true
    }
}

impl Known {
    /// The number of those with the same policy; one of its own for whoever has something of its own to count.
    fn number_for(&mut self, policy: &ClientPolicy, taken: &[([u8; 32], Arc<Bearer>)]) -> u32 {
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
fn sent_key(headers: &HeaderMap) -> Option<&str> {
    let authorization = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = authorization.map(|text| {
        let scheme = text.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("bearer "));
        scheme.map_or(text, |_| &text[7..])
    });
    let other =
        || headers.get(HeaderName::from_static("x-api-key")).and_then(|value| value.to_str().ok());
    bearer.or_else(other).map(str::trim).filter(|key| !key.is_empty())
}

/// In the same time wherever they differ.
fn is_same(one: &[u8; 32], other: &[u8; 32]) -> bool {
    let difference = one.iter().zip(other).fold(0, |all, (one, other)| all | (one ^ other));
    std::hint::black_box(difference) == 0
}

fn refused(message: &str) -> Refusal {
    Refusal::of_request(StatusCode::UNAUTHORIZED, "invalid_api_key", message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use ripcord_rules::quota::Paygo;

    const NOON: Wall = Wall::from_unix_seconds(1_790_510_400);

    fn key(name: &str, policy: ClientPolicy) -> KnownKey {
        let digest = ripcord_store::ClientKey::digest(&format!("rk_{name}"));
        KnownKey { name: name.into(), digest, policy, is_revoked: false }
    }

    fn asks(
        bearers: &Bearers,
        header: &'static str,
        value: &str,
    ) -> Result<Option<Arc<str>>, StatusCode> {
        let mut headers = HeaderMap::new();
        headers.insert(header, HeaderValue::from_str(value).unwrap());
        let bearer = bearers.bearer_of(&headers).map_err(|refusal| refusal.status)?;
        Ok(bearer.label.clone())
    }

    #[test]
    fn as_soon_as_there_is_a_key_one_is_asked_for() {
        let bearers = Bearers::default();
        assert_eq!(asks(&bearers, "authorization", "Bearer anything"), Ok(None));
        assert!(bearers.bearer_of(&HeaderMap::new()).is_ok());
        let keys = [key("one", ClientPolicy::default()), key("two", ClientPolicy::default())];
        assert!(bearers.learn(&keys, |_| NanoUsd::ZERO, NOON));
        assert!(!bearers.learn(&keys, |_| NanoUsd::ZERO, NOON), "nothing new");
        let unauthorized = Err(StatusCode::UNAUTHORIZED);
        assert!(bearers.bearer_of(&HeaderMap::new()).is_err());
        assert_eq!(asks(&bearers, "authorization", "Bearer rk_three"), unauthorized);
        assert_eq!(asks(&bearers, "authorization", "Bearer "), unauthorized);
        for (header, value) in [
            ("authorization", "Bearer rk_two"),
            ("authorization", "rk_two"),
            ("x-api-key", "rk_two"),
        ] {
            assert_eq!(asks(&bearers, header, value), Ok(Some("two".into())), "{header}: {value}");
        }
        let held = bearers.spenders();
        let revoked = [keys[0].clone(), KnownKey { is_revoked: true, ..keys[1].clone() }];
        assert!(bearers.learn(&revoked, |_| NanoUsd::ZERO, NOON));
        assert_eq!(asks(&bearers, "x-api-key", "rk_two"), unauthorized);
        assert_eq!(asks(&bearers, "x-api-key", "rk_one"), Ok(Some("one".into())));
        // Also with none that is left: nobody gets in because the last key was revoked.
        bearers.learn(&revoked[1..], |_| NanoUsd::ZERO, NOON);
        assert_eq!(asks(&bearers, "x-api-key", "rk_one"), unauthorized);
        assert!(held.iter().skip(2).all(|spender| spender.bearer.is_revoked()));
        bearers.learn(&[], |_| NanoUsd::ZERO, NOON);
        assert_eq!(asks(&bearers, "x-api-key", "rk_one"), Ok(None));
    }

    #[test]
    fn those_with_one_policy_are_one_class_unless_they_have_something_to_count() {
        let bearers = Bearers::default();
        let daily =
            ClientPolicy { paygo: Paygo::Daily(NanoUsd::from_cents(5)), ..ClientPolicy::default() };
        let never =
            ClientPolicy { paygo: Paygo::Never, may_use_reserve: false, ..ClientPolicy::default() };
        let keys = [key("a", never), key("b", never), key("c", daily), key("d", daily)];
        bearers.learn(&keys, |name| NanoUsd::from_cents(i64::from(name == "c")), NOON);
        // Anyone's two, one for those who may not use the reserve, two for each that counts.
        assert_eq!(bearers.spenders().len(), 2 + 1 + 2 + 2);
        let paid = |name: &str| {
            let spenders = bearers.spenders();
            let mut found = spenders.iter().filter(|one| one.bearer.label.as_deref() == Some(name));
            let spender = found.next().unwrap();
            spender.bearer.paid().all(NOON)
        };
        assert_eq!((paid("c"), paid("d")), (NanoUsd::from_cents(1), NanoUsd::ZERO));
        // Another key beside it changes nothing of what it has paid.
        bearers.learn(&keys[1..], |_| NanoUsd::ZERO, NOON);
        assert_eq!(paid("c"), NanoUsd::from_cents(1));
    }

    #[test]
    fn what_a_key_has_paid_is_of_one_day() {
        let mut paid = PaidToday::default();
        let cents = NanoUsd::from_cents;
        assert_eq!(paid.all(NOON), NanoUsd::ZERO);
        paid.reserve(cents(50));
        assert_eq!(paid.all(NOON), cents(50));
        paid.settle(cents(50), cents(20), NOON);
        paid.reserve(cents(30));
        assert_eq!(paid.all(NOON), cents(50));
        let tomorrow = NOON.after(std::time::Duration::from_secs(43_200));
        assert_eq!(paid.all(tomorrow), cents(30), "what runs over midnight counts on the new day");
        paid.settle(cents(30), cents(30), tomorrow);
        assert_eq!(paid.all(tomorrow), cents(30));
        // The clock was ahead: it is still the day before, on which twenty were paid.
        assert_eq!(paid.all(NOON), cents(20));
        paid.settle(NanoUsd::ZERO, cents(1), NOON);
        assert_eq!((paid.all(NOON), paid.all(tomorrow)), (cents(21), cents(30)));
    }
}
