//! TLS with a certificate made for these tests: its authority's private key was thrown away, it names loopback only.

use std::sync::Arc;

use ripcord_client::transport::TransportErrorKind as Kind;
use ripcord_client::transport::{ExtraRoots, TransportPhase as Phase};
use tokio::io::AsyncWriteExt as _;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::*;
use crate::server::{RawServer, goes_away, read_request};

const AUTHORITY: &[u8] = include_bytes!("certificates/authority.pem");
const CERTIFICATE: &[u8] = include_bytes!("certificates/server.pem");
const PRIVATE_KEY: &[u8] = include_bytes!("certificates/server.key");

fn acceptor() -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_slice(CERTIFICATE).unwrap();
    let key = PrivateKeyDer::from_pem_slice(PRIVATE_KEY).unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    // As the real edge does, it would rather speak HTTP/2.
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

async fn server(head: &'static [u8]) -> RawServer {
    let acceptor = acceptor();
    RawServer::start(move |stream, _| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"http/1.1".as_slice()));
            while read_request(&mut stream).await.is_some() {
                stream.write_all(head).await.unwrap();
                stream.flush().await.unwrap();
            }
        }
    })
    .await
}

fn trusting() -> Transport {
    let extra_roots = ExtraRoots::from_pem(AUTHORITY).unwrap();
    Transport::new(TransportSettings { extra_roots, ..TransportSettings::default() })
}

fn secure(server: &RawServer, host: &str) -> String {
    format!("https://{host}:{}", server.address.port())
}

#[tokio::test]
async fn requests_go_over_http_1_1_and_reuse_the_connection() {
    let server = server(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello").await;
    let transport = trusting();
    let target = target(&transport, &secure(&server, "localhost"));
    for round in 0..3 {
        let answer = send(&transport, &target, post("{}")).await.unwrap();
        assert_eq!(answer.body().came_over_reused_connection(), round > 0);
        assert_eq!(text(answer).await.unwrap(), "hello");
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn an_unknown_authority_and_a_wrong_name_are_certificate_errors() {
    let server = server(b"").await;
    let strict = transport();
    let error =
        send(&strict, &target(&strict, &secure(&server, "localhost")), get("/")).await.unwrap_err();
    assert_eq!(
        (error.phase(), error.kind(), error.request_sent()),
        (Phase::Tls, Kind::Certificate, false)
    );
    let trusting = trusting();
    let wrong_name =
        target(&trusting, &format!("https://other.localhost:{}", server.address.port()));
    let error = send(&trusting, &wrong_name, get("/")).await.unwrap_err();
    // Where the resolver does not know names under localhost, the handshake is not reached.
    if error.phase() == Phase::Tls {
        assert_eq!(error.kind(), Kind::Certificate);
    }
}

#[tokio::test]
async fn a_server_without_tls_is_a_tls_error() {
    let server = RawServer::start(|mut stream, _| async move {
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    })
    .await;
    let transport = trusting();
    let error =
        send(&transport, &target(&transport, &secure(&server, "127.0.0.1")), get("/")).await;
    let error = match error {
        Err(error) => error,
        Ok(answer) => panic!("answered: {answer:?}"),
    };
    assert_eq!((error.phase(), error.request_sent()), (Phase::Tls, false));
}

#[tokio::test]
async fn dropping_a_stream_reaches_the_server_through_tls() {
    let (gone, mut has_gone) = tokio::sync::mpsc::unbounded_channel();
    let acceptor = acceptor();
    let server = RawServer::start(move |stream, _| {
        let (acceptor, gone) = (acceptor.clone(), gone.clone());
        async move {
            let mut stream = acceptor.accept(stream).await.unwrap();
            read_request(&mut stream).await.unwrap();
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n")
                .await
                .unwrap();
            stream.flush().await.unwrap();
            gone.send(goes_away(&mut stream).await).unwrap();
        }
    })
    .await;
    let transport = trusting();
    let target = target(&transport, &secure(&server, "127.0.0.1"));
    let mut answer = send(&transport, &target, post("{}")).await.unwrap();
    assert!(in_time(answer.body_mut().frame()).await.unwrap().is_ok());
    drop(answer);
    assert!(in_time(has_gone.recv()).await.unwrap());
}

#[test]
fn a_file_without_a_certificate_is_refused() {
    assert!(ExtraRoots::from_pem(b"").is_err());
    assert!(
        ExtraRoots::from_pem(b"-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n")
            .is_err()
    );
}
