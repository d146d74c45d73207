//! Looks where nobody else does: at the calendar while a window is used up.

use crate::shared::Shared;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The server's time may be learned anew meanwhile, so the calendar is looked at no later than this.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// Looks until told to stop, then ends all listening.
pub(crate) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = calendar(&shared) => {}
    }
    shared.events.close();
}

/// Tells of windows that turn.
async fn calendar(shared: &Shared) {
    loop {
        let now = shared.clock.now();
        let pause = match shared.events.next_turn() {
            Some(turn) => turn.since(now.wall).min(LOOK_AGAIN),
            None => LOOK_AGAIN,
        };
        let wake = shared.clock.instant(now.mono.after(pause));
        tokio::select! {
            () = tokio::time::sleep_until(wake) => shared.events.turned(shared.clock.now().wall),
            () = shared.events.changed.notified() => {}
        }
    }
}
