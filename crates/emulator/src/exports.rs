//! `/invocations/exports/`: the calls made here as CSV, by the hour or the most recent ones.

use http::{Method, StatusCode};

use crate::{
    clock::{self, SECOND},
    ids,
    log::LogEntry,
    management::Asked,
    query::{Query, as_usize},
    reply::Reply,
    world::State,
};

const CSV: &str = "text/csv; charset=utf-8";
const COLUMNS: &str = "invocation_id,chute_id,chute_user_id,function_name,image_id,image_user_id,\
                       instance_id,miner_uid,miner_hotkey,started_at,completed_at,error_message,\
                       compute_multiplier,metrics\r\n";
const HOUR: i64 = 3600 * SECOND;

/// Answers the export paths.
pub(crate) fn serve(state: &State, asked: &Asked<'_>, path: &str) -> Option<Reply> {
    if asked.incoming.method != Method::GET {
        return None;
    }
    let rest = path.strip_prefix("/invocations/exports/")?;
    if rest == "recent" {
        return Some(recent(state, &asked.incoming.query));
    }
    let parts: Vec<&str> = rest.split('/').collect();
    let [year, month, day, file] = parts.as_slice() else { return None };
    let (Ok(year), Ok(month), Ok(day)) = (year.parse(), month.parse(), day.parse()) else {
        return Some(Reply::plain_500());
    };
    Some(hour(state, asked.now, (year, month, day), file))
}

fn recent(state: &State, query: &str) -> Reply {
    let limit = match Query::new(query).bounded("limit", 100, (1, 10_000)) {
        Ok(limit) => limit,
        Err(refusal) => return refusal,
    };
    let mut entries = state.log.entries();
    entries.reverse();
    csv(state, entries.iter().take(as_usize(limit)), "recent.csv")
}

fn hour(state: &State, now: i64, (year, month, day): (i64, i64, i64), file: &str) -> Reply {
    let digits = file.find(|c: char| !c.is_ascii_digit()).unwrap_or(file.len());
    let (number, kind) = file.split_at(digits);
    let (Ok(hour), ".csv" | "-jobs.csv" | "-reports.csv") = (number.parse::<i64>(), kind) else {
        return Reply::detail(StatusCode::BAD_REQUEST, &format!("Invalid format: {file}"));
    };
    let text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:00:00");
    // What is no date at all is an unhandled error.
    let Some((start, _)) = clock::parse_timestamp(&text) else { return Reply::plain_500() };
    if start + HOUR > now {
        return Reply::not_found(&format!(
            "Invocations export not found year={year} month={month} day={day} hour={hour}"
        ));
    }
    let entries = state.log.entries();
    let within = |entry: &&LogEntry| (start..start + HOUR).contains(&entry.started_micros);
    let wanted = entries.iter().filter(within).filter(|_| kind == ".csv");
    csv(state, wanted, file)
}

fn csv<'a>(state: &State, entries: impl Iterator<Item = &'a LogEntry>, name: &str) -> Reply {
    let mut text = COLUMNS.to_owned();
    for entry in entries {
        if let Some(line) = line(state, entry) {
            text.push_str(&line);
        }
    }
    Reply::new(StatusCode::OK, CSV, text)
        .header("content-disposition", format!("attachment; filename=\"{name}\""))
}

/// One call that reached a model.
fn line(state: &State, entry: &LogEntry) -> Option<String> {
    entry.coverage.as_ref()?;
    let found = state.find_model(entry.model.as_ref()?)?;
    let model = &state.models[found];
    let owner = ids::user_id(model.spec.private_to.as_deref().unwrap_or("chutes"));
    let image = ids::uuid("image", "sglang");
    let moment = |at: i64| clock::iso_naive(at).replace('T', " ");
    let function = if entry.stream { "chat_stream" } else { "chat" };
    let error = entry.status.filter(|status| *status != 200).map(|_| "error").unwrap_or_default();
    Some(format!(
        "{},{},{owner},{function},{image},{owner},{},1,5Minerxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx,{},{},{error},1.79,\"{{'tps': {:.1}}}\"\r\n",
        ids::uuid("export", &entry.id.to_string()),
        model.chute_id,
        crate::listing::instance_id(model, 0),
        moment(entry.started_micros),
        entry.ended_micros.map(moment).unwrap_or_default(),
        model.spec.measured_tokens_per_second(0),
    ))
}
