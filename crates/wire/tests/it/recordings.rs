//! The readers over a folder of recorded answers of the real server.
//!
//! `RIPCORD_RECORDINGS` names the folder; without it this is skipped, since the recordings are not
//! part of the project.

use std::collections::BTreeMap;
use std::path::Path;

use ripcord_wire::body::RequestBody;
use ripcord_wire::chat::{ChatCompletion, ChunkGlance};
use ripcord_wire::chutes::{
    ApiKey, Bounty, Chute, ChutePage, CreatedApiKey, DiffusionStats, Discount, EvidenceList,
    LlmStatsList, Me, ModelAlias, NameCheck, Page, Ping, PlatformPricing, PlatformUsage,
    PriceOverride, QuotaUsage, Quotas, SubscriptionUsage, UsagePage, UtilizationList, WarmupEvent,
};
use ripcord_wire::completions::Completion;
use ripcord_wire::csv::Table;
use ripcord_wire::error::{ErrorBody, ErrorShape};
use ripcord_wire::items::Items;
use ripcord_wire::limits::LimitHeaders;
use ripcord_wire::models::ModelList;
use ripcord_wire::oauth::Discovery;
use ripcord_wire::sse::{DONE, Event, EventReader};
use ripcord_wire::time::parse_timestamp;
use ripcord_wire::tokens::Tokenized;
use ripcord_wire::trace::TraceEvent;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

#[derive(Deserialize)]
struct Recording {
    request: Request,
    response: Response,
}

#[derive(Deserialize)]
struct Request {
    method: String,
    path: String,
    #[serde(default)]
    headers: Vec<(String, String)>,
    body: Option<Value>,
}

impl Request {
    fn is_traced(&self) -> bool {
        self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("x-chutes-trace"))
    }
}

#[derive(Deserialize)]
struct Response {
    status: u16,
    #[serde(default)]
    headers: Vec<(String, String)>,
    body: Option<String>,
    #[serde(default)]
    chunks: Vec<Value>,
}

impl Response {
    fn content_type(&self) -> Option<&str> {
        let named = |(name, _): &&(String, String)| name.eq_ignore_ascii_case("content-type");
        self.headers.iter().find(named).map(|(_, value)| value.as_str())
    }
}

#[test]
fn every_recording_is_read() {
    #[expect(
        clippy::disallowed_methods,
        reason = "the folder of recordings is named by the caller"
    )]
    let folder = std::env::var("RIPCORD_RECORDINGS");
    let Ok(folder) = folder else {
        println!("skipped: RIPCORD_RECORDINGS is not set");
        return;
    };
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut problems = Vec::new();
    for entry in std::fs::read_dir(Path::new(&folder)).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let recording: Recording = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        match check(&recording) {
            Ok(kind) => *counts.entry(kind).or_default() += 1,
            Err(problem) => problems.push(format!("{}: {problem}", path.display())),
        }
    }
    println!("{counts:#?}");
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
    for kind in ["error", "event stream", "answer", "export"] {
        assert!(counts.contains_key(kind), "no {kind} among {counts:?}");
    }
}

type Checked = Result<&'static str, String>;

fn check(recording: &Recording) -> Checked {
    check_request(&recording.request);
    let response = &recording.response;
    check_headers(response)?;
    let Some(body) = &response.body else { return Ok("no text") };
    if recording.request.method == "HEAD" || response.status < 200 {
        return Ok("no body");
    }
    if response.status >= 400 {
        return check_error(response, body);
    }
    match response.content_type() {
        Some(kind) if kind.starts_with("text/event-stream") => {
            check_stream(&recording.request, response, body)
        }
        Some(kind) if kind.starts_with("application/json") => check_answer(recording, body),
        Some(kind) if kind.starts_with("text/csv") => check_export(body),
        _ => Ok("other text"),
    }
}

/// Every row of an export has the cells of its head.
fn check_export(body: &str) -> Checked {
    let table = Table::read(body);
    let lines = body.lines().filter(|line| !line.is_empty()).count();
    let odd = table.rows().any(|row| row.cells.len() != table.columns().len());
    if odd || table.len() + 1 != lines {
        return Err(format!("{} rows from {body:.300}", table.len()));
    }
    some(
        table
            .rows()
            .all(|row| row.get("started_at").and_then(parse_timestamp).is_some())
            .then_some(()),
        "started_at",
    )?;
    Ok("export")
}

/// No recorded request makes the body reader panic, and what it accepts keeps its bytes.
fn check_request(request: &Request) {
    if let Some(Value::String(body)) = &request.body
        && let Ok(scanned) = RequestBody::scan(body.clone().into())
    {
        assert_eq!(scanned.bytes().as_ref(), body.as_bytes());
    }
}

fn check_headers(response: &Response) -> Result<(), String> {
    let headers = response.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let read = LimitHeaders::read(headers);
    let has =
        |wanted: &str| response.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted));
    if has("x-chutes-quota-total")
        != read.chutes_quota.is_some_and(|quota| quota.total.is_some() && quota.used.is_some())
    {
        return Err(format!("quota headers read as {:?}", read.chutes_quota));
    }
    if has("x-chutes-rl-user") != read.rl_user.is_some() || has("date") != read.date.is_some() {
        return Err(format!("headers read as {read:?}"));
    }
    if has("x-chutes-invocationid") != read.invocation_id.is_some() {
        return Err("no invocation id".to_owned());
    }
    Ok(())
}

fn check_error(response: &Response, body: &str) -> Checked {
    let read = ErrorBody::read(response.status, response.content_type(), body.as_bytes());
    let json: Option<Value> = serde_json::from_str(body).ok();
    let detail = json.as_ref().map(|json| &json["detail"]);
    let shape_is_right = match (detail, read.shape) {
        (_, ErrorShape::Empty) => body.trim().is_empty(),
        (Some(Value::String(_)), shape) => {
            matches!(shape, ErrorShape::DetailText | ErrorShape::NestedText)
        }
        (Some(Value::Object(_)), shape) => shape == ErrorShape::DetailObject,
        (Some(Value::Array(_)), shape) => shape == ErrorShape::DetailList,
        (None, shape) => matches!(shape, ErrorShape::Text | ErrorShape::Html),
        (Some(_), shape) => !matches!(shape, ErrorShape::Text | ErrorShape::Html),
    };
    if !shape_is_right || read.message.trim().is_empty() {
        return Err(format!("{:?} {:?} from {body:.300}", read.shape, read.message));
    }
    // A nested error must not leave JSON in its message.
    if read.shape == ErrorShape::NestedText && read.message.contains("\"message\"") {
        return Err(format!("still nested: {:?}", read.message));
    }
    if body.contains("quota_reset_timestamp") != read.reset_at.is_some() {
        return Err(format!("reset_at {:?} from {body:.300}", read.reset_at));
    }
    Ok("error")
}

fn check_stream(request: &Request, response: &Response, body: &str) -> Checked {
    let mut outcome = Ok("event stream");
    let mut whole = Vec::new();
    read_stream(&[body.as_bytes()], &mut |event| {
        whole.push(format!("{}:{}", tag(event), String::from_utf8_lossy(content(event))));
        if let Err(problem) = check_event(request, event) {
            outcome = Err(problem);
        }
    });
    // As many events as there are lines that begin one.
    let lines = |start: &str| body.lines().filter(|line| line.starts_with(start)).count();
    let tagged = |wanted: &str| whole.iter().filter(|event| event.starts_with(wanted)).count();
    let bare = lines("{");
    if (tagged("data"), tagged("comment"), tagged("stray")) != (lines("data:"), lines(":"), bare) {
        return Err(format!("{} events from {body:.500}", whole.len()));
    }
    // The recorded pieces give the same.
    let pieces: Vec<&str> = response.chunks.iter().filter_map(|chunk| chunk[1].as_str()).collect();
    if pieces.concat() == body {
        let mut again = Vec::new();
        let pieces: Vec<&[u8]> = pieces.iter().map(|piece| piece.as_bytes()).collect();
        read_stream(&pieces, &mut |event| {
            again.push(format!("{}:{}", tag(event), String::from_utf8_lossy(content(event))));
        });
        assert_eq!(again, whole);
    }
    outcome
}

fn read_stream(pieces: &[&[u8]], on_event: &mut dyn FnMut(Event<'_>)) {
    let mut reader = EventReader::new(1 << 20);
    for piece in pieces {
        reader.feed(piece, &mut *on_event).unwrap();
    }
    reader.finish(on_event).unwrap();
}

fn tag(event: Event<'_>) -> &'static str {
    match event {
        Event::Data(_) => "data",
        Event::Comment(_) => "comment",
        Event::Stray(_) => "stray",
        Event::Field { .. } => "field",
    }
}

fn content(event: Event<'_>) -> &[u8] {
    match event {
        Event::Data(bytes) | Event::Comment(bytes) | Event::Stray(bytes) => bytes,
        Event::Field { value, .. } => value,
    }
}

fn check_event(request: &Request, event: Event<'_>) -> Result<(), String> {
    let data = content(event);
    match event {
        Event::Data(DONE) | Event::Comment(_) | Event::Field { .. } => Ok(()),
        Event::Stray(_) => {
            let read = ErrorBody::read(200, None, data);
            (read.shape == ErrorShape::ErrorText)
                .then_some(())
                .ok_or_else(|| format!("stray line read as {:?}", read.shape))
        }
        Event::Data(_) if request.path.starts_with("/chutes/warmup/") => {
            let event: WarmupEvent =
                serde_json::from_slice(data).map_err(|problem| problem.to_string())?;
            event.status.map(|_| ()).ok_or_else(|| "no status".to_owned())
        }
        Event::Data(_) if request.is_traced() => {
            TraceEvent::read(data).map(|_| ()).ok_or_else(|| "no event of a trace".to_owned())
        }
        Event::Data(_) => {
            let text = String::from_utf8_lossy(data);
            // Engines that break on purpose send what is no JSON.
            let is_object =
                serde_json::from_slice::<Value>(data).is_ok_and(|value| value.is_object());
            if ChunkGlance::read(data).is_some() != is_object {
                return Err(format!("glance and serde_json disagree on {text:.200}"));
            }
            Ok(())
        }
    }
}

fn parsed<T: DeserializeOwned>(body: &str) -> Result<T, String> {
    serde_json::from_str(body).map_err(|problem| format!("{problem} in {body:.300}"))
}

fn good<T: DeserializeOwned>(items: &Items<T>) -> Checked {
    match &items.first_problem {
        None => Ok("answer"),
        Some(problem) => Err(problem.clone()),
    }
}

fn some<T>(field: Option<T>, name: &str) -> Checked {
    field.map(|_| "answer").ok_or_else(|| format!("no {name}"))
}

fn check_answer(recording: &Recording, body: &str) -> Checked {
    let path = recording.request.path.split('?').next().unwrap_or_default();
    if recording.request.method == "POST" {
        return match path {
            "/v1/chat/completions" => {
                let answer: ChatCompletion = parsed(body)?;
                good(&answer.choices)?;
                // Some recorded engines answer with a list of strings or leave everything out.
                let glance = ChunkGlance::read(body.as_bytes()).ok_or("no object")?;
                let ids_agree = glance.id.as_deref() == answer.id.as_deref();
                ids_agree.then_some("answer").ok_or_else(|| "ids differ".to_owned())
            }
            "/v1/completions" => good(&parsed::<Completion>(body)?.choices),
            "/api_keys/" => {
                let created: CreatedApiKey = parsed(body)?;
                if format!("{created:?}").contains("cpk_") {
                    return Err("the key is shown".to_owned());
                }
                some(created.secret_key.and(created.key.api_key_id), "secret_key or api_key_id")
            }
            "/tokenize" => {
                let read: Tokenized = parsed(body)?;
                some(read.count.filter(|count| *count == read.tokens.len() as i64), "count")
            }
            "/model_aliases/" => some(
                parsed::<ModelAlias>(body)?.updated_at.and_then(|at| at.unix_micros()),
                "updated_at",
            ),
            _ => Ok("unknown path"),
        };
    }
    match path {
        "/users/me" => {
            let me: Me = parsed(body)?;
            some(me.created_at.and_then(|at| at.unix_micros()), "created_at")?;
            some(me.balance.and(me.user_id).and(me.permissions_bitmask), "balance, id or roles")
        }
        "/users/me/quotas" => some(parsed::<Quotas>(body)?.wildcard(), "wildcard quota"),
        "/users/me/subscription_usage" => {
            let usage: SubscriptionUsage = parsed(body)?;
            if usage.subscription == Some(true) {
                let four_hour = usage.four_hour.ok_or("no four_hour")?;
                some(
                    four_hour.usage.and(four_hour.cap).and(four_hour.remaining),
                    "four hour figures",
                )?;
                let monthly = usage.monthly.ok_or("no monthly")?;
                if monthly.uncapped != Some(true) {
                    some(monthly.usage.and(monthly.cap), "monthly figures")?;
                }
            }
            some(usage.subscription, "subscription")
        }
        "/users/me/usage" => good(&parsed::<UsagePage>(body)?.items),
        "/users/me/discounts" => good(&parsed::<Items<Discount>>(body)?),
        "/users/me/price_overrides" => good(&parsed::<Items<PriceOverride>>(body)?),
        "/v1/models" => {
            let list: ModelList = parsed(body)?;
            good(&list.data)?;
            some(list.data.first().map(|model| &model.id), "model")
        }
        "/chutes/" => {
            let page: ChutePage = parsed(body)?;
            some(page.total, "total")?;
            good(&page.items)
        }
        "/chutes/utilization" => {
            let rows: UtilizationList = parsed(body)?;
            some(rows.first().and_then(|row| row.timestamp.as_ref()?.unix_micros()), "timestamp")?;
            good(&rows)
        }
        "/invocations/stats/llm" => good(&parsed::<LlmStatsList>(body)?),
        "/invocations/stats/diffusion" => good(&parsed::<Items<DiffusionStats>>(body)?),
        "/bounties/" => {
            let bounties: Items<Bounty> = parsed(body)?;
            some(bounties.first().and_then(|bounty| bounty.bounty_amount), "bounty_amount")?;
            good(&bounties)
        }
        "/users/name_check" => some(parsed::<NameCheck>(body)?.available, "available"),
        "/.well-known/openid-configuration" => {
            some(parsed::<Discovery>(body)?.scopes_supported, "scopes_supported")
        }
        "/invocations/usage" => good(&parsed::<Items<PlatformUsage>>(body)?),
        "/model_aliases/" => good(&parsed::<Items<ModelAlias>>(body)?),
        "/api_keys/" => good(&parsed::<Page<ApiKey>>(body)?.items),
        "/pricing" => some(parsed::<PlatformPricing>(body)?.tao_usd, "tao_usd"),
        "/ping" => some(parsed::<Ping>(body)?.message, "message"),
        _ if path.starts_with("/users/me/quota_usage/") => {
            let usage: QuotaUsage = parsed(body)?;
            some(usage.quota.zip(usage.used), "quota or used")
        }
        _ if path.ends_with("/evidence") => good(&parsed::<EvidenceList>(body)?.evidence),
        _ if path.starts_with("/chutes/") => {
            let chute: Chute = parsed(body)?;
            some(
                chute.hot.and(chute.created_at.and_then(|at| at.unix_micros())),
                "hot or created_at",
            )?;
            good(&chute.instances)
        }
        _ => Ok("unknown path"),
    }
}
