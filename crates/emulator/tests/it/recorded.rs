//! The service of the recordings: its accounts, keys, tokens and models, and what earlier records had
//! done to it.

use std::collections::BTreeMap;

use chutes_emulator::{
    AccountChange, AccountSpec, Fault, KeyKind, Lag, ModelSpec, PlanSpec, PriceOverride, Running,
    Scenario, StateSpec, Template, TokenSpec, TokenState, TryOutcome, UsageRowSpec,
};
use serde_json::Value;

use crate::raw::{CHAT, chat, get, post};

/// The recorded keys by their names in the recordings, in the order of [`KEYS`].
const KEY_NAMES: [&str; 8] =
    ["", "invoke", "noscope", "chutesread", "chutesall", "invread", "onechute", "deleted"];
const KEYS: [KeyKind; 8] = [
    KeyKind::Admin,
    KeyKind::Invoke,
    KeyKind::NoScope,
    KeyKind::ChutesRead,
    KeyKind::ChutesAll,
    KeyKind::InvocationsRead,
    KeyKind::OneChute,
    KeyKind::Admin,
];
/// The recorded OAuth tokens, by their names and with their scopes.
const TOKENS: [(&str, &str); 11] = [
    ("invoke", "chutes:invoke"),
    ("one", "chutes:00000000-0000-0000-0000-000000000000:invoke"),
    ("account", "account:read"),
    ("quota", "quota"),
    ("usage", "usage"),
    ("balance", "balance"),
    ("profile", "profile"),
    ("chutesread", "chutes:read"),
    ("admin", "admin"),
    ("expired", "admin"),
    ("revoked", "admin"),
];

fn tokens() -> Vec<TokenSpec> {
    let token = |(name, scope): &(&str, &str)| TokenSpec {
        state: match *name {
            "expired" => TokenState::Expired,
            "revoked" => TokenState::Revoked,
            _ => TokenState::Valid,
        },
        ..TokenSpec::new(&[scope])
    };
    TOKENS.iter().map(token).collect()
}

/// The aliases that records before this one had made.
fn aliases(number: u64) -> BTreeMap<String, Vec<String>> {
    const COLD: [&str; 2] = ["moonshotai/Kimi-Cold", "moonshotai/Kimi-Cold2-TEE"];
    let alias = |name: &str, members: &[&str]| {
        (name.to_owned(), members.iter().map(|&member| member.to_owned()).collect())
    };
    match number {
        763..=815 => BTreeMap::from([
            alias("default", &[COLD[0], "deepseek-ai/DeepSeek-V3-Plain"]),
            alias("p", &["owner/Private"]),
            alias("frozen", &COLD),
        ]),
        _ => BTreeMap::new(),
    }
}

/// The recorded accounts and models.
pub(crate) fn scenario(record: &Value) -> Scenario {
    const HOT: &str = "deepseek-ai/DeepSeek-V3-Plain";
    let number = record["n"].as_u64().unwrap();
    let account = |name: &str, plan: PlanSpec| AccountSpec::new(name, plan).keys(&KEYS);
    let mut haggler = account("cntdisc", PlanSpec::Plus);
    haggler.discounts.insert("*".into(), 0.1);
    haggler.price_overrides.push(PriceOverride {
        model: HOT.into(),
        per_million_in: 0.1,
        per_million_out: 0.4,
        cache_discount: 0.9,
    });
    let mut free_user = account("freeuse", PlanSpec::Paygo).quota(300);
    free_user.free_calls = 99;
    let mut base = account("base", PlanSpec::Base);
    base.anchor = Some("2027-01-05T00:00:00".into());
    let mut overridden = account("rl", PlanSpec::Plus);
    overridden.rate_limit = 120;
    // The record before had put the counter just below the quota.
    let basex_used = if record["n"] == 393 { 299.9 } else { 300.0 };
    let accounts = vec![
        AccountSpec {
            tokens: tokens(),
            aliases: aliases(record["n"].as_u64().unwrap()),
            ..account("pro", PlanSpec::Pro)
        },
        AccountSpec {
            rate_limit: if number == 709 { 120 } else { 60 },
            ..account("plus", PlanSpec::Plus).used_units(5.6)
        },
        base,
        haggler,
        free_user,
        overridden,
        account("q0", PlanSpec::Paygo),
        account("q0pos", PlanSpec::Paygo).balance_usd(7.35),
        account("q0neg", PlanSpec::Paygo).balance_usd(-0.059),
        account("brandnew", PlanSpec::Paygo),
        AccountSpec { usage_rows: usage_rows(HOT), ..account("usage", PlanSpec::Plus) },
        account("owner", PlanSpec::Paygo),
        account("admin", PlanSpec::Pro),
        account("q200", PlanSpec::Legacy),
        account("q200pos", PlanSpec::Legacy).balance_usd(1.0),
        account("none", PlanSpec::NoRows),
        account("nonepos", PlanSpec::NoRows).balance_usd(1.0),
        account("free", PlanSpec::Free),
        account("freeneg", PlanSpec::Free).balance_usd(-1.0),
        account("invoiced", PlanSpec::Invoiced),
        account("propos", PlanSpec::Pro).balance_usd(5.0),
        account("q1000", PlanSpec::Paygo).quota(1000),
        account("cust301", PlanSpec::CustomBase),
        account("procust", PlanSpec::CustomPro),
        account("basex", PlanSpec::Base).used_units(basex_used),
        account("basexpos", PlanSpec::Base).used_units(300.0).balance_usd(5.0),
        account("capm", PlanSpec::Base).used_usd(0.0, 16.0),
        account("cap4h", PlanSpec::Base).used_usd(1.5, 1.5),
        account("cap4hpos", PlanSpec::Base).used_usd(1.5, 1.5).balance_usd(5.0),
        account("capcust", PlanSpec::CustomBase).used_usd(0.0, 16.0),
        account("perchute", PlanSpec::Paygo).quota(5).chute_quota(HOT, 3),
    ];
    let solo = recorded_fault(record).map_or_else(Vec::new, |fault| vec![fault]);
    let models = vec![
        ModelSpec { evidence_fails: true, ..ModelSpec::new("Qwen/Qwen3-32B-TEE").tokens(12, 5) },
        ModelSpec::new(HOT).tokens(12, 5),
        ModelSpec {
            chutes_version: "0.5.5".into(),
            ..ModelSpec::new("zai-org/GLM-4.7-TEE").tokens(12, 5)
        },
        ModelSpec {
            faults: solo.clone(),
            instances: 1,
            ..ModelSpec::new("acme/Solo-1").tokens(12, 5)
        },
        ModelSpec {
            faults: solo,
            // One of the three had been deleted by then.
            instances: if number == 946 { 2 } else { 3 },
            ..ModelSpec::new("acme/Multi-3").tokens(12, 5)
        },
        ModelSpec { discount: 1.0, ..ModelSpec::new("acme/Free-100").tokens(12, 5) },
        ModelSpec::new("acme/Disabled").state(StateSpec::Disabled),
        ModelSpec {
            quantization: String::new(),
            ..ModelSpec::new("moonshotai/Kimi-Cold").state(StateSpec::Cold)
        },
        ModelSpec::new("moonshotai/Kimi-Cold2-TEE").state(StateSpec::Cold),
        ModelSpec { private_to: Some("owner".into()), ..ModelSpec::new("owner/Private") },
        ModelSpec { template: Template::Embedding, ..ModelSpec::new("Qwen/Qwen3-Embedding-8B") },
        ModelSpec { template: Template::Diffusion, ..ModelSpec::new("FLUX.1-dev") },
        ModelSpec { unverified: true, ..ModelSpec::new("acme/Unverified").state(StateSpec::Cold) },
    ];
    let date = header(&record["response"]["headers"], "date").unwrap_or_default();
    // Nobody had asked for a picture yet.
    let models = models.into_iter().filter(|m| number != 264 || m.template != Template::Diffusion);
    Scenario {
        accounts,
        models: models.collect(),
        lag: if matches!(number, 601..=607) { Lag::default() } else { Lag::none() },
        starts_at: Some(recorded_moment(&date)),
        clock_speed: 0.0,
        ..Scenario::every_plan()
    }
}

/// Thirty hours of one model, the latest of them of two.
fn usage_rows(model: &str) -> Vec<UsageRowSpec> {
    let row = |model: &str, back: u32| UsageRowSpec {
        at: format!("2026-11-{:02}T{:02}:30:00", 19 + back / 24, back % 24),
        model: model.to_owned(),
        count: 10,
        input_tokens: 120_000,
        output_tokens: 9000,
        amount_usd: 0.024,
    };
    let mut rows: Vec<UsageRowSpec> = (6..36).map(|back| row(model, back)).collect();
    rows.extend((26..36).map(|back| row("Qwen/Qwen3-32B-TEE", back)));
    rows
}

/// `Fri, 20 Nov 2026 11:17:48 GMT` as an ISO timestamp; every record is of that November.
fn recorded_moment(date: &str) -> String {
    let words: Vec<&str> = date.split(' ').collect();
    match words.as_slice() {
        [_, day, _, year, time, _] => format!("{year}-11-{day}T{time}"),
        _ => "2026-11-20T11:00:00".to_owned(),
    }
}

/// What the fake engine of the recording was told to do with each try.
fn recorded_fault(record: &Value) -> Option<Fault> {
    let body = record["request"]["body"].as_str()?;
    let modes = body.split("[[mode=").nth(1)?.split([' ', ']']).next()?;
    let outcome = |mode: &str| match mode {
        "ok" | "cont" | "comment" => TryOutcome::Ok,
        "s429" => TryOutcome::Full,
        "s400v" | "s400s" => TryOutcome::BadRequest,
        "s426" => TryOutcome::UpgradeRequired,
        "nousage" => TryOutcome::NoUsage,
        "empty" => TryOutcome::Empty,
        "emptynl" => TryOutcome::BlankLine,
        "breakmid" | "badcrypt" | "midmodel" => TryOutcome::BreaksMidStream,
        "errmid" => TryOutcome::ErrorMidStream,
        "err200" => TryOutcome::ErrorBody,
        _ => TryOutcome::Failed,
    };
    let tries: Vec<TryOutcome> = modes.split(',').map(outcome).collect();
    let mut fault = Fault::instances(&tries).after_chunks(4);
    // The other engine's wording.
    let sglang = "{\"detail\": {\"object\": \"error\", \"message\": \"The input (39000 tokens) is \
                  longer than the model's context length (32768 tokens).\", \"type\": \
                  \"BadRequest\", \"param\": null, \"code\": 400}}";
    fault.text = modes.starts_with("s400s").then(|| sglang.to_owned());
    Some(fault)
}

pub(crate) fn header(headers: &Value, name: &str) -> Option<String> {
    let mut pairs = headers.as_array()?.iter();
    let pair = pairs.find(|pair| pair[0].as_str().is_some_and(|n| n.eq_ignore_ascii_case(name)))?;
    pair[1].as_str().map(str::to_owned)
}

/// A recorded credential with the emulator's in its place.
pub(crate) fn credential(text: &str) -> Option<String> {
    let Some((before, rest)) = text.split_once('<') else { return Some(text.to_owned()) };
    let (name, _) = rest.split_once('>')?;
    let is_key = before.ends_with("cpk_");
    let own = match is_key {
        true if name.starts_with("32hex") => Scenario::key("nobody", 0),
        true => {
            let (account, kind) = name.split_once(':').unwrap_or((name, ""));
            Scenario::key(account, KEY_NAMES.iter().position(|known| *known == kind)?)
        }
        false => match name.split_once(':') {
            Some(("cak", kind)) => {
                Scenario::oauth_token("pro", TOKENS.iter().position(|(known, _)| *known == kind)?)
            }
            Some(("jwt", "ok")) => Scenario::session_token("pro", 2_000_000_000),
            Some(("jwt", "expired")) => Scenario::session_token("pro", 1_000_000_000),
            // One with a wrong signature, and one of nobody known.
            Some(("jwt", _)) => format!("{}x", Scenario::session_token("pro", 2_000_000_000)),
            None if name == "jwt" => Scenario::session_token("nobody", 2_000_000_000),
            _ => return None,
        },
    };
    Some(format!("{}{own}", before.strip_suffix("cpk_").unwrap_or(before)))
}

/// What records before this one had done to the service.
pub(crate) async fn prepare(record: &Value, emulator: &Running) {
    let port = emulator.port();
    let admin = |name: &str| Scenario::key(name, 0);
    let delete = |index: usize| {
        let change = AccountChange { delete_key: Some(index), ..AccountChange::default() };
        emulator.control().change_account("pro", change).unwrap();
    };
    match record["n"].as_u64().unwrap() {
        148 => {
            let body = serde_json::json!({"name": "gw", "admin": false});
            assert_eq!(post(port, "/api_keys/", &admin("plus"), &body).await.status, 200);
        }
        238 | 239 => {
            for _ in 0..60 {
                get(port, "/chutes/nope/evidence", None).await;
            }
        }
        601 => delete(7),
        402 => {
            for text in ["one", "two", "three"] {
                let body = chat("deepseek-ai/DeepSeek-V3-Plain", text, false);
                assert_eq!(post(port, CHAT, &admin("perchute"), &body).await.status, 200);
            }
        }
        499 => {
            for _ in 0..7 {
                let body = request_body(record);
                assert_eq!(post(port, CHAT, &admin("pro"), &body).await.status, 500);
            }
        }
        943 | 944 => lose_instances(emulator, "acme/Solo-1", TryOutcome::NoUsage).await,
        947 | 948 => lose_instances(emulator, "acme/Multi-3", TryOutcome::UpgradeRequired).await,
        603 | 606 | 607 => {
            delete(7);
            emulator.control().advance(std::time::Duration::from_secs(61));
        }
        604 => {
            emulator.control().set_model_state("moonshotai/Kimi-Cold", StateSpec::Hot).unwrap();
        }
        _ => {}
    }
}

fn request_body(record: &Value) -> Value {
    serde_json::from_str(record["request"]["body"].as_str().unwrap()).unwrap()
}

/// A call by which the server deletes every instance of a model.
async fn lose_instances(emulator: &Running, model: &str, outcome: TryOutcome) {
    let fault = Fault::instances(&[outcome]).times(1);
    emulator.control().add_model_fault(model, fault).unwrap();
    let key = Scenario::key("pro", 0);
    assert_eq!(post(emulator.port(), CHAT, &key, &chat(model, "x", false)).await.status, 500);
}
