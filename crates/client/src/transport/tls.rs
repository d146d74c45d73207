//! The TLS set-up: ring, the machine's own root certificates, HTTP/1.1 only.

use std::sync::Arc;

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

/// Certificates that are trusted in addition to the machine's own, for a company's proxy or a test.
#[derive(Clone, Debug, Default)]
pub struct ExtraRoots(Vec<CertificateDer<'static>>);

/// A certificate file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the certificate file holds no readable PEM certificate")]
pub struct NoCertificate;

impl ExtraRoots {
    /// Reads PEM text with one certificate or more.
    ///
    /// # Errors
    /// [`NoCertificate`] if there is none, or one of them is damaged.
    pub fn from_pem(pem: &[u8]) -> Result<Self, NoCertificate> {
        let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        match read {
            Ok(certificates) if !certificates.is_empty() => Ok(Self(certificates)),
            _ => Err(NoCertificate),
        }
    }
}

pub(super) fn connector(extra: &ExtraRoots) -> Result<TlsConnector, rustls::Error> {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(native.certs);
    if roots.is_empty() {
        // A container without certificates, mostly.
        tracing::debug!(
            problems = native.errors.len(),
            "no root certificates on this machine, using the built-in ones"
        );
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots.add_parsable_certificates(extra.0.iter().cloned());
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    // The edge answers 403 to some HTTP/2 fingerprints and to none over HTTP/1.1 (api.md 0.3).
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}
