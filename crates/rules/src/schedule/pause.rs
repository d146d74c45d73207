//! When a running program is stopped because its budget is used up, and when it goes on.

use std::time::Duration;

use crate::time::Mono;

/// How long a program is let run after its budget was used up, so that calls under way can end.
pub const GRACE: Duration = Duration::from_secs(30);

/// What is seen of the budget and of the program's calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sight {
    /// Whether there is budget; `None` if that is not known, which changes nothing.
    pub is_open: Option<bool>,
    /// Whether one of its calls is under way.
    pub is_calling: bool,
}

/// What to do to the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing.
    Leave,
    /// Stop its process group.
    Stop,
    /// Let its process group go on.
    Continue,
    /// Send it the signal on which it ends by itself.
    Signal,
}

/// How the program stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PauseState {
    /// It runs.
    Running,
    /// The budget is used up since then, and it may end the calls that are under way.
    Draining(Mono),
    /// We stopped it.
    Stopped,
    /// Somebody else stopped it, so somebody else lets it go on.
    StoppedByOther,
    /// It is left alone until there is budget again: somebody let it go on, or it cannot be stopped.
    LeftAlone,
    /// It was sent the signal on which it ends.
    Told,
}

/// Follows one program.
#[derive(Clone, Copy, Debug)]
pub struct Pause {
    state: PauseState,
    /// Whether it is told to end instead of being stopped.
    by_signal: bool,
    /// Whether it was left alone when somebody stopped it, and there was no budget since.
    was_left_alone: bool,
}

// === impl Pause ===

impl Pause {
    /// For a program that is stopped when its budget is used up, or is sent a signal instead.
    #[must_use]
    pub const fn new(by_signal: bool) -> Self {
        Self { state: PauseState::Running, by_signal, was_left_alone: false }
    }

    /// How the program stands.
    #[must_use]
    pub const fn state(&self) -> PauseState {
        self.state
    }

    /// What to do, now that this was seen.
    pub fn see(&mut self, sight: Sight, now: Mono) -> Action {
        use PauseState::{Draining, LeftAlone, Running, Stopped, StoppedByOther, Told};
        let (state, action) = match (self.state, sight.is_open) {
            (state, None) if !matches!(state, Draining(_)) => (state, Action::Leave),
            (state @ (Told | StoppedByOther), _) => (state, Action::Leave),
            (Running, Some(false)) if self.by_signal => (Told, Action::Signal),
            (Running, Some(false)) if !sight.is_calling => (Stopped, Action::Stop),
            (Running, Some(false)) => (Draining(now), Action::Leave),
            (Draining(_), Some(true)) => (Running, Action::Leave),
            (Draining(since), _) if sight.is_calling && now.since(since) < GRACE => {
                (Draining(since), Action::Leave)
            }
            (Draining(_), _) => (Stopped, Action::Stop),
            (Stopped, Some(true)) => (Running, Action::Continue),
            (LeftAlone, Some(true)) => (Running, Action::Leave),
            (state, _) => (state, Action::Leave),
        };
        self.state = state;
        self.was_left_alone &= sight.is_open != Some(true);
        action
    }

    /// The program stopped. Whether that was somebody else.
    pub fn was_stopped(&mut self) -> bool {
        match self.state {
            PauseState::Stopped => false,
            // It stays told, but who stopped it is somebody else.
            PauseState::Told => true,
            state => {
                self.was_left_alone |= state == PauseState::LeftAlone;
                self.state = PauseState::StoppedByOther;
                true
            }
        }
    }

    /// The program goes on. Whether somebody else let go on what we had stopped.
    pub fn was_continued(&mut self) -> bool {
        match self.state {
            PauseState::Stopped => {
                self.state = PauseState::LeftAlone;
                true
            }
            PauseState::StoppedByOther if std::mem::take(&mut self.was_left_alone) => {
                self.state = PauseState::LeftAlone;
                false
            }
            PauseState::StoppedByOther => {
                self.state = PauseState::Running;
                false
            }
            _ => false,
        }
    }

    /// It could not be stopped, or may not be any more.
    pub const fn leave_alone(&mut self) {
        self.state = PauseState::LeftAlone;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OPEN: Sight = Sight { is_open: Some(true), is_calling: false };
    const CLOSED: Sight = Sight { is_open: Some(false), is_calling: false };
    const CALLING: Sight = Sight { is_open: Some(false), is_calling: true };
    const UNKNOWN: Sight = Sight { is_open: None, is_calling: false };

    fn at(seconds: u64) -> Mono {
        Mono::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn it_is_stopped_when_its_budget_is_used_up_and_continued_when_there_is_some() {
        let mut pause = Pause::new(false);
        assert_eq!(pause.see(OPEN, at(0)), Action::Leave);
        assert_eq!(pause.see(CLOSED, at(1)), Action::Stop);
        assert!(!pause.was_stopped(), "that was us");
        assert_eq!(pause.see(UNKNOWN, at(2)), Action::Leave, "unknown is not open");
        assert_eq!(pause.see(OPEN, at(3)), Action::Continue);
        assert!(!pause.was_continued(), "that was us");
        assert_eq!(pause.state(), PauseState::Running);
    }

    #[test]
    fn calls_under_way_may_end_for_half_a_minute() {
        let mut pause = Pause::new(false);
        assert_eq!(pause.see(CALLING, at(0)), Action::Leave);
        assert_eq!(pause.see(CALLING, at(29)), Action::Leave);
        assert_eq!(pause.see(CALLING, at(30)), Action::Stop);
        let mut pause = Pause::new(false);
        assert_eq!(pause.see(CALLING, at(0)), Action::Leave);
        assert_eq!(pause.see(CLOSED, at(1)), Action::Stop);
        let mut pause = Pause::new(false);
        assert_eq!(pause.see(CALLING, at(0)), Action::Leave);
        assert_eq!(pause.see(OPEN, at(1)), Action::Leave);
        assert_eq!(pause.see(CALLING, at(40)), Action::Leave, "the grace begins anew");
    }

    #[test]
    fn what_somebody_else_stopped_is_left_to_them() {
        let mut pause = Pause::new(false);
        assert!(pause.was_stopped());
        assert_eq!(pause.see(CLOSED, at(0)), Action::Leave);
        assert_eq!(pause.see(OPEN, at(1)), Action::Leave, "we do not continue it");
        assert!(!pause.was_continued());
        assert_eq!(pause.see(CLOSED, at(2)), Action::Stop);
    }

    #[test]
    fn whoever_continues_what_we_stopped_is_not_fought() {
        let mut pause = Pause::new(false);
        assert_eq!(pause.see(CLOSED, at(0)), Action::Stop);
        assert!(pause.was_continued());
        assert_eq!(pause.see(CLOSED, at(1)), Action::Leave);
        assert_eq!(pause.see(OPEN, at(2)), Action::Leave);
        assert_eq!(pause.see(CLOSED, at(3)), Action::Stop, "the next time it counts again");
    }

    /// Ctrl-Z and `fg` while it was let go on without budget.
    #[test]
    fn who_is_left_alone_is_so_after_a_stop_by_somebody_else_too() {
        let mut pause = Pause::new(false);
        assert_eq!(pause.see(CLOSED, at(0)), Action::Stop);
        assert!(pause.was_continued());
        assert!(pause.was_stopped());
        assert_eq!(pause.see(CLOSED, at(1)), Action::Leave);
        assert!(!pause.was_continued());
        assert_eq!(pause.see(CLOSED, at(2)), Action::Leave);
        // Budget ends that, also while it is stopped.
        assert!(pause.was_stopped());
        assert_eq!(pause.see(OPEN, at(3)), Action::Leave);
        assert!(!pause.was_continued());
        assert_eq!(pause.see(CLOSED, at(4)), Action::Stop);
    }

    /// A shell has to see that its job stopped.
    #[test]
    fn who_was_told_to_end_may_be_stopped_by_others() {
        let mut pause = Pause::new(true);
        assert_eq!(pause.see(CLOSED, at(0)), Action::Signal);
        assert!(pause.was_stopped());
        assert!(!pause.was_continued());
        assert_eq!(pause.see(CLOSED, at(1)), Action::Leave);
        assert_eq!(pause.state(), PauseState::Told);
    }

    #[test]
    fn a_signal_is_sent_once() {
        let mut pause = Pause::new(true);
        assert_eq!(pause.see(CALLING, at(0)), Action::Signal);
        assert_eq!(pause.see(OPEN, at(1)), Action::Leave);
        assert_eq!(pause.see(CLOSED, at(2)), Action::Leave);
    }

    proptest! {
        /// Whatever is seen: stops and continues take turns, and we continue only what we stopped.
        #[test]
        fn we_continue_only_what_we_stopped(events in prop::collection::vec(0_u8..7, 0..60)) {
            let mut pause = Pause::new(false);
            let mut is_ours = false;
            for (second, event) in (0_u64..).zip(events) {
                let sight = match event {
                    0 => OPEN,
                    1 => CLOSED,
                    2 => CALLING,
                    3 => UNKNOWN,
                    4 => {
                        pause.was_stopped();
                        continue;
                    }
                    5 => {
                        if pause.was_continued() {
                            is_ours = false;
                        }
                        continue;
                    }
                    _ => {
                        pause.leave_alone();
                        is_ours = false;
                        continue;
                    }
                };
                match pause.see(sight, at(second * 7)) {
                    Action::Stop => {
                        prop_assert!(!is_ours);
                        is_ours = true;
                    }
                    Action::Continue => {
                        prop_assert!(is_ours);
                        is_ours = false;
                    }
                    Action::Leave | Action::Signal => {}
                }
                prop_assert_eq!(is_ours, pause.state() == PauseState::Stopped);
            }
        }
    }
}
