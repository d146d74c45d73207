//! Every future of the client may be moved to another thread: what a task that is spawned needs.

use ripcord_client::chutes::{ExportHour, Nonce, PageQuery, UsageQuery, WarmupStream};
use ripcord_client::oauth::{App, Verifier};
use ripcord_wire::secret::Secret;
use ripcord_wire::time::Day;

use crate::endpoints::client;

fn may_move<T: Send>(_: T) {}

/// Nothing is sent: a future that is never asked does nothing.
#[test]
fn futures_may_be_moved() {
    let chutes = client("http://127.0.0.1:1");
    let nonce = Nonce::from_bytes([0; 32]);
    let hour = ExportHour::new(Day::new(2026, 11, 20).unwrap(), 0).unwrap();
    let secret = Secret::new("x");
    let app = App { client_id: String::new(), client_secret: None, redirect_uri: String::new() };
    may_move(chutes.me());
    may_move(chutes.usage_history(&UsageQuery::default(), 1));
    may_move(chutes.payments(PageQuery::default()));
    may_move(chutes.delete_model_alias("x"));
    may_move(chutes.invocation_export(hour, Default::default()));
    may_move(chutes.evidence("x", &nonce));
    may_move(chutes.key_standing());
    may_move(chutes.chat("{}"));
    may_move(chutes.chat_stream("{}"));
    may_move(chutes.completion_stream("{}"));
    may_move(chutes.warm_up_raising_a_bounty("x"));
    may_move(chutes.quick_warm_up_raising_a_bounty("x"));
    may_move(chutes.exchange_code(&app, &secret, &Verifier::from_random([0; 32])));
    fn a_stream(stream: &mut WarmupStream) -> impl Send {
        stream.next()
    }
    let _ = a_stream;
}
