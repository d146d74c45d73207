use proptest::prelude::*;

use super::*;

fn read(headers: &[(&str, &str)]) -> LimitHeaders {
    LimitHeaders::read(headers.iter().map(|(name, value)| (*name, value.as_bytes())))
}

/// What the test holds for now: 2026-11-20 12:00 UTC.
const NOW: i64 = 1_795_176_000_000_000;

fn wait(headers: &[(&str, &str)]) -> Option<Duration> {
    read(headers).retry_after.map(|hint| hint.wait(NOW))
}

fn seconds(seconds: f64) -> Option<Duration> {
    Some(Duration::from_secs_f64(seconds))
}

#[test]
fn retry_after_in_every_form() {
    assert_eq!(wait(&[("Retry-After", "30")]), seconds(30.0));
    assert_eq!(wait(&[("retry-after", " 1.5 ")]), seconds(1.5));
    assert_eq!(wait(&[("retry-after", "Fri, 20 Nov 2026 12:00:10 GMT")]), seconds(10.0));
    assert_eq!(wait(&[("retry-after", "Fri, 20 Nov 2026 11:00:00 GMT")]), seconds(0.0));
    assert_eq!(wait(&[("retry-after", "2026-11-20T12:01:00Z")]), seconds(60.0));
    assert_eq!(wait(&[("retry-after", "1m30s")]), seconds(90.0));
    assert_eq!(wait(&[("retry-after", "1795176005")]), seconds(5.0));
    assert_eq!(wait(&[("retry-after-ms", "250")]), seconds(0.25));
    assert_eq!(wait(&[("x-ms-retry-after-ms", "2000")]), seconds(2.0));
    assert_eq!(wait(&[("retry-after", "0")]), seconds(0.0));
    assert_eq!(wait(&[]), None);
}

#[test]
fn the_longer_hint_holds() {
    assert_eq!(wait(&[("retry-after", "30"), ("retry-after", "5")]), seconds(30.0));
    assert_eq!(wait(&[("retry-after-ms", "1500"), ("retry-after", "2")]), seconds(2.0));
    let date = ("retry-after", "Fri, 20 Nov 2026 12:00:10 GMT");
    assert_eq!(wait(&[date, ("retry-after-ms", "700")]), seconds(0.7));
}

#[test]
fn less_usual_names_of_a_wait() {
    assert_eq!(wait(&[("x-ratelimit-retry-after", "12")]), seconds(12.0));
    assert_eq!(wait(&[("retry-after-seconds", "3")]), seconds(3.0));
    assert_eq!(wait(&[("x-retry-after-ms", "1500")]), seconds(1.5));
    let after = read(&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset-after", "1.25")]);
    assert_eq!(after.wait(NOW), seconds(1.25));
}

#[test]
fn a_window_with_nothing_left_is_a_wait_where_none_is_named() {
    let spent = [
        ("x-ratelimit-remaining-requests", "0"),
        ("x-ratelimit-reset-requests", "2m59.56s"),
        ("x-ratelimit-remaining-tokens", "0"),
        ("x-ratelimit-reset-tokens", "7.66s"),
        ("x-ratelimit-remaining-requests-day", "5"),
        ("x-ratelimit-reset-requests-day", "33011.38"),
    ];
    // Both have to turn; a window with something left does not count.
    assert_eq!(read(&spent).wait(NOW), seconds(179.56));
    let named: Vec<_> = spent.iter().copied().chain([("retry-after", "4")]).collect();
    assert_eq!(read(&named).wait(NOW), seconds(4.0));
    assert_eq!(read(&[("x-ratelimit-remaining", "1"), ("x-ratelimit-reset", "9")]).wait(NOW), None);
    assert_eq!(read(&[("x-ratelimit-remaining", "0")]).wait(NOW), None);
}

#[test]
fn a_period_of_renewal_is_an_end_where_no_better_one_is_named() {
    let azure = [
        ("x-ratelimit-remaining-requests", "9"),
        ("x-ratelimit-renewalperiod-requests", "60"),
        ("x-ratelimit-remaining-tokens", "0"),
        ("x-ratelimit-renewalperiod-tokens", "60"),
        ("x-ratelimit-reset-tokens", "12"),
    ];
    let read = read(&azure);
    let resets = |window: Option<&LimitWindow>| window.and_then(|window| window.reset);
    assert_eq!(resets(read.requests()).map(|reset| reset.wait(NOW)), seconds(60.0));
    assert_eq!(resets(read.tokens()).map(|reset| reset.wait(NOW)), seconds(12.0));
}

#[test]
fn absurd_hints_are_bounded_or_ignored() {
    for value in ["1e8", "999999999", "1e30", "Fri, 31 Dec 9999 23:59:59 GMT", "40000d"] {
        assert_eq!(wait(&[("retry-after", value)]), Some(MAX_WAIT), "{value}");
    }
    assert_eq!(wait(&[("retry-after", "-5")]), seconds(0.0));
    for value in ["", "soon", "NaN", "inf", "1e999", "--1", "5 minutes", "1s2", "0x10"] {
        assert_eq!(wait(&[("retry-after", value)]), None, "{value}");
    }
    assert_eq!(RetryAfter::At(i64::MIN).wait(i64::MAX), Duration::ZERO);
    assert_eq!(RetryAfter::At(i64::MAX).wait(i64::MIN), MAX_WAIT);
}

fn window(
    resource: Resource,
    period: Option<Period>,
    limit: u64,
    remaining: u64,
    reset: f64,
) -> LimitWindow {
    let reset = Some(RetryAfter::After(Duration::from_secs_f64(reset)));
    LimitWindow { resource, period, limit: Some(limit), remaining: Some(remaining), reset }
}

#[test]
fn openai_and_groq() {
    let read = read(&[
        ("x-ratelimit-limit-requests", "14400"),
        ("x-ratelimit-limit-tokens", "18000"),
        ("x-ratelimit-remaining-requests", "14370"),
        ("x-ratelimit-remaining-tokens", "0"),
        ("x-ratelimit-reset-requests", "2m59.56s"),
        ("x-ratelimit-reset-tokens", "20ms"),
    ]);
    assert_eq!(read.requests(), Some(&window(Resource::Requests, None, 14400, 14370, 179.56)));
    assert_eq!(read.tokens(), Some(&window(Resource::Tokens, None, 18000, 0, 0.02)));
    assert!(read.is_spent());
}

#[test]
fn anthropic_like() {
    let read = read(&[
        ("anthropic-ratelimit-requests-limit", "50"),
        ("anthropic-ratelimit-requests-remaining", "49"),
        ("anthropic-ratelimit-requests-reset", "2026-11-20T12:00:30Z"),
        ("anthropic-ratelimit-input-tokens-remaining", "1000"),
        ("anthropic-ratelimit-output-tokens-remaining", "10"),
        ("anthropic-ratelimit-tokens-remaining", "900"),
    ]);
    let requests = read.requests().unwrap();
    assert_eq!((requests.limit, requests.remaining), (Some(50), Some(49)));
    assert_eq!(requests.reset.map(|reset| reset.wait(NOW)), seconds(30.0));
    assert_eq!(read.tokens().map(|window| window.resource), Some(Resource::OutputTokens));
    assert_eq!(read.windows.len(), 4);
}

#[test]
fn openrouter_github_and_the_standard_names() {
    let reset = |headers: &[(&str, &str)]| {
        let read = read(headers);
        let window = read.requests().unwrap();
        (window.limit, window.remaining, window.reset.map(|reset| reset.wait(NOW)))
    };
    let expected = (Some(20), Some(0), seconds(60.0));
    for (name, value) in [
        ("X-RateLimit-Reset", "1795176060000"),
        ("X-RateLimit-Reset", "1795176060"),
        ("X-RateLimit-Reset", "1795176060000000"),
        ("RateLimit-Reset", "60"),
        ("x-rate-limit-reset", "1m0s"),
        ("x-ratelimit-reset", "Fri, 20 Nov 2026 12:01:00 GMT"),
    ] {
        let headers =
            [("X-RateLimit-Limit", "20, 20;w=60"), ("X-RateLimit-Remaining", "0"), (name, value)];
        assert_eq!(reset(&headers), expected, "{name}: {value}");
    }
    assert_eq!(reset(&[("RateLimit", "limit=20, remaining=0, reset=60")]), expected);
    assert_eq!(
        reset(&[("RateLimit", "\"default\";r=0;t=60"), ("RateLimit-Limit", "20")]),
        expected
    );
}

#[test]
fn periods_and_names_of_other_services() {
    let read = read(&[
        ("x-ratelimit-limit-requests-day", "1000"),
        ("x-ratelimit-remaining-tokens-minute", "5"),
        ("x-ratelimit-limit-req-minute", "60"),
        ("x-ratelimitbysize-remaining-month", "7"),
        ("x-tokenlimit-remaining", "9"),
        ("x-ratelimit-limit-tokens-prompt", "8"),
        ("x-ratelimit-over-limit", "yes"),
        ("x-ratelimit-used", "3"),
        ("ratelimit-policy", "100;w=60"),
    ]);
    let found: Vec<_> =
        read.windows.iter().map(|window| (window.resource, window.period)).collect();
    assert_eq!(
        found,
        [
            (Resource::Requests, Some(Period::Day)),
            (Resource::Tokens, Some(Period::Minute)),
            (Resource::Requests, Some(Period::Minute)),
            (Resource::Tokens, Some(Period::Month)),
            (Resource::Tokens, None),
            (Resource::InputTokens, None),
        ]
    );
}

#[test]
fn chutes() {
    let read = read(&[
        ("date", "Fri, 20 Nov 2026 12:00:00 GMT"),
        ("x-chutes-invocationid", "28a9dc7b-c22d-4c60-8236-2a3afa37e29a"),
        ("X-Chutes-Quota-Total", "5000"),
        ("X-Chutes-Quota-Used", "12"),
        ("X-Chutes-Quota-Remaining", "4987"),
        ("X-Chutes-RL-User", "60"),
        ("X-Chutes-RL-Chute", "inf"),
        ("X-Chutes-Invoice-Billing", "true"),
        ("x-should-retry", "false"),
    ]);
    let quota = ChutesQuota { total: Some(5000), used: Some(12), remaining: Some(4987) };
    assert_eq!(read.chutes_quota, Some(quota));
    assert_eq!((read.rl_user, read.rl_chute), (Some(Rate::PerMinute(60)), Some(Rate::Unlimited)));
    assert!(read.invoice_billing);
    assert_eq!(read.invocation_id.as_deref(), Some("28a9dc7b-c22d-4c60-8236-2a3afa37e29a"));
    assert_eq!((read.date, read.should_retry), (Some(NOW), Some(false)));
    assert!(read.windows.is_empty());
}

#[test]
fn nothing_said_is_nothing_known() {
    assert_eq!(
        read(&[("content-type", "text/html"), ("x-chutes-other", "1")]),
        LimitHeaders::default()
    );
    assert_eq!(read(&[("x-chutes-invocationid", "a b\u{1b}[0m")]).invocation_id, None);
}

#[test]
fn numbers_are_bounded() {
    let read = read(&[
        ("x-ratelimit-limit", "1e300"),
        ("x-ratelimit-remaining", "-4"),
        ("x-chutes-quota-used", "12.7"),
    ]);
    assert_eq!(
        read.requests().map(|window| (window.limit, window.remaining)),
        Some((Some(u64::MAX), Some(0)))
    );
    assert_eq!(read.chutes_quota.and_then(|quota| quota.used), Some(12));
}

proptest! {
    #[test]
    fn any_headers_are_read(
        headers in proptest::collection::vec(
            ("(x-)?(ratelimit|retry-after|chutes-quota)(-(limit|reset|remaining|ms|tokens|day)){0,3}", proptest::collection::vec(any::<u8>(), 0..12)),
            0..40,
        ),
        numbers in proptest::collection::vec("[-+0-9.ehmsd]{0,10}", 0..4),
        now in any::<i64>(),
    ) {
        let numbers = numbers.iter().map(|value| ("x-ratelimit-reset", value.as_bytes()));
        let read = LimitHeaders::read(headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).chain(numbers));
        prop_assert!(read.windows.len() <= 16);
        for reset in read.windows.iter().filter_map(|window| window.reset).chain(read.retry_after) {
            prop_assert!(reset.wait(now) <= MAX_WAIT);
        }
    }
}
