//! One signed POST, as Standard Webhooks 1.0.0 has it. No redirect is followed, and of the answer only a little is read.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_TYPE, USER_AGENT};
use http::{HeaderValue, Request};
use http_body_util::BodyExt as _;
use ripcord_client::transport::{self, Body, Transport, TransportError, TransportLimits};
use ripcord_gateway::EventReport;
use ripcord_rules::events::delivery::Answered;
use ripcord_wire::limits::LimitHeaders;

use super::address::HookAddress;
use super::sign::HookSecret;
use super::{SAID_BYTES, Told, said};
use crate::clock::Clock;

const AGENT: &str = concat!("ripcord/", env!("CARGO_PKG_VERSION"));

/// How long is listened to what is said behind the status.
const WORDS_WITHIN: Duration = Duration::from_secs(1);

/// Where a hook posts to.
pub(super) struct Target {
    transport: Transport,
    target: transport::Target,
    address: HookAddress,
    secret: Option<HookSecret>,
}

// === impl Target ===

impl Target {
    pub(super) fn new(
        transport: &Transport,
        address: HookAddress,
        secret: Option<HookSecret>,
    ) -> Result<Self, TransportError> {
        let target = transport.target(&address.base)?;
        Ok(Self { transport: transport.clone(), target, address, secret })
    }

    /// Posts the event once.
    pub(super) async fn post(
        &self,
        event: &EventReport,
        timeout: Duration,
        clock: Clock,
    ) -> (Answered, Told) {
        let (answered, mut told, body) =
            match tokio::time::timeout(timeout, self.exchange(event, clock)).await {
                Ok(Ok(answered)) => answered,
                Ok(Err(problem)) => return (Answered::Silent, Told::failed(problem)),
                Err(_) => {
                    let answer = format!("no answer within {} s", timeout.as_secs());
                    return (Answered::Silent, Told::failed(answer));
                }
            };
        // The status has decided; nobody waits long for the words.
        let mut bytes = Vec::new();
        let _ = tokio::time::timeout(WORDS_WITHIN, beginning(body, &mut bytes)).await;
        told.said = said(&bytes);
        (answered, told)
    }

    /// The answer as far as its status says it, and its body; or why there is none.
    async fn exchange(
        &self,
        event: &EventReport,
        clock: Clock,
    ) -> Result<(Answered, Told, Body), String> {
        let request = self.request(event, clock.now().as_unix_seconds());
        let request = request.map_err(|error| error.to_string())?;
        // The whole exchange has a limit; within it an answer may come when it likes.
        let limits = TransportLimits { first_byte: Duration::MAX, ..TransportLimits::default() };
        let response = match self.transport.send_with(&self.target, request, limits).await {
            Ok(response) => response,
            // The kind alone: the whole text would name no more than the host, but that is in the settings.
            Err(error) => return Err(format!("{} ({})", error.kind(), error.phase())),
        };
        let status = response.status();
        let headers = response.headers();
        let hints = LimitHeaders::read(
            headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())),
        );
        let now = clock.now().as_unix_micros();
        let answered = match status.as_u16() {
            200..=299 => Answered::Taken,
            300..=399 => Answered::Redirected,
            410 => Answered::Gone,
            _ => Answered::Refused(hints.retry_after.map(|hint| hint.wait(now))),
        };
        let answer = match answered {
            Answered::Redirected => format!("it answered {status}; redirects are not followed"),
            _ => format!("it answered {status}"),
        };
        let told = Told { taken: answered == Answered::Taken, answer, said: String::new() };
        Ok((answered, told, response.into_body()))
    }

    fn request(
        &self,
        event: &EventReport,
        timestamp_seconds: i64,
    ) -> Result<Request<Bytes>, http::Error> {
        // Plain values always serialise.
        let body = serde_json::to_vec(event).unwrap_or_default();
        let mut request = Request::post(self.address.path.as_str())
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT_ENCODING, "identity")
            .header(USER_AGENT, AGENT)
            .header("webhook-id", event.id.as_str())
            .header("webhook-timestamp", timestamp_seconds);
        if let Some(secret) = &self.secret {
            let signature = secret.sign(&event.id, timestamp_seconds, &body);
            let mut value = HeaderValue::try_from(signature)?;
            value.set_sensitive(true);
            request = request.header("webhook-signature", value);
        }
        request.body(body.into())
    }
}

/// As much as may be shown. Dropping the rest closes the connection.
async fn beginning(mut body: Body, bytes: &mut Vec<u8>) {
    while bytes.len() < SAID_BYTES
        && let Some(Ok(frame)) = body.frame().await
    {
        if let Some(data) = frame.data_ref() {
            bytes.extend_from_slice(data);
        }
    }
    bytes.truncate(SAID_BYTES);
}
