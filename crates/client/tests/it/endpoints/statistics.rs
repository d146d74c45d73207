use ripcord_client::chutes::StatisticsQuery;
use ripcord_client::error::{ErrorKind, Unreadable};
use ripcord_wire::time::Day;

use super::canned::Canned;
use super::*;

const ROWS: &str = r#"[
    {"chute_id":"aa","name":"example/Alpha","date":"2026-11-20","total_requests":12,"total_input_tokens":3400,
     "total_output_tokens":560,"average_tps":41.5,"average_ttft":0.75},
    {"chute_id":"bb","name":"[private]","date":"2026-11-20","total_requests":3,"average_tps":null,"average_ttft":"slow"},
    {"chute_id":"aa","name":"example/Alpha","date":"2026-11-18","total_requests":7,"new_figure":1},
    "odd"]"#;

#[tokio::test]
async fn speeds_are_read_without_a_key_and_chosen_here_too() {
    let server = Canned::json(ROWS).await;
    let chutes = client(&server.url()).with_key(key("pro", 0));
    let all = in_time(chutes.llm_statistics(&StatisticsQuery::default())).await.unwrap().value;
    assert_eq!(server.last_line(), "GET /invocations/stats/llm");
    assert!(!server.asked()[0].contains("authorization"));
    assert_eq!((all.len(), all.skipped), (3, 1));
    assert_eq!((all[0].average_tps, all[0].average_ttft), (Some(41.5), Some(0.75)));
    assert_eq!((all[1].average_tps, all[1].average_ttft), (None, None));

    let query = StatisticsQuery {
        first_day: Day::new(2026, 11, 19),
        chute_id: Some("aa".to_owned()),
        ..StatisticsQuery::default()
    };
    let chosen = in_time(chutes.llm_statistics(&query)).await.unwrap().value;
    assert_eq!(server.last_line(), "GET /invocations/stats/llm?start_date=2026-11-19&chute_id=aa");
    assert_eq!((chosen.len(), chosen[0].total_requests), (1, Some(12)));
}

#[tokio::test]
async fn an_object_is_no_statistics() {
    let server = Canned::json(r#"{"detail":"not today"}"#).await;
    let error = in_time(client(&server.url()).llm_statistics(&StatisticsQuery::default()))
        .await
        .unwrap_err();
    assert!(error.to_string().ends_with(" answered 200: not today"), "{error}");
    let server = Canned::json(r#"{"rows":[]}"#).await;
    let error = in_time(client(&server.url()).llm_statistics(&StatisticsQuery::default()))
        .await
        .unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Unreadable { fault: Unreadable::OtherShape, .. }),
        "{error:?}"
    );
}
