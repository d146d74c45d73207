//! What a request waits for, as a client hears it whose stream was opened before there is an answer.

use crate::pipeline::relay::HEARTBEAT;
use crate::story::WaitedFor;
use parking_lot::Mutex;

/// What is waited for at the moment.
#[derive(Default)]
pub(crate) struct Waiting(Mutex<Option<WaitedFor>>);

impl Waiting {
    pub(crate) fn begins(&self, reason: WaitedFor) {
        *self.0.lock() = Some(reason);
    }

    pub(crate) fn ends(&self) {
        *self.0.lock() = None;
    }

    /// The comment that keeps the stream alive meanwhile.
    pub(crate) fn comment(&self) -> &'static [u8] {
        match *self.0.lock() {
            Some(WaitedFor::Warming) => b": ripcord is waiting, the model is warming up\n\n",
            Some(WaitedFor::Backoff) => b": ripcord is waiting, the model is busy\n\n",
            Some(WaitedFor::Room | WaitedFor::Account) => {
                b": ripcord is waiting, no account may be used yet\n\n"
            }
            Some(WaitedFor::Slot | WaitedFor::Share) | None => HEARTBEAT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_says_what_is_waited_for() {
        let waiting = Waiting::default();
        let said = |reason| {
            waiting.begins(reason);
            std::str::from_utf8(waiting.comment()).unwrap()
        };
        assert!(said(WaitedFor::Warming).contains("warming up"));
        for reason in [WaitedFor::Slot, WaitedFor::Warming, WaitedFor::Backoff, WaitedFor::Room] {
            let comment = said(reason);
            assert!(comment.starts_with(": ripcord is waiting") && comment.ends_with("\n\n"));
        }
        waiting.ends();
        assert_eq!(waiting.comment(), HEARTBEAT);
    }
}
