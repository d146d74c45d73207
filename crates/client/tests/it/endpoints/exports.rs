use ripcord_client::chutes::{ChutesSettings, ExportHour, ExportKind, RecentQuery};
use ripcord_client::error::{Blame, ErrorKind};
use ripcord_wire::time::Day;

use super::canned::Canned;
use super::*;

const CSV: &str = "invocation_id,chute_id,metrics\r\n1,aa,\"{'it': 12, 'ot': 5}\"\r\n2,bb,{}\r\n";

fn hour() -> ExportHour {
    ExportHour::new(Day::new(2026, 11, 20).unwrap(), 7).unwrap()
}

#[tokio::test]
async fn exports_are_text_and_a_table() {
    let server = Canned::answering("200 OK", "text/csv; charset=utf-8", CSV).await;
    let chutes = client(&server.url()).with_key(key("pro", 0));
    let export = in_time(chutes.invocation_export(hour(), ExportKind::Jobs)).await.unwrap().value;
    assert_eq!(server.last_line(), "GET /invocations/exports/2026/11/20/07-jobs.csv");
    let request = server.asked()[0].to_ascii_lowercase();
    assert!(request.contains("accept: text/csv") && !request.contains("authorization"));
    assert_eq!(export.text(), CSV);
    let table = export.table();
    let metrics: Vec<_> = table.rows().filter_map(|row| row.get("metrics")).collect();
    assert_eq!(metrics, ["{'it': 12, 'ot': 5}", "{}"]);

    let query = RecentQuery { hotkey: Some("5Miner".to_owned()), limit: Some(2) };
    let recent = in_time(chutes.recent_invocations(&query)).await.unwrap().value;
    assert_eq!(server.last_line(), "GET /invocations/exports/recent?hotkey=5Miner&limit=2");
    assert_eq!(recent.table().len(), 2);
}

#[tokio::test]
async fn an_hour_that_is_not_there_is_the_callers() {
    let body = r#"{"detail":"Invocations export not found year=2026 month=11 day=20 hour=7"}"#;
    let server = Canned::answering("404 Not Found", "application/json", body).await;
    let chutes = client(&server.url());
    let error =
        in_time(chutes.invocation_export(hour(), ExportKind::Invocations)).await.unwrap_err();
    assert_eq!((error.status(), error.blame()), (Some(404), Blame::You));
}

#[tokio::test]
async fn a_large_export_is_not_read_and_a_page_is_none() {
    let server = Canned::answering("200 OK", "text/csv", CSV).await;
    let settings = ChutesSettings { export_limit_bytes: 16, ..ChutesSettings::default() };
    let chutes = client(&server.url()).with_settings(settings);
    let error = in_time(chutes.recent_invocations(&RecentQuery::default())).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::TooLarge { limit_bytes: 16 }), "{error:?}");

    let page = "<!doctype html><html><head><title>Sign in</title></head><body>x</body></html>";
    let server = Canned::answering("200 OK", "text/html", page).await;
    let error = in_time(client(&server.url()).recent_invocations(&RecentQuery::default()))
        .await
        .unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::WebPage { status: 200, .. }), "{error:?}");
}

#[tokio::test]
async fn source_code_is_text() {
    let source = "from chutes.chute import Chute\nchute = Chute(username=\"x\")\n";
    let server = Canned::answering("200 OK", "text/plain; charset=utf-8", source).await;
    let code = in_time(client(&server.url()).chute_code("60ab09ea")).await.unwrap().value;
    assert_eq!(code, source.as_bytes());
    assert_eq!(server.last_line(), "GET /chutes/code/60ab09ea");
}
