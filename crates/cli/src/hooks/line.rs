//! The line before one hook, and who works it off.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ripcord_gateway::EventReport;
use ripcord_rules::events::delivery::{NextTry, next_try};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Action, Hook, Tell, command, post};

/// Events that wait for one hook.
const PLACES: usize = 64;
/// Posts of one hook that are under way or wait to be sent again.
const AT_ONCE: usize = 16;

/// The end of a line at which events are put in.
pub(super) struct Line {
    hook: Hook,
    sender: mpsc::Sender<Arc<EventReport>>,
    lost: AtomicU64,
    tell: Tell,
}

/// Whoever works a line off.
struct Worker {
    hook: Hook,
    tell: Tell,
    stop: CancellationToken,
    abort: CancellationToken,
}

// === impl Line ===

impl Line {
    pub(super) fn start(
        hook: Hook,
        tasks: &TaskTracker,
        stop: CancellationToken,
        abort: CancellationToken,
        tell: Tell,
    ) -> Self {
        let (sender, events) = mpsc::channel(PLACES);
        let worker = Worker { hook: hook.clone(), tell: Arc::clone(&tell), stop, abort };
        tasks.spawn(Arc::new(worker).run(events, tasks.clone()));
        Self { hook, sender, lost: AtomicU64::new(0), tell }
    }

    pub(super) fn put(&self, event: &Arc<EventReport>) {
        if !self.hook.filter.wants(event) {
            return;
        }
        let name = &self.hook.name;
        match self.sender.try_send(Arc::clone(event)) {
            Ok(()) => {
                let lost = self.lost.swap(0, Ordering::Relaxed);
                if lost > 0 {
                    (self.tell)(format!("the hook `{name}` takes events again; {lost} are lost"));
                }
            }
            // Told when it begins, and how many there were when it is over.
            Err(TrySendError::Full(_)) => {
                if self.lost.fetch_add(1, Ordering::Relaxed) == 0 {
                    (self.tell)(format!("the hook `{name}` is too slow; events are lost to it"));
                }
            }
            // It wants no more, which was told.
            Err(TrySendError::Closed(_)) => {}
        }
    }
}

// === impl Worker ===

impl Worker {
    async fn run(
        self: Arc<Self>,
        mut events: mpsc::Receiver<Arc<EventReport>>,
        tasks: TaskTracker,
    ) {
        let room = Arc::new(Semaphore::new(AT_ONCE));
        // An address that is gone ends this line alone.
        let gone = self.abort.child_token();
        loop {
            let event = tokio::select! {
                biased;
                () = gone.cancelled() => return,
                event = events.recv() => event,
            };
            let Some(event) = event else { return };
            match &self.hook.action {
                Action::Command(words) => {
                    let run = command::run(words, &event, self.hook.timeout, self.hook.clock);
                    let told = tokio::select! {
                        () = self.abort.cancelled() => return,
                        told = run => told,
                    };
                    tracing::debug!(hook = %self.hook.name, said = told.said, "hook");
                    if !told.taken {
                        (self.tell)(format!("the hook `{}`: {}", self.hook.name, told.answer));
                    }
                }
                Action::Post(target) => {
                    let place = tokio::select! {
                        () = gone.cancelled() => return,
                        place = Arc::clone(&room).acquire_owned() => place,
                    };
                    let (worker, target, gone) =
                        (Arc::clone(&self), Arc::clone(target), gone.clone());
                    tasks.spawn(async move {
                        let _place = place;
                        tokio::select! {
                            () = gone.cancelled() => {}
                            () = worker.deliver(&target, &event, &gone) => {}
                        }
                    });
                }
            }
        }
    }

    /// Sends one event until it is taken, or there is no point in it.
    async fn deliver(&self, target: &post::Target, event: &EventReport, gone: &CancellationToken) {
        let name = &self.hook.name;
        let mut tried = 0;
        loop {
            tried += 1;
            let (answered, told) = target.post(event, self.hook.timeout, self.hook.clock).await;
            tracing::debug!(hook = %name, tried, answer = told.answer, said = told.said, "hook");
            match next_try(tried, answered, jitter_permille()) {
                NextTry::Done => return,
                NextTry::Stop => {
                    (self.tell)(format!(
                        "the hook `{name}`: {}; nothing more is sent to it",
                        told.answer
                    ));
                    return gone.cancel();
                }
                NextTry::GiveUp => {
                    return (self.tell)(format!(
                        "the hook `{name}`: {}; `{}` was not delivered",
                        told.answer, event.kind
                    ));
                }
                NextTry::After(pause) => {
                    if tried == 1 {
                        (self.tell)(format!(
                            "the hook `{name}`: {}; it is tried again",
                            told.answer
                        ));
                    }
                    tokio::select! {
                        () = self.stop.cancelled() => {
                            return (self.tell)(format!(
                                "the hook `{name}`: `{}` was not delivered before the end",
                                event.kind
                            ));
                        }
                        () = self.hook.clock.sleep(pause) => {}
                    }
                }
            }
        }
    }
}

fn jitter_permille() -> u64 {
    getrandom::u32().map_or(500, |random| u64::from(random) % 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::hooks::{HookFilter, Hooks};
    use ripcord_rules::time::Wall;
    use std::sync::mpsc::Receiver;
    use std::time::Duration;

    /// One hook that runs this program, and what it has to say.
    fn hooks(words: &[&str]) -> (Hooks, Receiver<String>) {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let hook = Hook {
            name: "slow".into(),
            filter: HookFilter::default(),
            action: Action::Command(words.into()),
            timeout: Duration::from_secs(300),
            clock: Clock::System,
        };
        let (told, troubles) = std::sync::mpsc::channel();
        let tell: Tell = Arc::new(move |text| drop(told.send(text)));
        let (tasks, stop, abort) =
            (TaskTracker::new(), CancellationToken::new(), CancellationToken::new());
        let line = Line::start(hook, &tasks, stop.clone(), abort.clone(), tell);
        tasks.close();
        (Hooks { lines: vec![line], tasks, stop, abort }, troubles)
    }

    fn event() -> Arc<EventReport> {
        Arc::new(EventReport::test("evt_1", Wall::from_unix_seconds(0)))
    }

    #[tokio::test]
    async fn what_does_not_fit_is_lost_and_counted() {
        let (hooks, troubles) = hooks(&["sleep", "600"]);
        for _ in 0..PLACES + 7 {
            hooks.tell(&event());
        }
        let told: Vec<String> = troubles.try_iter().collect();
        assert_eq!(told, ["the hook `slow` is too slow; events are lost to it"]);
        // One is taken out to be worked off, so there is a place again.
        tokio::task::yield_now().await;
        hooks.tell(&event());
        let told: Vec<String> = troubles.try_iter().collect();
        assert_eq!(told, ["the hook `slow` takes events again; 7 are lost"]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_waits_for_a_program_but_not_for_long() {
        // Time that is paused runs on at once where everybody waits.
        let (hooks, troubles) = hooks(&["sleep", "600"]);
        hooks.tell(&event());
        tokio::task::yield_now().await;
        hooks.finish().await;
        assert_eq!(troubles.try_iter().count(), 0);
    }
}
