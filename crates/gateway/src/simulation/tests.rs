use super::survey::{Survey, survey};
use super::*;
use ripcord_rules::quota::BookSettings;

/// Pro or Plus, calls of many sizes, a window that is used up in ten minutes to just under three hours.
fn scenario(seed: u64, foreign: Foreign) -> Scenario {
    let mut random = Random::new(seed ^ 0x5eed);
    let is_pro = random.happens(0.5);
    Scenario {
        seed,
        quota: if is_pro { 5_000 } else { 2_000 },
        foreign,
        median_permille: random.between(1.0, 3.0),
        fills_in: Duration::from_secs_f64(random.between(600.0, 10_500.0)),
        // Two windows in one day and one in the next: the day's requests are enough.
        first: 4,
        windows: 3,
        ahead_micros: (random.between(-1.0, 2.0) * SECOND as f64) as i64,
        old_after_turn_seconds: 0,
        month_used_pico: 0,
        day_used_units: 0,
        gateways: 1,
        book: BookSettings::default(),
    }
}

fn scenarios(windows: u64, foreign: Foreign) -> Vec<Scenario> {
    (0..windows.div_ceil(3)).map(|seed| scenario(seed, foreign)).collect()
}

fn shown(what: &str, scenarios: &[Scenario]) -> Survey {
    let survey = survey(scenarios);
    println!("{what}: {survey}");
    survey
}

impl Survey {
    /// What is promised: not a cent, and nearly all of every window.
    fn assert_kept(&self) {
        assert_eq!(self.paid, []);
        assert!(self.shares[0] >= 9_700, "{self}");
        // Whoever else calls may take what we left, and hide it.
        assert!(self.filled[0] >= 9_700, "{self}");
        self.assert_prompt();
    }

    /// Whoever waits goes on soon after a turn, and nobody asks all the time meanwhile.
    fn assert_prompt(&self) {
        // A second because clocks differ, two where ours is late, one on the way there.
        assert_eq!(self.stood_still, 0, "{self}");
        let late = self.went_on_after.last();
        assert!(late.is_none_or(|(after, _)| *after <= 4_000), "{late:?} {self}");
        assert!(self.least_between_readings >= 10_000_000, "{self}");
    }
}

#[test]
fn nothing_is_paid_and_nearly_all_is_used_whoever_else_calls() {
    shown("at random", &scenarios(55, Foreign::AtRandom)).assert_kept();
    shown("also near the end", &scenarios(55, Foreign::AlsoNearTheEnd)).assert_kept();
}

#[test]
fn nothing_is_paid_and_nearly_all_is_used_alone_and_after_others() {
    shown("nobody else", &scenarios(12, Foreign::Nobody)).assert_kept();
    shown("right after the turn", &scenarios(12, Foreign::AfterTheTurn)).assert_kept();
}

#[test]
fn a_day_or_a_month_that_ends_first_is_not_overrun() {
    let mut days = scenarios(12, Foreign::AtRandom);
    let mut months = days.clone();
    for scenario in &mut days {
        // So many are left, in the evening of the day, that the first of its windows is not used up.
        scenario.day_used_units = i64::try_from(scenario.quota).unwrap() - 200;
    }
    for scenario in &mut months {
        // Half a window is left.
        scenario.month_used_pico =
            if scenario.quota == 5_000 { 96 } else { 48 } * 1_000_000_000_000;
    }
    assert_eq!(shown("the day ends first", &days).paid, []);
    assert_eq!(shown("the month ends first", &months).paid, []);
}

#[test]
fn a_clock_that_is_wrong_by_as_much_as_it_may_be_costs_nothing() {
    let mut scenarios = scenarios(12, Foreign::AlsoNearTheEnd);
    for scenario in &mut scenarios {
        scenario.ahead_micros = if scenario.seed.is_multiple_of(2) { 2 } else { -1 } * SECOND;
    }
    shown("clocks apart", &scenarios).assert_kept();
}

#[test]
fn figures_of_the_window_before_cost_neither_money_nor_the_window() {
    let mut scenarios = scenarios(12, Foreign::AtRandom);
    scenarios.iter_mut().for_each(|scenario| scenario.old_after_turn_seconds = 60);
    shown("old figures after the turn", &scenarios).assert_kept();
}

#[test]
fn two_gateways_on_one_account_are_others_to_each_other() {
    let mut scenarios = scenarios(12, Foreign::Nobody);
    for scenario in &mut scenarios {
        scenario.gateways = 2;
        // An hour and more: what each does to the other is as fast as its clients.
        scenario.fills_in = scenario.fills_in.max(Duration::from_secs(3_600));
    }
    let survey = shown("two gateways", &scenarios);
    assert_eq!(survey.paid, []);
    assert!(survey.shares[0] >= 9_700, "{survey}");
}

#[test]
fn whoever_believes_the_figures_pays() {
    let mut scenarios = scenarios(6, Foreign::AtRandom);
    for scenario in &mut scenarios {
        scenario.book =
            BookSettings { figures_lag: Duration::ZERO, margin_permille: 0, ..scenario.book };
    }
    assert!(!shown("figures taken for the truth", &scenarios).paid.is_empty());
}

#[test]
#[ignore = "thousands of windows; part of `cargo xtask soak`"]
fn a_thousand_windows_of_each_kind() {
    for (what, foreign) in [
        ("nobody else", Foreign::Nobody),
        ("at random", Foreign::AtRandom),
        ("also near the end", Foreign::AlsoNearTheEnd),
        ("right after the turn", Foreign::AfterTheTurn),
    ] {
        shown(what, &scenarios(1_000, foreign)).assert_kept();
    }
}

/// Faster than a reading every ten seconds can follow: told, not promised.
#[test]
#[ignore = "thousands of windows; part of `cargo xtask soak`"]
fn a_thousand_windows_of_kinds_that_are_not_promised() {
    for (what, foreign) in [
        ("in bursts of a minute", Foreign::InBursts),
        ("all in the last ten minutes", Foreign::AtTheEnd),
        ("all in one minute when nearly nothing is left", Foreign::AllAtOnceWhenNearlyFull),
    ] {
        shown(what, &scenarios(1_000, foreign));
    }
    let mut two = scenarios(1_000, Foreign::Nobody);
    two.iter_mut().for_each(|scenario| scenario.gateways = 2);
    shown("two gateways", &two);
}
