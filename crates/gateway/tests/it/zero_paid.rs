//! Not a cent is paid, over sockets: 32 clients, others with another key of the account, figures that lag, the ends of
//! windows.

use crate::riding::{Ridden, Ride, seconds};
use chutes_emulator::PlanSpec;
use std::time::Duration;
use tokio::task::JoinSet;

impl Ridden {
    /// What is promised: not a cent, and nearly all of every window.
    fn assert_kept(&self) {
        for used in self.windows.iter().chain([&self.after]) {
            assert_eq!(used.own_paid, 0, "{self}");
        }
        for used in &self.windows {
            assert!(used.share() >= 9_700, "{self}");
        }
        assert!(self.after.own_calls > 0, "the queue goes on after the last turn: {self}");
        assert!(self.least_between_readings >= Duration::from_millis(9_900), "{self}");
    }
}

/// As in `cargo xtask soak`, with figures that lag by a second and a window that is nearly used up.
#[tokio::test]
async fn the_end_of_a_window_costs_nothing() {
    let ride = Ride {
        plan: PlanSpec::Pro,
        seed: 1,
        begins: "11:59:54",
        lag: seconds(1),
        taken_to_lag: seconds(2),
        windows: 1,
        used_before_permille: 920,
        others_permille: 10,
        others_take: seconds(3),
        others_after_a_step: 0,
        answer: Duration::from_millis(150),
        settled_after: Duration::from_millis(1_500),
        longest: seconds(5),
        steps: Vec::new(),
        afterwards: Duration::from_millis(3_500),
        read_every: seconds(300),
    };
    let ridden = ride.run().await;
    println!("{ridden}");
    ridden.assert_kept();
}

/// The whole of it, at the emulator's own lag and at the pace of the real clock, three times at once. Ten minutes and more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "ten minutes and more; part of `cargo xtask soak`"]
async fn two_whole_windows_cost_nothing() {
    let ride = |plan, seed| Ride {
        plan,
        seed,
        begins: "08:00:01",
        lag: seconds(60),
        taken_to_lag: seconds(65),
        windows: 2,
        used_before_permille: 0,
        others_permille: 195,
        others_take: seconds(200),
        others_after_a_step: 4,
        answer: Duration::from_millis(1_200),
        settled_after: seconds(30),
        longest: seconds(300),
        // At once to the end would be too soon: figures of hours ago have to be read again, first.
        steps: vec![seconds(1_800), seconds(30)],
        afterwards: seconds(20),
        read_every: seconds(20),
    };
    let mut rides = JoinSet::new();
    for seed in [7, 17, 27] {
        for plan in [PlanSpec::Pro, PlanSpec::Plus] {
            rides.spawn(ride(plan, seed).run());
        }
    }
    let ridden = rides.join_all().await;
    ridden.iter().for_each(|ridden| println!("{ridden}"));
    ridden.iter().for_each(Ridden::assert_kept);
}
