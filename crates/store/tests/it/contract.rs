//! What every ledger promises, run on every back end. A new back end is one more line in `on_every_back_end`.

use std::collections::BTreeSet;
use std::time::Duration;

use ripcord_store::{
    AddKeyError, ClientKey, ClientPaygo, ClientPriority, ClientRules, ClientShare, ClientUse, Cost,
    Coverage, Ledger, MOST_CLIENT_KEYS, MemoryLedger, Outcome, Paid, Row, ServedBy, Spent,
    SqliteLedger, StepKind, Tokens, Totals, UsualCall,
};

use crate::world::{Place, append_all, attempt, label, request, step};

const PATIENCE: Duration = Duration::from_secs(30);

fn on_every_back_end(scenario: impl Fn(&dyn Ledger)) {
    scenario(&MemoryLedger::default());
    let place = Place::new();
    scenario(&place.open());
}

#[test]
fn a_story_comes_back_as_it_was_told() {
    on_every_back_end(|ledger| {
        let (told, first, second) =
            (request("r1", 1_000), attempt("r1", 1, 1_010), attempt("r1", 2, 1_020));
        let (waited, switched) =
            (step("r1", 1, StepKind::Waited), step("r1", 2, StepKind::Switched));
        append_all(
            ledger,
            [
                Row::Attempt(second.clone()),
                Row::Step(switched.clone()),
                Row::Attempt(first.clone()),
                Row::Step(waited.clone()),
                Row::Request(told.clone()),
                Row::Request(request("r2", 2_000)),
                Row::Step(step("r2", 1, StepKind::Waited)),
            ],
        );
        ledger.flush(PATIENCE).unwrap();
        let story = ledger.request("r1").unwrap().unwrap();
        assert_eq!(story.request, Some(told));
        assert_eq!(story.attempts, [first, second]);
        assert_eq!(story.steps, [waited, switched]);
    });
}

#[test]
fn what_is_not_known_stays_unknown() {
    on_every_back_end(|ledger| {
        let mut told = request("r1", 1_000);
        told.client_key = None;
        told.requested_model = None;
        told.priority = None;
        told.deadline_us = None;
        told.served_by = ServedBy::default();
        told.status = None;
        told.cause = None;
        told.tokens = Tokens::default();
        told.cost = Cost::default();
        told.timing.first_byte_us = None;
        let mut done = step("r1", 1, StepKind::Chosen);
        done.subject = None;
        done.target = None;
        done.reason = None;
        done.before = None;
        done.after = None;
        append_all(ledger, [Row::Request(told.clone()), Row::Step(done.clone())]);
        ledger.flush(PATIENCE).unwrap();
        let story = ledger.request("r1").unwrap().unwrap();
        assert_eq!((story.request, story.steps), (Some(told), vec![done]));
    });
}

#[test]
fn every_kind_of_step_is_kept_once() {
    on_every_back_end(|ledger| {
        let steps: Vec<_> =
            (1..).zip(StepKind::ALL).map(|(number, kind)| step("r1", number, kind)).collect();
        append_all(ledger, steps.iter().cloned().map(Row::Step));
        let mut told_otherwise = step("r1", 1, StepKind::More);
        told_otherwise.took_us = 7;
        ledger.append(Row::Step(told_otherwise));
        ledger.flush(PATIENCE).unwrap();
        let story = ledger.request("r1").unwrap().unwrap();
        assert_eq!((story.request, story.attempts, story.steps), (None, vec![], steps));
    });
}

#[test]
fn requests_are_found_by_the_beginning_of_their_id() {
    on_every_back_end(|ledger| {
        append_all(
            ledger,
            [
                Row::Request(request("req_02b", 1_000)),
                Row::Attempt(attempt("req_02b", 1, 1_000)),
                Row::Attempt(attempt("req_02a", 1, 1_000)),
                Row::Step(step("req_01", 1, StepKind::Waited)),
                Row::Request(request("REQ_02", 1_000)),
                Row::Request(request("reqä", 1_000)),
            ],
        );
        ledger.flush(PATIENCE).unwrap();
        let found = |prefix, limit| -> Vec<String> {
            let ids = ledger.requests_beginning(prefix, limit).unwrap();
            ids.iter().map(ToString::to_string).collect()
        };
        assert_eq!(found("req_", 10), ["req_02b", "req_02a", "req_01"]);
        assert_eq!(found("req_02", 1), ["req_02b"]);
        assert_eq!(found("req_02a", 10), ["req_02a"]);
        assert_eq!(found("reqä", 10), ["reqä"]);
        // No character stands for others.
        for nothing in ["%", "req_0_", "req_02b1", "'"] {
            assert_eq!(found(nothing, 10), Vec::<String>::new(), "{nothing}");
        }
        assert_eq!(found("", 10).len(), 5);
    });
}

#[test]
fn every_outcome_and_coverage_is_kept() {
    on_every_back_end(|ledger| {
        for outcome in Outcome::ALL {
            for coverage in Coverage::ALL {
                let id = format!("{}-{}", outcome.as_str(), coverage.as_str());
                let mut told = request(&id, 1_000);
                told.outcome = outcome;
                told.cost.coverage = Some(coverage);
                ledger.append(Row::Request(told.clone()));
                ledger.flush(PATIENCE).unwrap();
                assert_eq!(ledger.request(&id).unwrap().unwrap().request, Some(told));
            }
        }
    });
}

#[test]
fn an_unknown_request_is_no_error() {
    on_every_back_end(|ledger| {
        assert_eq!(ledger.request("nobody").unwrap(), None);
        assert_eq!(ledger.recent_requests(10).unwrap(), []);
        assert_eq!(ledger.totals_since(0).unwrap(), []);
    });
}

#[test]
fn attempts_of_an_unfinished_request_are_shown() {
    on_every_back_end(|ledger| {
        ledger.append(Row::Attempt(attempt("r1", 1, 1_000)));
        ledger.flush(PATIENCE).unwrap();
        let story = ledger.request("r1").unwrap().unwrap();
        assert_eq!(story.request, None);
        assert_eq!(story.attempts.len(), 1);
    });
}

#[test]
fn a_row_written_again_counts_once_and_changes_nothing() {
    on_every_back_end(|ledger| {
        let (told, attempted) = (request("r1", 1_000), attempt("r1", 1, 1_000));
        let mut told_otherwise = told.clone();
        told_otherwise.status = Some(500);
        append_all(
            ledger,
            [
                Row::Request(told.clone()),
                Row::Attempt(attempted.clone()),
                Row::Attempt(attempted.clone()),
            ],
        );
        ledger.flush(PATIENCE).unwrap();
        append_all(ledger, [Row::Request(told_otherwise), Row::Attempt(attempted)]);
        ledger.flush(PATIENCE).unwrap();
        assert_eq!(ledger.recent_requests(10).unwrap(), [told]);
        assert_eq!(ledger.totals_since(0).unwrap()[0].attempts, 1);
    });
}

#[test]
fn recent_requests_come_newest_first() {
    on_every_back_end(|ledger| {
        append_all(
            ledger,
            [("b", 2_000), ("d", 3_000), ("a", 1_000), ("c", 3_000)]
                .map(|(id, time)| Row::Request(request(id, time))),
        );
        ledger.flush(PATIENCE).unwrap();
        let ids = |limit| -> Vec<String> {
            let recent = ledger.recent_requests(limit).unwrap();
            recent.iter().map(|row| row.request_id.to_string()).collect()
        };
        assert_eq!(ids(10), ["d", "c", "b", "a"]);
        assert_eq!(ids(3), ["d", "c", "b"]);
        assert_eq!(ids(0), Vec::<String>::new());
    });
}

#[test]
fn totals_are_summed_by_account_and_model_from_a_time_on() {
    on_every_back_end(|ledger| {
        let mut early = attempt("r0", 1, 999);
        early.tokens.prompt = Some(7_777);
        let failed = attempt("r1", 1, 1_000);
        let mut paid = attempt("r1", 2, 1_001);
        paid.outcome = Outcome::Completed;
        paid.cost.coverage = Some(Coverage::Paid);
        let mut unknown = attempt("r2", 1, 1_002);
        unknown.tokens = Tokens { estimated: true, ..Tokens::default() };
        unknown.cost = Cost::default();
        let mut elsewhere = attempt("r2", 2, 1_003);
        elsewhere.served_by = ServedBy { account: label("main"), ..ServedBy::default() };
        append_all(ledger, [early, failed, paid, unknown, elsewhere].map(Row::Attempt));
        ledger.flush(PATIENCE).unwrap();
        let expected = [
            Totals {
                account: label("main"),
                model: None,
                requests: 1,
                attempts: 1,
                prompt_tokens: 10,
                completion_tokens: 2,
                cached_tokens: 4,
                list_price_nano_usd: 1_000,
                ..Totals::default()
            },
            Totals {
                account: label("main"),
                model: label("lab/example-7b-TEE"),
                requests: 2,
                attempts: 3,
                completed: 1,
                estimated: 1,
                unpriced: 1,
                prompt_tokens: 20,
                completion_tokens: 4,
                cached_tokens: 8,
                list_price_nano_usd: 2_000,
                paid_nano_usd: 1_000,
            },
        ];
        assert_eq!(ledger.totals_since(1_000).unwrap(), expected);
    });
}

#[test]
fn what_was_spent_is_summed_by_when_it_ended() {
    const MINUTE: i64 = 60_000_000;
    on_every_back_end(|ledger| {
        assert_eq!(ledger.begins_at().unwrap(), None);
        let at = |id: &str, started: i64, took: i64, outcome: Outcome| {
            let mut row = attempt(id, 1, started);
            row.outcome = outcome;
            row.timing.total_us = took.unsigned_abs();
            row
        };
        // Began in one minute and ended in the next; the others end in the same one.
        let over = at("r1", MINUTE - 5, 10, Outcome::Completed);
        let mut broken = at("r2", MINUTE + 1, 2, Outcome::Broken);
        broken.cost = Cost::default();
        // An error that costs nothing, and one that Chutes counted.
        let mut nothing = at("r3", MINUTE + 1, 2, Outcome::Failed);
        nothing.cost = Cost::default();
        let counted = at("r4", MINUTE + 1, 2, Outcome::Failed);
        let before = at("r5", 1, 1, Outcome::Completed);
        let mut estimated = at("r6", 2 * MINUTE, 7, Outcome::Completed);
        estimated.tokens.estimated = true;
        let rows = [over, broken, nothing, counted, before, estimated];
        append_all(ledger, rows.map(Row::Attempt));
        ledger.flush(PATIENCE).unwrap();
        let spent = ledger.spent_since(MINUTE, Duration::from_secs(60)).unwrap();
        let whose = || Spent {
            account: label("main"),
            model: label("lab/example-7b-TEE"),
            ..Spent::default()
        };
        let first = Spent {
            from_unix_us: MINUTE,
            attempts: 3,
            completed: 1,
            unpriced: 1,
            list_price_nano_usd: 2_000,
            measured: 1,
            prompt_tokens: 10,
            cached_tokens: 4,
            completion_tokens: 2,
            total_us: 10,
            ..whose()
        };
        let second = Spent {
            from_unix_us: 2 * MINUTE,
            attempts: 1,
            completed: 1,
            list_price_nano_usd: 1_000,
            ..whose()
        };
        assert_eq!(spent, [first, second]);
        let usual = UsualCall::of(&spent, "lab/example-7b-TEE").unwrap();
        assert_eq!((usual.calls, usual.prompt_tokens, usual.completion_tokens), (1, 10, 2));
        assert_eq!(UsualCall::of(&spent, "another"), None);
        assert_eq!(ledger.begins_at().unwrap(), Some(1));
    });
}

#[test]
fn absurd_values_are_bounded_alike_and_sums_do_not_overflow() {
    let mut answers = Vec::new();
    for ledger in [&MemoryLedger::default() as &dyn Ledger, &Place::new().open()] {
        for number in 1..=20 {
            let mut absurd = attempt("r1", number, i64::MAX);
            absurd.tokens.prompt = Some(u64::MAX);
            absurd.cost.list_price_nano_usd = Some(i64::MIN);
            absurd.timing.waited_us = u64::MAX;
            absurd.cause = label(&"ä\0".repeat(100_000));
            ledger.append(Row::Attempt(absurd));
            let mut step = step("r1", number, StepKind::Trimmed);
            step.reason = label(&"ä\0".repeat(100_000));
            step.before = Some(u64::MAX);
            step.took_us = u64::MAX;
            ledger.append(Row::Step(step));
        }
        ledger.flush(PATIENCE).unwrap();
        let stretch = Duration::MAX;
        assert_eq!(ledger.spent_since(0, stretch).unwrap(), []);
        ledger.append(Row::Attempt(attempt("r2", 1, i64::MIN)));
        ledger.append(Row::Attempt(attempt("r3", 1, -8_999_999_999_999_999)));
        ledger.flush(PATIENCE).unwrap();
        assert_eq!(ledger.spent_since(i64::MIN, stretch).unwrap().len(), 1);
        answers.push((ledger.totals_since(0).unwrap(), ledger.request("r1").unwrap().unwrap()));
    }
    assert_eq!(answers[0], answers[1]);
    assert!(answers[0].1.attempts[0].cause.as_ref().unwrap().len() <= 256);
    assert!(answers[0].1.steps[0].reason.as_ref().unwrap().len() <= 256);
}

#[test]
fn every_row_is_found_or_counted_as_lost() {
    const APPENDED: u64 = 500;
    let place = Place::new();
    let small: [&dyn Ledger; 2] =
        [&MemoryLedger::new(20), &SqliteLedger::open_with_capacity(&place.path, 20).unwrap()];
    for ledger in small {
        for number in 0..APPENDED {
            ledger.append(Row::Request(request(&format!("r{number}"), 1_000)));
        }
        ledger.flush(PATIENCE).unwrap();
        let found: BTreeSet<_> = ledger
            .recent_requests(usize::MAX)
            .unwrap()
            .into_iter()
            .map(|row| row.request_id)
            .collect();
        assert_eq!(found.len() as u64 + ledger.health().rows_lost, APPENDED);
        assert!(found.len() >= 20);
    }
}

#[test]
fn many_threads_append_at_once() {
    on_every_back_end(|ledger| {
        std::thread::scope(|scope| {
            for thread in 0..8 {
                scope.spawn(move || {
                    for number in 0..200 {
                        let id = format!("{thread}-{number}");
                        ledger.append(Row::Request(request(&id, 1_000)));
                        ledger.append(Row::Attempt(attempt(&id, 1, 1_000)));
                    }
                });
            }
        });
        ledger.flush(PATIENCE).unwrap();
        let totals = ledger.totals_since(0).unwrap();
        assert_eq!((totals[0].requests, totals[0].attempts), (1_600, 1_600));
        assert_eq!(ledger.recent_requests(usize::MAX).unwrap().len(), 1_600);
        let health = ledger.health();
        assert_eq!((health.rows_queued, health.rows_kept, health.rows_lost), (0, 3_200, 0));
        assert!(health.is_writing());
    });
}

fn client_key(name: &str, paygo: ClientPaygo) -> ClientKey {
    let rules = ClientRules {
        paygo,
        may_use_reserve: paygo == ClientPaygo::Allow,
        min_balance_nano_usd: Some(-5),
        refuses_unknown: paygo == ClientPaygo::Never,
        ..ClientRules::default()
    };
    ClientKey::new(name, name, rules, 7)
}

#[test]
fn client_keys_come_back_as_they_were_made_until_they_are_forgotten() {
    on_every_back_end(|ledger| {
        assert_eq!(ledger.client_keys().unwrap(), []);
        let paygos =
            [ClientPaygo::AsAccount, ClientPaygo::Never, ClientPaygo::Allow, ClientPaygo::Daily(9)];
        let keys: Vec<ClientKey> = ["a", "b", "c", "d"]
            .into_iter()
            .zip(paygos)
            .map(|(name, paygo)| client_key(name, paygo))
            .collect();
        keys.iter().rev().for_each(|key| ledger.add_client_key(key.clone()).unwrap());
        assert_eq!(ledger.client_keys().unwrap(), keys);
        let again = ledger.add_client_key(client_key("a", ClientPaygo::Never));
        assert_eq!(again, Err(AddKeyError::NameTaken("a".into())));
        assert!(!ledger.remove_client_key("a").unwrap(), "it is in force");
        assert!(ledger.revoke_client_key("a", 10).unwrap());
        assert!(!ledger.revoke_client_key("a", 11).unwrap(), "once");
        assert!(!ledger.revoke_client_key("nobody", 11).unwrap());
        assert_eq!(ledger.client_keys().unwrap()[0].revoked_at_unix_us, Some(10));
        assert!(ledger.remove_client_key("a").unwrap());
        assert!(!ledger.remove_client_key("a").unwrap());
        assert_eq!(ledger.client_keys().unwrap(), keys[1..]);
    });
}

#[test]
fn the_share_of_a_client_key_comes_back_as_it_was_made() {
    on_every_back_end(|ledger| {
        let mut key = client_key("bounded", ClientPaygo::Never);
        key.rules.share = ClientShare {
            daily_nano_usd: Some(1),
            monthly_nano_usd: Some(i64::MAX),
            daily_requests: Some(3),
            requests_per_minute: Some(u32::MAX),
            concurrent_requests: Some(5),
        };
        key.rules.models = vec!["acme/*".to_owned(), "other/Größe".to_owned()];
        key.rules.highest_priority = ClientPriority::Batch;
        key.expires_at_unix_us = Some(1_000);
        ledger.add_client_key(key.clone()).unwrap();
        assert_eq!(ledger.client_keys().unwrap(), [key.clone()]);
        assert!(key.is_in_force(999) && !key.is_in_force(1_000));
        key.revoked_at_unix_us = Some(5);
        assert!(!key.is_in_force(1));
    });
}

#[test]
fn there_are_only_so_many_client_keys() {
    on_every_back_end(|ledger| {
        for number in 0..MOST_CLIENT_KEYS {
            ledger.add_client_key(client_key(&number.to_string(), ClientPaygo::Never)).unwrap();
        }
        let one_more = ledger.add_client_key(client_key("one more", ClientPaygo::Never));
        assert_eq!(one_more, Err(AddKeyError::TooMany));
    });
}

#[test]
fn what_the_balance_may_have_paid_is_summed_by_minute_account_and_client_key() {
    on_every_back_end(|ledger| {
        let minute = 60_000_000;
        let mut rows = Vec::new();
        for (number, (name, coverage, ended, price)) in [
            (Some("bot"), Some(Coverage::Paid), minute, 5),
            (Some("bot"), None, minute + 1, 6),
            (Some("bot"), Some(Coverage::Covered), minute + 2, 100),
            (None, Some(Coverage::Paid), minute * 2, 7),
            (Some("bot"), Some(Coverage::Paid), minute - 1, 50),
        ]
        .into_iter()
        .enumerate()
        {
            let id = format!("r{number}");
            let mut told = request(&id, 1_000);
            told.client_key = name.map(Into::into);
            let mut tried = attempt(&id, 1, ended - 3);
            tried.timing.total_us = 3;
            tried.cost = Cost { list_price_nano_usd: Some(price), coverage };
            tried.served_by.account = label("work");
            rows.extend([Row::Request(told), Row::Attempt(tried)]);
        }
        append_all(ledger, rows);
        ledger.flush(PATIENCE).unwrap();
        let paid = |from, client_key: Option<&str>, nano_usd| Paid {
            from_unix_us: from,
            account: label("work"),
            client_key: client_key.map(Into::into),
            nano_usd,
        };
        assert_eq!(
            ledger.paid_since(minute).unwrap(),
            [paid(minute, Some("bot"), 11), paid(minute * 2, None, 7)]
        );
    });
}

#[test]
fn what_a_client_key_used_is_summed_for_the_day_and_the_month() {
    on_every_back_end(|ledger| {
        let (month, day) = (1_000_000, 5_000_000);
        let mut rows = Vec::new();
        // Who, when it began, and what its attempts did cost with the time at which each ended.
        type Ended = (i64, Option<i64>);
        let requests: [(Option<&str>, i64, &[Ended]); 8] = [
            (Some("bot"), day, &[(day + 1, Some(10)), (day + 2, None)]),
            (Some("bot"), day - 10, &[(day - 5, Some(100)), (day, Some(1_000))]),
            (Some("bot"), month - 10, &[(month - 1, Some(7)), (month, Some(10_000))]),
            // Nothing was sent, so it is no request of the day.
            (Some("bot"), day + 5, &[]),
            // Money that comes back makes no room.
            (Some("bot"), day + 6, &[(day + 7, Some(-500))]),
            (Some("app"), day + 1, &[(day + 2, None)]),
            (Some("old"), month - 100, &[(month - 50, Some(5))]),
            (None, day + 3, &[(day + 4, Some(5))]),
        ];
        for (number, (name, began, attempts)) in requests.into_iter().enumerate() {
            let id = format!("r{number}");
            let mut told = request(&id, began);
            told.client_key = name.map(Into::into);
            told.attempt_count = attempts.len() as u32;
            rows.push(Row::Request(told));
            for (number, (ended, price)) in (1..).zip(attempts) {
                let mut tried = attempt(&id, number, ended - 3);
                tried.timing.total_us = 3;
                tried.cost = Cost { list_price_nano_usd: *price, coverage: None };
                rows.push(Row::Attempt(tried));
            }
        }
        append_all(ledger, rows);
        ledger.flush(PATIENCE).unwrap();
        let used = |client_key: &str, day_nano_usd, month_nano_usd, day_requests| ClientUse {
            client_key: client_key.into(),
            day_nano_usd,
            month_nano_usd,
            day_requests,
        };
        assert_eq!(
            ledger.client_use(day, month).unwrap(),
            [used("app", 0, 0, 1), used("bot", 1_010, 11_110, 2)]
        );
    });
}
