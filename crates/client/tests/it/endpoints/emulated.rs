//! Whole stories against the emulator, which was written from the same facts by other hands.

use chutes_emulator::{
    AccountSpec, KeyKind, ModelSpec, PlanSpec, StateSpec, TokenSpec, TokenState,
};
use ripcord_client::chutes::{
    ExportHour, ExportKind, KeyStanding, Nonce, PageQuery, RecentQuery, StatisticsQuery,
};
use ripcord_client::error::{Blame, ErrorKind};
use ripcord_client::oauth::{App, Callback, OAuthFault, Verifier};
use ripcord_rules::cause::Cause;
use ripcord_wire::chutes::{NewApiKey, NewModelAlias};
use ripcord_wire::secret::Secret;
use ripcord_wire::time::Day;

use super::*;
use crate::server::read_answer;

const HOT: &str = "acme/Hot";
const COLD: &str = "acme/Cold";

async fn acme() -> Running {
    let mut pro = AccountSpec::new("pro", PlanSpec::Pro)
        .keys(&[KeyKind::Admin, KeyKind::Invoke, KeyKind::NoScope])
        .token(&["profile", "chutes:invoke"])
        .token(&["quota"])
        .token(&["chutes:invoke"])
        .token(&["balance"]);
    for state in [TokenState::Expired, TokenState::Revoked] {
        pro.tokens.push(TokenSpec { state, ..TokenSpec::new(&["admin"]) });
    }
    pro.balance_usd = 5.0;
    let mut cold = ModelSpec::new(COLD);
    cold.state = StateSpec::Cold;
    let scenario = Scenario::empty()
        .stopped_at("2026-11-20T11:30:00")
        .account(pro)
        .account(AccountSpec::new("broke", PlanSpec::Pro).keys(&[KeyKind::Admin]))
        .model(ModelSpec { tee: true, ..ModelSpec::new(HOT) })
        .model(cold);
    Emulator::start(scenario).await.unwrap()
}

fn with_token(emulator: &Running, index: usize) -> Chutes {
    let token = Scenario::oauth_token("pro", index);
    client(&emulator.url()).with_key(Key::parse(&token).unwrap().0)
}

#[tokio::test]
async fn what_each_credential_is_good_for() {
    let emulator = acme().await;
    let alive = |calls_models, reads_account| KeyStanding::Alive { calls_models, reads_account };
    for (index, expected) in
        [alive(true, true), alive(true, false), KeyStanding::Dead].into_iter().enumerate()
    {
        let chutes = client(&emulator.url()).with_key(key("pro", index));
        assert_eq!(in_time(chutes.key_standing()).await.unwrap(), expected, "key {index}");
    }
    let expected = [
        alive(true, true),
        alive(false, true),
        alive(true, false),
        alive(false, false),
        KeyStanding::Dead,
        KeyStanding::Dead,
    ];
    for (index, expected) in expected.into_iter().enumerate() {
        let chutes = with_token(&emulator, index);
        assert_eq!(in_time(chutes.key_standing()).await.unwrap(), expected, "token {index}");
    }
    // Nothing of this is paid for.
    assert_eq!(emulator.control().account("pro").unwrap().day_milli_units, 0);
}

#[tokio::test]
async fn a_login_from_the_browser_to_the_last_token() {
    let emulator = acme().await;
    let chutes = client(&emulator.url());
    let discovery = in_time(chutes.oauth_discovery()).await.unwrap().value;
    assert!(discovery.token_endpoint.unwrap().ends_with("/idp/token"));
    let app = App {
        client_id: "cid_emulator".to_owned(),
        client_secret: Some(Secret::new("csc_canarySecret")),
        redirect_uri: "http://127.0.0.1:9/back".to_owned(),
    };
    let verifier = Verifier::from_random([9; 32]);
    let url = chutes.authorization_url(&app, &["profile", "chutes:invoke"], "s1", &verifier);
    let answer = read_answer(&url).await;
    let location = answer.lines().find_map(|line| line.strip_prefix("location: ")).unwrap();
    let code = Callback::parse(location, "s1").unwrap().code;

    let tokens = in_time(chutes.exchange_code(&app, &code, &verifier)).await.unwrap().value;
    assert_eq!(tokens.scopes().collect::<Vec<_>>(), ["profile", "chutes:invoke"]);
    let access = tokens.access_token.unwrap();
    let signed_in = chutes.clone().with_key(Key::parse(access.expose()).unwrap().0);
    let user = in_time(signed_in.userinfo()).await.unwrap().value;
    assert_eq!(user.username.as_deref(), Some("pro"));
    in_time(signed_in.chat(chat(HOT, false))).await.unwrap();

    // A code and a refresh token are good for once.
    let refused = |error: &ripcord_client::error::Error| {
        matches!(error.kind(), ErrorKind::OAuthRefused { fault: OAuthFault::InvalidGrant, .. })
    };
    let error = in_time(chutes.exchange_code(&app, &code, &verifier)).await.unwrap_err();
    assert!(refused(&error), "{error:?}");
    let refresh = tokens.refresh_token.unwrap();
    let next = in_time(chutes.refresh_tokens(&app, &refresh)).await.unwrap().value;
    assert!(next.access_token.is_some() && next.access_token != Some(access.clone()));
    assert!(refused(&in_time(chutes.refresh_tokens(&app, &refresh)).await.unwrap_err()));

    let found = in_time(chutes.introspect_token(&access)).await.unwrap().value;
    assert_eq!((found.active, found.username.as_deref()), (Some(true), Some("pro")));
    in_time(chutes.revoke_token(&access)).await.unwrap();
    let found = in_time(chutes.introspect_token(&access)).await.unwrap().value;
    assert_eq!((found.active, found.exp), (Some(false), None));
    assert_eq!(in_time(signed_in.key_standing()).await.unwrap(), KeyStanding::Dead);
}

#[tokio::test]
async fn a_key_is_made_used_and_deleted() {
    let emulator = acme().await;
    let chutes = client(&emulator.url()).with_key(key("pro", 0));
    let made = in_time(chutes.create_api_key(&NewApiKey::for_models("gw"))).await.unwrap().value;
    let id = made.key.api_key_id.unwrap();
    let gateway = Key::parse(made.secret_key.unwrap().expose()).unwrap().0;
    assert_eq!(gateway.account_id(), key("pro", 0).account_id());
    let gateway = client(&emulator.url()).with_key(gateway);
    in_time(gateway.chat(chat(HOT, false))).await.unwrap();
    assert!(in_time(gateway.quota_usage()).await.unwrap_err().is_forbidden());
    let again = in_time(chutes.create_api_key(&NewApiKey::for_models("gw"))).await.unwrap_err();
    assert_eq!((again.status(), again.blame()), (Some(409), Blame::You));

    let keys = in_time(chutes.api_keys(PageQuery::default())).await.unwrap().value;
    assert!(keys.items.iter().any(|key| key.name.as_deref() == Some("gw")));
    assert_eq!(in_time(chutes.api_key(&id)).await.unwrap().value.name.as_deref(), Some("gw"));
    let gone = in_time(chutes.delete_api_key(&id)).await.unwrap().value;
    assert_eq!(gone.deleted, Some(true));
    assert_eq!(in_time(chutes.api_key(&id)).await.unwrap_err().status(), Some(404));
}

#[tokio::test]
async fn an_alias_is_a_name_for_a_model() {
    let emulator = acme().await;
    let chutes = client(&emulator.url()).with_key(key("pro", 0));
    let alias = NewModelAlias { alias: "Work".to_owned(), chute_ids: vec![HOT.to_owned()] };
    let put = in_time(chutes.put_model_alias(&alias)).await.unwrap().value;
    assert_eq!(put.alias.as_deref(), Some("work"));
    assert_eq!(in_time(chutes.model_aliases()).await.unwrap().value.len(), 1);
    in_time(chutes.delete_model_alias("WORK")).await.unwrap();
    let error = in_time(chutes.delete_model_alias("work")).await.unwrap_err();
    assert!(error.to_string().ends_with("alias not found"), "{error}");
    let wrong = NewModelAlias { alias: "x".to_owned(), chute_ids: vec!["no/such".to_owned()] };
    let error = in_time(chutes.put_model_alias(&wrong)).await.unwrap_err();
    assert_eq!((error.status(), error.blame()), (Some(400), Blame::You));
}

#[tokio::test]
async fn evidence_until_the_platform_has_enough() {
    let emulator = acme().await;
    let chutes = client(&emulator.url()).with_key(key("pro", 0));
    let nonce = Nonce::from_bytes([0x5a; 32]);
    let evidence = in_time(chutes.evidence(HOT, &nonce)).await.unwrap().value;
    let instance = evidence.evidence[0].instance_id.clone().unwrap();
    let one = in_time(chutes.instance_evidence(&instance, &nonce)).await.unwrap().value;
    assert_eq!(one.quote, evidence.evidence[0].quote);
    let exchange = in_time(chutes.key_exchange(&Scenario::chute_id(HOT))).await.unwrap().value;
    assert!(!exchange.instances.is_empty());
    let error = in_time(chutes.evidence(COLD, &nonce)).await.unwrap_err();
    assert_eq!((error.status(), error.blame()), (Some(400), Blame::You));
    let mut limited = None;
    for _ in 0..100 {
        if let Err(error) = in_time(chutes.evidence(HOT, &nonce)).await {
            limited = Some(error);
            break;
        }
    }
    let limited = limited.unwrap();
    assert_eq!(
        (limited.status(), limited.cause(), limited.blame()),
        (Some(429), Some(Cause::Transient), Blame::Chutes)
    );
}

#[tokio::test]
async fn a_warm_up_raises_a_bounty_and_needs_balance() {
    let emulator = acme().await;
    let chutes = client(&emulator.url()).with_key(key("pro", 0));
    let quick = in_time(chutes.quick_warm_up_raising_a_bounty(COLD)).await.unwrap().value;
    assert_eq!(quick.status.as_deref(), Some("cold"));
    let bounties = in_time(chutes.bounties()).await.unwrap().value;
    let cold = Scenario::chute_id(COLD);
    assert!(bounties.iter().any(|bounty| bounty.chute_id.as_ref() == Some(&cold)));
    let mut hot = in_time(chutes.warm_up_raising_a_bounty(HOT)).await.unwrap();
    assert_eq!(in_time(hot.next()).await.unwrap().unwrap().status.as_deref(), Some("hot"));
    assert!(in_time(hot.next()).await.is_none());
    let broke = client(&emulator.url()).with_key(key("broke", 0));
    let error = in_time(broke.warm_up_raising_a_bounty(COLD)).await.unwrap_err();
    assert_eq!((error.status(), error.blame()), (Some(402), Blame::Account));
}

#[tokio::test]
async fn calls_are_in_the_exports() {
    let emulator = acme().await;
    let chutes = client(&emulator.url()).with_key(key("pro", 1));
    in_time(chutes.chat(chat(HOT, false))).await.unwrap();
    let recent = in_time(chutes.recent_invocations(&RecentQuery::default())).await.unwrap().value;
    let table = recent.table();
    let chute = Scenario::chute_id(HOT);
    assert!(table.rows().any(|row| row.get("chute_id") == Some(&chute)), "{}", recent.text());
    let hour = |hour| ExportHour::new(Day::new(2026, 11, 20).unwrap(), hour).unwrap();
    let past = in_time(chutes.invocation_export(hour(10), ExportKind::Invocations)).await.unwrap();
    assert!(past.value.table().is_empty() && !past.value.table().columns().is_empty());
    let error = in_time(chutes.invocation_export(hour(23), ExportKind::Jobs)).await.unwrap_err();
    assert_eq!((error.status(), error.blame()), (Some(404), Blame::You));
}

#[tokio::test]
async fn the_public_figures_are_read() {
    let emulator = acme().await;
    let chutes = client(&emulator.url());
    let id = Scenario::chute_id(HOT);
    in_time(chutes.pricing()).await.unwrap();
    in_time(chutes.currency_prices()).await.unwrap();
    in_time(chutes.payments(PageQuery::default())).await.unwrap();
    in_time(chutes.tao_payments()).await.unwrap();
    assert_eq!(in_time(chutes.daily_revenue(Some(7))).await.unwrap().value.skipped, 0);
    assert_eq!(in_time(chutes.platform_usage()).await.unwrap().value.skipped, 0);
    in_time(chutes.diffusion_statistics(&StatisticsQuery::default())).await.unwrap();
    in_time(chutes.boosted_chutes()).await.unwrap();
    in_time(chutes.affine_chutes()).await.unwrap();
    in_time(chutes.rolling_updates()).await.unwrap();
    assert!(!in_time(chutes.gpu_counts()).await.unwrap().value.is_empty());
    assert!(!in_time(chutes.miner_means(&id)).await.unwrap().value.is_empty());
    assert!(!in_time(chutes.chute_code(&id)).await.unwrap().value.is_empty());
    in_time(chutes.name_check("mara")).await.unwrap();
    in_time(chutes.login_nonce()).await.unwrap();
    in_time(chutes.openrouter_models()).await.unwrap();
}
