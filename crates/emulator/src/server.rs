//! The HTTP server: one port for management and inference, hyper over connections that can fail.

use std::{io, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::{body::Incoming as IncomingBody, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use crate::{
    auth::Caller,
    calls::{LogTicket, log_entry},
    clock::http_date,
    connection::{Connection, ConnectionControl},
    control::Control,
    ids,
    inference::{self, Host, Incoming, Outcome},
    log::Ended,
    management,
    reply::Reply,
    stream::ReplyBody,
    warmup,
    world::World,
};

/// The largest body the service takes.
const BODY_LIMIT_BYTES: usize = 128 * 1024 * 1024;

/// Why the emulator could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The scenario cannot be used.
    #[error(transparent)]
    Scenario(#[from] crate::scenario::ScenarioError),
    /// The address could not be taken.
    #[error("listen on {address}: {source}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
}

/// Marks an answer whose connection has to be reset instead.
#[derive(Debug, thiserror::Error)]
#[error("the connection is reset")]
struct ResetConnection;

pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })
}

/// Accepts until the world stops.
pub(crate) async fn run(world: Arc<World>, listener: TcpListener) {
    loop {
        let accepted = tokio::select! {
            () = world.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        // An error here is the caller's: it left between its handshake and now.
        let Ok((stream, _)) = accepted else { continue };
        let world = Arc::clone(&world);
        let tasks = world.tasks.clone();
        tasks.spawn(async move {
            let stop = world.stop.clone();
            tokio::select! {
                () = stop.cancelled() => {}
                () = connection(world, stream) => {}
            }
        });
    }
}

async fn connection(world: Arc<World>, stream: TcpStream) {
    // Without it the small chunks of a stream would wait for acknowledgements.
    let _ = stream.set_nodelay(true);
    let control = Arc::new(ConnectionControl::default());
    let io = TokioIo::new(Connection::new(stream, Arc::clone(&control)));
    let service = service_fn(move |request| {
        let (world, control) = (Arc::clone(&world), Arc::clone(&control));
        async move { serve(&world, &control, request).await }
    });
    // Errors end the connection: the client left, or a fault ended it.
    let _ = http1::Builder::new().header_read_timeout(None).serve_connection(io, service).await;
}

async fn serve(
    world: &Arc<World>,
    control: &Arc<ConnectionControl>,
    request: Request<IncomingBody>,
) -> Result<Response<ReplyBody>, ResetConnection> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let body = match Limited::new(body, BODY_LIMIT_BYTES).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            let mut reply =
                Reply::detail(StatusCode::PAYLOAD_TOO_LARGE, "Request body is too large.");
            reply.headers.push(("connection", "close".to_owned()));
            return Ok(respond(world, control, &reply));
        }
        // The client left inside its own request.
        Err(_) => return Err(ResetConnection),
    };
    let (host, slug) = Host::read(&parts.headers);
    let incoming = Incoming {
        method: parts.method,
        query: parts.uri.query().unwrap_or_default().to_owned(),
        host,
        slug,
        headers: parts.headers,
        body_sha256: ids::sha256_hex(&body),
        body,
        path,
    };
    if incoming.path.starts_with("/__emulator/") {
        return Ok(respond(world, control, &Control::new(Arc::clone(world)).serve(&incoming)));
    }
    let ticket = open_ticket(world, &incoming);
    match route(world, &incoming, control, ticket).await {
        Outcome::Reply(reply, mut ticket) => {
            ticket.note(|entry| {
                entry.status = Some(reply.status.as_u16());
                entry.side_effect = entry.side_effect.take().or(reply.side_effect.clone());
            });
            ticket.end(Ended::Complete);
            Ok(respond(world, control, &reply))
        }
        Outcome::Steps { reply, body, streamed } => {
            body.note_status(reply.status.as_u16());
            let mut response = head(world, &reply);
            if !streamed {
                response.headers_mut().insert(header::CONTENT_LENGTH, reply.body.len().into());
            }
            Ok(response.map(|()| ReplyBody::Steps(body)))
        }
        Outcome::Reset(mut ticket) => {
            ticket.end(Ended::Reset);
            control.reset();
            Err(ResetConnection)
        }
    }
}

/// Inference or management: paths decide, and `Host` for the few that need it.
async fn route(
    world: &Arc<World>,
    incoming: &Incoming,
    control: &Arc<ConnectionControl>,
    ticket: LogTicket,
) -> Outcome {
    let on_inference_host =
        matches!(incoming.host, Host::Llm | Host::Embed | Host::Image | Host::Slug);
    let path = incoming.path.as_str();
    let is_inference_path =
        path.starts_with("/v1/") || matches!(path, "/tokenize" | "/detokenize" | "/generate");
    let is_inference = incoming.method == http::Method::POST
        && incoming.path != "/ping"
        && (on_inference_host || (incoming.host == Host::Other && is_inference_path));
    if is_inference {
        return inference::serve(world, incoming, control, ticket).await;
    }
    let fault = {
        let now = world.now();
        let mut state = world.state();
        let caller = Caller::read(&incoming.headers, &state, now);
        caller.account().and_then(|account| state.account_fault(account, false, now))
    };
    if let Some(fault) = fault {
        ticket.note(|entry| entry.fault = Some(fault.kind));
        return inference::management_fault(&fault, ticket).await;
    }
    let ticket = match warmup::serve(world, incoming, control, ticket) {
        Ok(outcome) => return outcome,
        Err(ticket) => ticket,
    };
    Outcome::Reply(management::serve(world, incoming), ticket)
}

fn open_ticket(world: &Arc<World>, incoming: &Incoming) -> LogTicket {
    let path = if incoming.query.is_empty() {
        incoming.path.clone()
    } else {
        format!("{}?{}", incoming.path, incoming.query)
    };
    let mut entry = log_entry(world.now(), incoming.method.as_str(), &path);
    entry.headers = incoming
        .headers
        .iter()
        .filter(|(name, _)| *name != header::AUTHORIZATION)
        .map(|(name, value)| {
            (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        })
        .collect();
    entry.body_bytes = incoming.body.len();
    if !incoming.body.is_empty() {
        entry.body_sha256 = Some(incoming.body_sha256.clone());
        if let Ok(body) = serde_json::from_slice::<BodyGlance>(&incoming.body) {
            entry.model = body.model;
            entry.stream = body.stream == Some(true);
        }
    }
    {
        let state = world.state();
        let caller = Caller::read(&incoming.headers, &state, entry.started_micros);
        entry.key = caller.label(&state);
        entry.account = caller.account().map(|at| state.accounts[at].spec.name.clone());
    }
    LogTicket::open(world, entry)
}

#[derive(serde::Deserialize)]
struct BodyGlance {
    model: Option<String>,
    stream: Option<bool>,
}

fn respond(world: &World, control: &Arc<ConnectionControl>, reply: &Reply) -> Response<ReplyBody> {
    let closes = reply.closes.then(|| Arc::clone(control));
    let bytes: Option<Bytes> = Some(reply.body.clone());
    head(world, reply).map(|()| ReplyBody::Whole { bytes, closes })
}

/// Status line and headers.
fn head(world: &World, reply: &Reply) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = reply.status;
    let headers = response.headers_mut();
    let mut insert = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    insert("date", &http_date(world.now()));
    insert("content-type", reply.content_type);
    if !reply.from_edge {
        insert("server", "nginx");
        insert("via", "1.1 google");
        insert("alt-svc", "clear");
    }
    for (name, value) in &reply.headers {
        insert(name, value);
    }
    response
}
