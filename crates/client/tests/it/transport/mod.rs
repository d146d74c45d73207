//! The transport: pooling, cancelling, limits, and what each failure is called.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use ripcord_client::endpoints::{BaseUrl, PlainHttp, Service};
use ripcord_client::transport::{
    Body, Target, Transport, TransportError, TransportLimits, TransportSettings,
};

use crate::server::PATIENCE;

mod cancelling;
mod failures;
mod pooling;
mod tls;

/// Short enough to wait for in a test.
const SHORT: Duration = Duration::from_millis(40);

fn transport() -> Transport {
    Transport::new(TransportSettings::default())
}

fn target(transport: &Transport, url: &str) -> Target {
    transport.target(&BaseUrl::parse(Service::Llm, url, PlainHttp::LoopbackOnly).unwrap()).unwrap()
}

fn get(path: &str) -> Request<Bytes> {
    Request::get(path).body(Bytes::new()).unwrap()
}

fn post(body: impl Into<Bytes>) -> Request<Bytes> {
    Request::post("/v1/chat/completions").body(body.into()).unwrap()
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("hangs")
}

async fn send(
    transport: &Transport,
    target: &Target,
    request: Request<Bytes>,
) -> Result<Response<Body>, TransportError> {
    in_time(transport.send(target, request)).await
}

async fn send_within(
    transport: &Transport,
    target: &Target,
    request: Request<Bytes>,
    limits: TransportLimits,
) -> Result<Response<Body>, TransportError> {
    in_time(transport.send_with(target, request, limits)).await
}

async fn text(answer: Response<Body>) -> Result<String, TransportError> {
    let bytes = in_time(answer.into_body().collect()).await?.to_bytes();
    Ok(String::from_utf8(bytes.to_vec()).unwrap())
}

/// Waits until something holds, without a fixed sleep.
async fn until(what: impl Fn() -> bool) {
    in_time(async {
        while !what() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}
