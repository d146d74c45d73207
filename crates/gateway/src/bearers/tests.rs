use super::*;
use http::HeaderValue;
use ripcord_rules::quota::Paygo;

fn paid_before(cents: i64) -> UsedBefore {
    UsedBefore { paid: NanoUsd::from_cents(cents), ..UsedBefore::default() }
}

const NOON: Wall = Wall::from_unix_seconds(1_790_510_400);

fn key(name: &str, policy: ClientPolicy) -> KnownKey {
    let digest = ripcord_store::ClientKey::digest(&format!("rk_{name}"));
    KnownKey { name: name.into(), digest, policy, rights: Rights::default(), is_revoked: false }
}

fn asks(
    bearers: &Bearers,
    header: &'static str,
    value: &str,
) -> Result<Option<Arc<str>>, StatusCode> {
    let mut headers = HeaderMap::new();
    headers.insert(header, HeaderValue::from_str(value).unwrap());
    let bearer = bearers.bearer_of(&headers, NOON).map_err(|refusal| refusal.status)?;
    Ok(bearer.label.clone())
}

#[test]
fn as_soon_as_there_is_a_key_one_is_asked_for() {
    let bearers = Bearers::default();
    assert_eq!(asks(&bearers, "authorization", "Bearer anything"), Ok(None));
    assert!(bearers.bearer_of(&HeaderMap::new(), NOON).is_ok());
    let keys = [key("one", ClientPolicy::default()), key("two", ClientPolicy::default())];
    assert!(bearers.learn(&keys, |_| UsedBefore::default(), NOON));
    assert!(!bearers.learn(&keys, |_| UsedBefore::default(), NOON), "nothing new");
    let unauthorized = Err(StatusCode::UNAUTHORIZED);
    assert!(bearers.bearer_of(&HeaderMap::new(), NOON).is_err());
    assert_eq!(asks(&bearers, "authorization", "Bearer rk_three"), unauthorized);
    assert_eq!(asks(&bearers, "authorization", "Bearer "), unauthorized);
    for (header, value) in
        [("authorization", "Bearer rk_two"), ("authorization", "rk_two"), ("x-api-key", "rk_two")]
    {
        assert_eq!(asks(&bearers, header, value), Ok(Some("two".into())), "{header}: {value}");
    }
    let held = bearers.spenders();
    let revoked = [keys[0].clone(), KnownKey { is_revoked: true, ..keys[1].clone() }];
    assert!(bearers.learn(&revoked, |_| UsedBefore::default(), NOON));
    assert_eq!(asks(&bearers, "x-api-key", "rk_two"), unauthorized);
    assert_eq!(asks(&bearers, "x-api-key", "rk_one"), Ok(Some("one".into())));
    // Also with none that is left: nobody gets in because the last key was revoked.
    bearers.learn(&revoked[1..], |_| UsedBefore::default(), NOON);
    assert_eq!(asks(&bearers, "x-api-key", "rk_one"), unauthorized);
    assert!(held.iter().skip(2).all(|spender| spender.bearer.has_ended()));
    bearers.learn(&[], |_| UsedBefore::default(), NOON);
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
    bearers.learn(&keys, |name| paid_before(i64::from(name == "c")), NOON);
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
    bearers.learn(&keys[1..], |_| UsedBefore::default(), NOON);
    assert_eq!(paid("c"), NanoUsd::from_cents(1));
}

#[test]
fn whose_time_has_come_is_told_so_and_whoever_never_had_a_key_is_not() {
    let bearers = Bearers::default();
    let later = NOON.after(std::time::Duration::from_secs(60));
    let mut ends = key("ends", ClientPolicy::default());
    ends.rights.expires_at = Some(later);
    let keys = [ends, key("stays", ClientPolicy::default())];
    bearers.learn(&keys, |_| UsedBefore::default(), NOON);
    let says = |bearers: &Bearers, name: &str, now| {
        let mut headers = HeaderMap::new();
        headers.insert("x-api-key", HeaderValue::from_str(name).unwrap());
        bearers.bearer_of(&headers, now).err().map(|refusal| refusal.message().to_owned())
    };
    assert_eq!(says(&bearers, "rk_ends", NOON), None);
    let held = bearers.with_keys().remove(0);
    // To the moment, also before anybody has looked at the keys again.
    assert!(says(&bearers, "rk_ends", later).unwrap().contains("expired"));
    assert!(!held.has_ended());
    assert!(bearers.expire(later) && held.has_ended());
    assert!(!bearers.expire(later));
    assert!(says(&bearers, "rk_ends", later).unwrap().contains("expired"));
    assert!(says(&bearers, "rk_nobody", later).unwrap().contains("not one of this gateway"));
    assert_eq!(says(&bearers, "rk_stays", later), None);
    // The ledger still lists it.
    assert!(!bearers.learn(&keys, |_| UsedBefore::default(), later));
    let revoked = [KnownKey { is_revoked: true, ..keys[1].clone() }];
    bearers.learn(&revoked, |_| UsedBefore::default(), later);
    assert!(says(&bearers, "rk_stays", later).unwrap().contains("revoked"));
}

#[test]
fn where_a_key_is_required_nobody_gets_in_when_all_keys_are_gone() {
    let bearers = Bearers::new(true);
    assert!(bearers.wants_key());
    assert!(bearers.bearer_of(&HeaderMap::new(), NOON).is_err());
    bearers.learn(&[key("one", ClientPolicy::default())], |_| UsedBefore::default(), NOON);
    bearers.learn(&[], |_| UsedBefore::default(), NOON);
    assert_eq!(asks(&bearers, "x-api-key", "rk_one"), Err(StatusCode::UNAUTHORIZED));
}

#[test]
fn shares_make_no_classes_and_every_key_has_its_own_turn() {
    let bearers = Bearers::default();
    let keys: Vec<KnownKey> = (0..5)
        .map(|number| {
            let mut key = key(&number.to_string(), ClientPolicy::default());
            key.rights.limits.daily_usd = Some(NanoUsd::from_cents(number));
            key
        })
        .collect();
    bearers.learn(&keys, |_| UsedBefore::default(), NOON);
    assert_eq!(bearers.spenders().len(), 2, "one policy, so the two of everybody");
    let clients: Vec<u32> = bearers.with_keys().iter().map(|bearer| bearer.client).collect();
    assert_eq!(clients, [1, 2, 3, 4, 5]);
}
