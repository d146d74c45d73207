//! The typed endpoints, against the emulator and against servers that answer nonsense.

use std::future::Future;

use chutes_emulator::{Emulator, Running, Scenario};
use ripcord_client::chutes::Chutes;
use ripcord_client::endpoints::{Endpoints, PlainHttp};
use ripcord_client::key::Key;
use ripcord_client::transport::{Transport, TransportSettings};

use crate::server::PATIENCE;

mod account;
mod attestation;
pub(crate) mod canned;
mod emulated;
mod errors;
mod exports;
mod keys;
mod lists;
mod models;
mod oauth;
mod platform;
mod standing;
mod statistics;
mod streams;
mod terms;
mod warmup;

pub(crate) async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("hangs")
}

pub(crate) async fn emulator() -> Running {
    Emulator::start(Scenario::every_plan()).await.unwrap()
}

pub(crate) fn key(account: &str, index: usize) -> Key {
    Key::parse(&Scenario::key(account, index)).unwrap().0
}

/// A client without a key.
pub(crate) fn client(url: &str) -> Chutes {
    let llm = format!("{url}/v1");
    let endpoints =
        Endpoints::from_urls(Some(url), Some(&llm), None, PlainHttp::LoopbackOnly).unwrap();
    Chutes::new(&endpoints, Transport::new(TransportSettings::default())).unwrap()
}

fn chat(model: &str, stream: bool) -> String {
    serde_json::json!({"model": model, "stream": stream, "messages": [{"role": "user", "content": "hi"}]}).to_string()
}
