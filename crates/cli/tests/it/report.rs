//! `ripcord report`: its forms, the comparison with the ledger, and what is kept between two runs.

use std::path::PathBuf;

use chutes_emulator::{
    AccountSpec, Fault, FaultKind, FaultScope, PlanSpec, Scenario, UsageHistory, UsageRowSpec,
};
use ripcord_store::{
    AttemptRow, Cost, Ledger as _, Outcome, Row, ServedBy, SqliteLedger, Timing, Tokens,
};

use crate::world::{World, catalogue, pro};

const GLM: &str = "zai-org/GLM-5.2-TEE";
const QWEN: &str = "Qwen/Qwen2.5-72B-Instruct";

/// One hour of one model.
fn hour(at: &str, model: &str, count: u64, paid: f64) -> UsageRowSpec {
    UsageRowSpec {
        at: at.to_owned(),
        model: model.to_owned(),
        count,
        input_tokens: count * 2_000,
        output_tokens: count * 300,
        amount_usd: paid,
    }
}

/// Some calls of some days, the last ones in the hour that runs.
fn with_use(mut account: AccountSpec) -> AccountSpec {
    account.usage_rows = vec![
        hour("2026-07-20T10:00:00", QWEN, 500, 0.0),
        // The month turns at 08:12:45: this hour is still the old one's.
        hour("2026-09-14T08:30:00", QWEN, 9, 0.0),
        hour("2026-09-14T09:30:00", QWEN, 10, 0.0),
        hour("2026-09-25T23:30:00", GLM, 40, 0.0),
        hour("2026-09-26T10:00:00", GLM, 120, 0.25),
        hour("2026-09-26T10:00:00", QWEN, 30, 0.0),
        hour("2026-09-27T08:00:00", QWEN, 20, 0.0),
        hour("2026-09-27T11:05:00", QWEN, 3, 0.0),
    ];
    account
}

fn used() -> World {
    World::with(with_use(pro()))
}

/// Use of many hours, and one that stands out.
fn busy() -> World {
    let mut account = pro();
    account.usage_history = Some(UsageHistory {
        hours: 60 * 24,
        calls_per_hour: 60,
        models: vec![QWEN.into(), GLM.into()],
        paid: None,
    });
    account.usage_rows = vec![hour("2026-09-20T03:10:00", GLM, 4_000, 3.1)];
    World::with(account)
}

/// What the gateway of this machine did: a number of calls, ended at a moment.
fn ledger(world: &World, calls: &[(&str, u64, Outcome)]) {
    let path = world.home().join(".local/state/ripcord/ledger.sqlite");
    let ledger = SqliteLedger::open(&path).unwrap();
    let account: String = Scenario::user_id("alice").chars().take(8).collect();
    for (at, count, outcome) in calls {
        let ended = ripcord_wire::time::parse_timestamp(at).unwrap();
        for number in 0..*count {
            ledger.append(Row::Attempt(AttemptRow {
                request_id: format!("{at}-{number}-{outcome:?}").into(),
                number: 1,
                served_by: ServedBy {
                    account: Some(account.as_str().into()),
                    model: Some(QWEN.into()),
                    key: None,
                },
                status: Some(200),
                outcome: *outcome,
                cause: None,
                tokens: Tokens { prompt: Some(2_000), completion: Some(300), ..Tokens::default() },
                cost: Cost { list_price_nano_usd: Some(320_000), coverage: None },
                timing: Timing {
                    started_at_unix_us: ended - 2_000_000,
                    total_us: 2_000_000,
                    ..Timing::default()
                },
            }));
        }
    }
    ledger.flush(std::time::Duration::from_secs(5)).unwrap();
}

fn kept(world: &World) -> PathBuf {
    let directory = world.home().join(".local/state/ripcord/usage");
    std::fs::read_dir(directory).unwrap().next().unwrap().unwrap().path()
}

/// The pages of the history that were asked for since the last look.
fn asked(world: &World) -> Vec<String> {
    let log = world.emulator().control().log();
    let usage = log.into_iter().filter(|entry| entry.path.starts_with("/users/me/usage?"));
    usage.map(|entry| entry.path).collect()
}

#[test]
fn a_table_for_each_form() {
    let world = used();
    let mut seen = String::new();
    let forms: [&[&str]; 7] = [
        &[],
        &["--days", "2"],
        &["--monthly"],
        &["--calendar"],
        &["--hourly", "2026-09-26"],
        &["--hourly", "today"],
        &["--spikes"],
    ];
    for form in forms {
        let arguments = [&["report"], form].concat();
        let outcome = world.run(&arguments);
        seen.push_str(&format!("$ ripcord {}\n{}\n", arguments.join(" "), outcome.seen()));
        let as_json = world.run(&[&arguments[..], &["--json"]].concat());
        as_json.report("report");
        assert_eq!(as_json.code, outcome.code);
    }
    insta::assert_snapshot!("forms", seen);
}

#[test]
fn every_width_has_its_columns() {
    let mut seen = String::new();
    for columns in ["40", "60", "100", "140"] {
        let world = used().variable("COLUMNS", columns);
        ledger(&world, &[("2026-09-26T10:20:00Z", 100, Outcome::Completed)]);
        for form in [&["report", "--days", "3"][..], &["report", "--plan"]] {
            let outcome = world.run(form);
            let widest = outcome.stdout.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(widest <= columns.parse().unwrap(), "{widest}\n{}", outcome.seen());
            seen.push_str(&format!("=== {columns} columns\n{}\n", outcome.seen()));
        }
    }
    insta::assert_snapshot!("widths", seen);
}

#[test]
fn no_form_is_wider_than_the_terminal() {
    for columns in ["40", "60", "80"] {
        let world = busy().variable("COLUMNS", columns);
        for form in ["--monthly", "--calendar", "--hourly=2026-09-20", "--spikes", "--plan"] {
            let outcome = world.run(&["report", form]);
            let widest = outcome.stdout.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(widest <= columns.parse().unwrap(), "{form}: {widest}\n{}", outcome.seen());
        }
    }
}

#[test]
fn the_key_that_may_read_the_account_is_found() {
    let keys = format!("{},{}", Scenario::key("alice", 1), Scenario::key("alice", 0));
    let world = World::of(catalogue().account(with_use(pro()))).key(&keys);
    let report = world.run(&["report", "--monthly", "--json"]).report("report");
    assert_eq!(report["form"], "billing_months");
    assert_eq!(report["accounts"][0]["rows"][5]["server"]["requests"], 223);
    let invoke_only =
        World::of(catalogue().account(with_use(pro()))).key(&Scenario::key("alice", 1));
    let outcome = invoke_only.run(&["report"]);
    assert_eq!(outcome.code, 3);
    assert!(outcome.stderr.contains("add an admin key of this account"), "{}", outcome.seen());
}

#[test]
fn the_server_s_count_is_compared_with_the_ledger() {
    let world = used();
    ledger(
        &world,
        &[
            ("2026-09-24T09:00:00Z", 1, Outcome::Completed),
            // 40 at the server: all of them ours, one of which it may not have counted.
            ("2026-09-25T23:40:00Z", 39, Outcome::Completed),
            ("2026-09-25T23:41:00Z", 1, Outcome::Broken),
            // 150 at the server.
            ("2026-09-26T10:20:00Z", 100, Outcome::Completed),
            ("2026-09-26T10:30:00Z", 2, Outcome::Cancelled),
            // 20 at the server; of those that ended an hour ago or later nothing is said.
            ("2026-09-27T08:59:59Z", 25, Outcome::Completed),
            ("2026-09-27T10:30:00Z", 7, Outcome::Completed),
        ],
    );
    let report = world.run(&["report", "--json"]).report("report");
    let rows = report["accounts"][0]["rows"].as_array().unwrap();
    let drifts: Vec<(&str, Option<u64>)> = rows
        .iter()
        .map(|row| (row["drift"].as_str().unwrap(), row["drift_requests"].as_u64()))
        .collect();
    assert_eq!(
        drifts,
        [
            ("unknown", None),
            ("unknown", None),
            ("unknown", None),
            ("missing", Some(1)),
            ("none", None),
            ("elsewhere", Some(48)),
            ("missing", Some(5)),
        ],
        "before the ledger began nobody knows"
    );
    assert_eq!(rows[6]["gateway"]["completed"], 32);
    let hours = world.run(&["report", "--hourly", "today", "--json"]).report("report");
    let hours = hours["accounts"][0]["rows"].as_array().unwrap().clone();
    assert_eq!(hours.len(), 24);
    assert_eq!(
        (hours[8]["drift"].as_str(), hours[10]["drift"].as_str()),
        (Some("missing"), Some("not_yet"))
    );
    assert_eq!(hours[12]["server"], serde_json::Value::Null, "it has not come");
    insta::assert_snapshot!("drift", world.variable("COLUMNS", "120").run(&["report"]).seen());
}

#[test]
fn plans_are_compared_for_the_last_month_and_the_last_days() {
    let world = busy();
    insta::assert_snapshot!("plan", world.run(&["report", "--plan"]).seen());
    let report = world.run(&["report", "--plan", "--json"]).report("report");
    let months = report["accounts"][0]["plans"].as_array().unwrap();
    assert_eq!(months[0]["span"], "billing_month");
    assert_eq!(months[0]["from"], "2026-08-14T08:12:45Z");
    assert_eq!(months[1]["span"], "last_30_days");
    assert_eq!(months[1]["cheapest"], "pro");
    let yours = months[1]["plans"].as_array().unwrap().iter().find(|plan| plan["yours"] == true);
    assert_eq!(yours.unwrap()["plan"]["code"], "pro");
}

#[test]
fn hours_that_stand_out_are_named_with_what_did_it() {
    let world = busy();
    insta::assert_snapshot!("spikes", world.run(&["report", "--spikes"]).seen());
    let report = world.run(&["report", "--spikes", "--days", "20", "--json"]).report("report");
    let spikes = &report["accounts"][0]["spikes"];
    assert_eq!(spikes["hours"].as_array().unwrap().len(), 1);
    assert_eq!(spikes["hours"][0]["models"][0]["model"], GLM);
    let mut even = pro();
    let of_hour =
        |number: u64| hour(&format!("2026-09-26T{number:02}:00:00"), QWEN, 90 + number, 0.0);
    even.usage_rows = (0..20).map(of_hour).collect();
    let quiet = World::with(even).run(&["report", "--spikes"]);
    assert!(quiet.stdout.contains("no hour stands out"), "{}", quiet.seen());
}

#[test]
fn accounts_are_shown_one_by_one_and_together() {
    let bob = with_use(AccountSpec::new("bob", PlanSpec::Paygo).balance_usd(7.35));
    let scenario = catalogue().account(with_use(pro())).account(bob);
    let keys = format!("{},{}", Scenario::key("alice", 0), Scenario::key("bob", 0));
    let world = World::of(scenario).key(&keys);
    insta::assert_snapshot!("accounts", world.run(&["report", "--days", "2"]).seen());
    let report = world.run(&["report", "--days", "2", "--json"]).report("report");
    assert_eq!(report["together"][0]["server"]["requests"], 300);
    // Their billing months are not the same.
    let months = world.run(&["report", "--monthly", "--json"]).report("report");
    assert!(months["together"].as_array().unwrap().is_empty());
    let one = world.run(&["report", "--account", "bob", "--json"]).report("report");
    assert_eq!(one["accounts"].as_array().unwrap().len(), 1);
}

#[test]
fn days_are_those_of_the_zone_where_its_hours_are_whole() {
    let world = used();
    let rows = |zone: &str| {
        let report = world.run(&["report", "--days", "2", "--json", "--tz", zone]).report("report");
        let row = report["accounts"][0]["rows"][0].clone();
        (report["zone"].clone(), row["from"].clone(), row["server"]["requests"].clone())
    };
    // 23:30 UTC is the next day in Berlin.
    assert_eq!(
        rows("Europe/Berlin"),
        ("Europe/Berlin".into(), "2026-09-25T22:00:00Z".into(), 190.into())
    );
    assert_eq!(rows("Asia/Kolkata"), ("UTC".into(), "2026-09-26T00:00:00Z".into(), 150.into()));
    let told = world.run(&["report", "--tz", "Asia/Kolkata"]).stdout;
    assert!(
        told.split_whitespace().collect::<Vec<_>>().join(" ").contains("days are those of UTC"),
        "{told}"
    );
    let report =
        world.run(&["report", "--hourly", "2026-03-29", "--json", "--tz", "Europe/Berlin"]);
    assert_eq!(report.report("report")["accounts"][0]["rows"].as_array().unwrap().len(), 23);
}

#[test]
fn hours_that_are_over_are_asked_for_once() {
    let world = used();
    let first = world.run(&["report", "--days", "30"]);
    assert_eq!(asked(&world).len(), 1);
    assert!(asked(&world)[0].contains("start_date=2026-08-29T00"), "{:?}", asked(&world));
    assert_eq!(world.run(&["report", "--days", "30"]).stdout, first.stdout);
    assert_eq!(asked(&world).len(), 2);
    assert!(asked(&world)[1].contains("start_date=2026-09-27T05"), "{:?}", asked(&world));
    // More than is kept: only what is missing.
    let more = world.run(&["report", "--days", "60", "--json"]).report("report");
    let pages = asked(&world);
    assert!(pages[3].contains("start_date=2026-07-30T00"), "{pages:?}");
    assert!(pages[3].contains("end_date=2026-08-28T23"), "{pages:?}");
    let anew = world.run(&["report", "--days", "60", "--json", "--no-cache"]).report("report");
    assert_eq!(more["accounts"][0]["rows"], anew["accounts"][0]["rows"]);
    assert!(asked(&world)[4].contains("start_date=2026-07-30T00"), "all of it");
}

#[test]
fn a_day_later_the_file_has_what_came_since() {
    let world = used();
    world.run(&["report", "--days", "3"]);
    world.emulator().control().set_time("2026-09-28T09:00:00Z").unwrap();
    let world = world.variable("RIPCORD_TEST_NOW", "2026-09-28T09:00:00Z");
    let report = world.run(&["report", "--days", "3", "--json"]).report("report");
    let counts: Vec<_> = report["accounts"][0]["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["server"]["requests"].as_u64().unwrap())
        .collect();
    assert_eq!(counts, [150, 23, 0]);
    assert!(asked(&world)[1].contains("start_date=2026-09-27T05"));
}

#[test]
fn where_chutes_is_out_of_reach_what_is_kept_is_shown_with_its_age() {
    let world = used();
    world.run(&["report"]);
    // The same address, which answers nothing of the account any more.
    let broken = Fault { on: FaultScope::Management, ..Fault::new(FaultKind::PlainServerError) };
    world.emulator().control().add_account_fault("alice", broken).unwrap();
    world.emulator().control().set_time("2026-09-27T12:13:00Z").unwrap();
    let world = world.variable("RIPCORD_TEST_NOW", "2026-09-27T12:13:00Z");
    let outcome = world.run(&["report", "--days", "2"]);
    assert_eq!(outcome.code, 3, "{}", outcome.seen());
    insta::assert_snapshot!("kept", outcome.seen());
    let report = world.run(&["report", "--days", "2", "--json"]).report("report");
    let history = &report["accounts"][0]["history"];
    assert_eq!(
        (history["source"].as_str(), history["age_seconds"].as_u64()),
        (Some("cache"), Some(3_600))
    );
    let nothing = world.run(&["report", "--no-cache", "--json"]);
    assert_eq!(nothing.code, 3);
    assert_eq!(nothing.report("report")["accounts"][0]["history"], serde_json::Value::Null);
}

#[test]
fn a_damaged_file_is_told_and_made_anew() {
    let world = used();
    let whole = world.run(&["report"]).stdout;
    let path = kept(&world);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("2000", "2001").replace("[1790", "[1780")).unwrap();
    let outcome = world.run(&["report"]);
    assert_eq!((outcome.code, &outcome.stdout), (0, &whole));
    assert!(outcome.stderr.contains("is damaged"), "{}", outcome.stderr);
    assert_eq!(world.run(&["report"]).stderr, "", "once");
    let name = path.file_name().unwrap().to_str().unwrap().to_owned();
    assert!(!name.contains("alice") && !text.contains("cpk_"), "{name}");
}

#[test]
fn a_day_of_long_ago_is_read_by_itself() {
    let mut account = with_use(pro());
    account.usage_rows.push(hour("2025-06-01T10:00:00", QWEN, 77, 0.0));
    let world = World::with(account);
    world.run(&["report"]);
    let report = world.run(&["report", "--hourly", "2025-06-01", "--json"]).report("report");
    assert_eq!(report["accounts"][0]["rows"][10]["server"]["requests"], 77);
    assert!(asked(&world)[1].contains("end_date=2025-06-01T23"), "{:?}", asked(&world));
    world.run(&["report"]);
    assert!(asked(&world)[2].contains("start_date=2026-09-27T05"), "what is kept stays");
}

#[test]
fn a_file_that_was_written_by_a_wrong_clock_is_read_anew() {
    let world = used().variable("RIPCORD_TEST_NOW", "2026-09-27T11:43:00Z");
    world.emulator().control().set_time("2026-09-27T11:43:00Z").unwrap();
    world.run(&["report"]);
    world.emulator().control().set_time(crate::world::NOW).unwrap();
    let world = world.variable("RIPCORD_TEST_NOW", crate::world::NOW);
    assert_eq!(world.run(&["report"]).code, 0);
    assert!(asked(&world)[1].contains("start_date=2026-09-21T00"), "{:?}", asked(&world));
}

#[test]
fn prices_of_the_account_s_own_count() {
    let mut account = with_use(pro());
    account.discounts.insert("*".into(), 0.5);
    let value = |account: AccountSpec| {
        let report =
            World::with(account).run(&["report", "--days", "1", "--json"]).report("report");
        report["accounts"][0]["rows"][0]["server"]["value_usd_most"].as_f64().unwrap()
    };
    let (listed, own) = (value(with_use(pro())), value(account.clone()));
    assert!((own - listed / 2.0).abs() < 1e-6, "{own} {listed}");
    let told = World::with(account).run(&["report"]).stdout;
    assert!(told.contains("those of your own"), "{told}");
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let world = used();
    let mut seen = String::new();
    let wrong: [&[&str]; 8] = [
        &["--days", "0"],
        &["--days", "401"],
        &["--days", "-1"],
        &["--hourly", "27.9.2026"],
        &["--hourly", "2026-09-28"],
        &["--monthly", "--plan"],
        &["--monthly", "--days", "3"],
        &["--hourly", "today", "--calendar"],
    ];
    for arguments in wrong {
        let outcome = world.run(&[&["report"], arguments].concat());
        assert_eq!(outcome.code, 2, "{}", outcome.seen());
        let first = outcome.stderr.lines().next().unwrap_or_default();
        seen.push_str(&format!("{}: {first}\n", arguments.join(" ")));
    }
    assert!(asked(&world).is_empty(), "nothing was asked");
    insta::assert_snapshot!("wrong-usage", seen);
}

#[test]
fn a_ledger_younger_than_the_hours_that_have_settled_compares_nothing_yet() {
    let world = used();
    ledger(&world, &[("2026-09-27T11:05:00Z", 3, Outcome::Completed)]);
    let told = world.run(&["report"]).stdout;
    assert!(told.contains("Drift: not known yet."), "{told}");
}
