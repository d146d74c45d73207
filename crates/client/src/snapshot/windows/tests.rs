use serde_json::json;

use super::*;

/// 2026-09-27T10:30:00Z.
const NOW: Wall = Wall::from_unix_seconds(1_790_505_000);
const MIDNIGHT: Wall = Wall::from_unix_seconds(1_790_553_600);
const NOON: Wall = Wall::from_unix_seconds(1_790_510_400);

struct Answers {
    quotas: Option<Quotas>,
    usage: Option<QuotaUsage>,
    subscription: Option<SubscriptionUsage>,
}

impl Answers {
    fn new(
        quotas: serde_json::Value,
        usage: serde_json::Value,
        subscription: serde_json::Value,
    ) -> Self {
        Self {
            quotas: serde_json::from_value(quotas).ok(),
            usage: serde_json::from_value(usage).ok(),
            subscription: serde_json::from_value(subscription).ok(),
        }
    }

    fn facts(&self) -> Facts<'_> {
        Facts {
            quotas: self.quotas.as_ref(),
            usage: self.usage.as_ref(),
            subscription: self.subscription.as_ref(),
            has_unlimited_role: false,
            as_of: NOW,
        }
    }

    fn plan(&self) -> Option<Plan> {
        self.facts().plan()
    }

    fn windows(&self) -> Vec<Window> {
        self.facts().windows(self.plan())
    }
}

fn row(quota: u64) -> serde_json::Value {
    json!([{"user_id": "u", "chute_id": "*", "is_default": true, "effective_date": "2026-09-14T08:12:45",
        "updated_at": "2026-09-14T08:12:45.123456", "quota": quota}])
}

fn pro() -> serde_json::Value {
    json!({"subscription": true, "custom": false, "monthly_price": 20.0, "anchor_date": "2026-09-14T08:12:45",
        "four_hour": {"usage": 2.5, "cap": 8.333_333_333_333_332, "remaining": 5.8, "reset_at": "2026-09-27T12:00:00+00:00"},
        "monthly": {"usage": 42.000_000_000_1, "cap": 100.0, "remaining": 58.0, "reset_at": "2026-10-14T08:12:45+00:00"}})
}

#[test]
fn a_subscription_has_three_windows_on_the_safe_side() {
    let answers =
        Answers::new(row(5000), json!({"quota": 5000, "used": 1_234.300_000_000_000_2}), pro());
    assert_eq!(answers.plan(), Some(Plan::Pro));
    let [day, four_hour, month] = answers.windows().try_into().unwrap();
    assert_eq!(
        (day.used, day.cap, day.resets_at),
        (Some(1_234_300), Cap::Limited(5_000_000), Some(MIDNIGHT))
    );
    assert_eq!((four_hour.used, four_hour.cap), (Some(2_500_000_000), Cap::Limited(8_333_333_333)));
    assert_eq!(four_hour.resets_at, Some(NOON));
    assert_eq!((month.used, month.cap), (Some(42_000_000_001), Cap::Limited(100_000_000_000)));
    assert_eq!(month.resets_at, Some(Wall::from_unix_seconds(1_791_965_565)));
}

#[test]
fn the_three_shapes_of_quotas() {
    let none = json!({"subscription": false});
    let unlimited = Answers::new(json!({}), json!({"quota": "unlimited", "used": 0}), none.clone());
    assert_eq!((unlimited.plan(), unlimited.windows()), (Some(Plan::Unlimited), Vec::new()));
    let defaults =
        Answers::new(json!({"*": 200}), json!({"quota": 200, "used": 5.6}), none.clone());
    assert_eq!(defaults.plan(), Some(Plan::Legacy));
    let [day] = defaults.windows().try_into().unwrap();
    assert_eq!((day.used, day.cap), (Some(5_600), Cap::Limited(200_000)));
    let paygo = Answers::new(row(0), json!({"quota": 0, "used": 0.0}), none);
    assert_eq!(paygo.plan(), Some(Plan::PayAsYouGo));
    assert_eq!(paygo.windows()[0].cap, Cap::Limited(0));
}

#[test]
fn a_custom_plan_has_no_monthly_cap() {
    let subscription = json!({"subscription": true, "custom": true, "monthly_price": 20.0,
        "four_hour": {"usage": 1, "cap": 8.333_333_333_333_332}, "monthly": {"uncapped": true}});
    let answers =
        Answers::new(row(5001), json!({"quota": 5001, "used": 0.0}), subscription.clone());
    assert_eq!(answers.plan(), Some(Plan::CustomPro));
    let [_, four_hour, month] = answers.windows().try_into().unwrap();
    assert_eq!((month.cap, month.used), (Cap::Uncapped, None));
    // The server did not say when, so the calendar does.
    assert_eq!(four_hour.resets_at, Some(NOON));
    let by_price = Answers::new(json!(null), json!(null), subscription);
    assert_eq!(by_price.plan(), Some(Plan::CustomPro));
}

#[test]
fn a_month_that_should_have_turned_keeps_its_date_in_the_past() {
    let mut subscription = pro();
    subscription["monthly"]["reset_at"] = json!("2026-09-20T00:00:00+00:00");
    let answers = Answers::new(row(5000), json!({"quota": 5000, "used": 0}), subscription);
    assert!(answers.windows()[2].resets_at.unwrap() < NOW);
}

#[test]
fn a_missing_month_end_is_computed_from_the_anchor() {
    let month = json!({"usage": 1.0, "cap": 100.0});
    let subscription = json!({"subscription": true, "monthly_price": 20.0, "monthly": month});
    let answers = Answers::new(row(5000), json!(null), subscription);
    assert_eq!(answers.windows()[2].resets_at, Some(Wall::from_unix_seconds(1_791_965_565)));
    let early = json!({"subscription": true, "monthly_price": 20.0, "anchor_date": "2026-01-15T00:00:00", "monthly": month});
    let answers = Answers::new(row(5000), json!(null), early);
    // The caps began on 2026-03-01, so the first month ended on 2026-04-01.
    assert_eq!(answers.windows()[2].resets_at, Some(Wall::from_unix_seconds(1_775_001_600)));
}

#[test]
fn what_was_not_read_is_unknown_and_never_zero() {
    let answers = Answers::new(row(5000), json!(null), json!(null));
    let [day, four_hour, month] = answers.windows().try_into().unwrap();
    assert_eq!((day.used, day.cap), (None, Cap::Limited(5_000_000)));
    assert_eq!((four_hour.used, four_hour.cap), (None, Cap::Limited(8_333_333_333)));
    assert_eq!(
        (month.used, month.cap, month.source),
        (None, Cap::Limited(100_000_000_000), Source::Estimate)
    );
    let only_counter =
        Answers::new(json!(null), json!({"quota": 300, "used": 3}), json!({"subscription": false}));
    assert_eq!(only_counter.plan(), Some(Plan::Base));
    assert_eq!(only_counter.windows().len(), 1);
    let nothing = Answers::new(json!(null), json!(null), json!(null));
    assert_eq!((nothing.plan(), nothing.windows()), (None, Vec::new()));
}

#[test]
fn of_two_day_quotas_the_lower_one_counts() {
    let answers = Answers::new(row(5000), json!({"quota": 300, "used": 3}), pro());
    assert_eq!(answers.plan(), Some(Plan::Pro));
    assert_eq!(answers.windows()[0].cap, Cap::Limited(300_000));
}

#[test]
fn a_chute_has_its_own_counter() {
    let usage: QuotaUsage = serde_json::from_value(json!({"quota": 3, "used": 2.1})).unwrap();
    let window = chute_window(QuotaAmount::PerDay(3), Some(&usage), NOW);
    assert_eq!(
        (window.kind, window.used, window.cap),
        (WindowKind::Chute, Some(2_100), Cap::Limited(3_000))
    );
    assert_eq!(chute_window(QuotaAmount::Unlimited, None, NOW).cap, Cap::Uncapped);
}
