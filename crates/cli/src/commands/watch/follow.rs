//! Follows the events of the gateway that runs here.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt as _;
use ripcord_client::endpoints::{BaseUrl, PlainHttp, Service};
use ripcord_client::transport::{Body, Target, Transport, TransportLimits, TransportSettings};
use ripcord_gateway::{EVENT_SCHEMA, EventReport};
use ripcord_wire::sse::{Event, EventReader};

use crate::allowance::reachable;
use crate::context::Context;
use crate::error::CommandError;

/// The longest event that is read: a gateway's are a tenth of it.
const EVENT_BYTES: usize = 64 << 10;
/// The gateway says something at least every `gateway.heartbeat_seconds`; after three times that it is gone.
const MISSED_HEARTBEATS: u32 = 3;
const LEAST_PATIENCE: Duration = Duration::from_secs(30);
/// Between two tries to reach it.
const PAUSE: Duration = Duration::from_secs(5);

/// A listener of the gateway.
pub(super) struct Follow<'c> {
    context: &'c Context,
    transport: Transport,
    target: Target,
    open: Option<(Body, EventReader)>,
    last_id: Option<String>,
    was_reached: bool,
    is_troubled: bool,
}

// === impl Follow ===

impl<'c> Follow<'c> {
    pub(super) fn new(context: &'c Context) -> Result<Self, CommandError> {
        let listens = context.settings.gateway.listen.value;
        let address = reachable(listens).unwrap_or(listens);
        let unusable =
            |problem: String| CommandError::usage(format!("the gateway's address: {problem}"));
        let base =
            BaseUrl::parse(Service::Llm, &format!("http://{address}"), PlainHttp::LoopbackOnly)
                .map_err(|problem| unusable(problem.to_string()))?;
        let heartbeat = context.settings.gateway.heartbeat.value;
        let limits = TransportLimits {
            idle: (heartbeat * MISSED_HEARTBEATS).max(LEAST_PATIENCE),
            ..TransportLimits::default()
        };
        let transport =
            Transport::new(TransportSettings { limits, ..TransportSettings::default() });
        let target = transport.target(&base).map_err(|problem| unusable(problem.to_string()))?;
        Ok(Self {
            context,
            transport,
            target,
            open: None,
            last_id: None,
            was_reached: false,
            is_troubled: false,
        })
    }

    /// The next events.
    pub(super) async fn next(&mut self) -> Result<VecDeque<EventReport>, CommandError> {
        if self.open.is_none() {
            match self.connect().await {
                Ok(body) => {
                    self.open = Some((body, EventReader::new(EVENT_BYTES)));
                    self.was_reached = true;
                    if std::mem::take(&mut self.is_troubled) {
                        self.context.printer.warn("the gateway can be reached again");
                    }
                }
                // One that never was there is a mistake; one that is started again comes back.
                Err(problem) if !self.was_reached => return Err(problem),
                Err(problem) => {
                    if !std::mem::replace(&mut self.is_troubled, true) {
                        self.context.printer.error(&problem);
                    }
                    tokio::time::sleep(PAUSE).await;
                    return Ok(VecDeque::new());
                }
            }
        }
        let Some((body, reader)) = &mut self.open else { return Ok(VecDeque::new()) };
        let mut events = VecDeque::new();
        let data = match body.frame().await {
            Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
            Some(Err(_)) | None => {
                self.open = None;
                return Ok(events);
            }
        };
        let mut take = |event: Event<'_>| {
            if let Event::Data(data) = event
                && let Ok(report) = serde_json::from_slice::<EventReport>(data)
                && report.schema == EVENT_SCHEMA
            {
                events.push_back(report);
            }
        };
        if reader.feed(&data, &mut take).is_err() {
            self.open = None;
        }
        if let Some(last) = events.back() {
            self.last_id = Some(last.id.clone());
        }
        Ok(events)
    }

    async fn connect(&self) -> Result<Body, CommandError> {
        let address = self.context.settings.gateway.listen.value;
        let mut request = Request::get("/-/events").header("accept", "text/event-stream");
        if let Some(id) = &self.last_id {
            request = request.header("last-event-id", id);
        }
        let request =
            request.body(Bytes::new()).map_err(|error| CommandError::unknown(error.to_string()))?;
        let answer = self.transport.send(&self.target, request).await.map_err(|error| {
            CommandError::unknown(format!("no gateway answers at {address}: {}", error.kind()))
                .hint("start it with `ripcord serve`, or leave `--gateway` away")
        })?;
        if !answer.status().is_success() {
            return Err(CommandError::unknown(format!(
                "what runs at {address} does not tell events: it answered {}",
                answer.status()
            )));
        }
        Ok(answer.into_body())
    }
}
