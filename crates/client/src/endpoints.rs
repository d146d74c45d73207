//! Where Chutes is: base addresses, read tolerantly and refused with a sentence that helps.

use std::fmt;
use std::sync::Arc;

use http::Uri;

/// The management API's official address.
pub const API_URL: &str = "https://api.chutes.ai";
/// The inference API's official address.
pub const LLM_URL: &str = "https://llm.chutes.ai";
/// The embeddings API's official address.
pub const EMBED_URL: &str = "https://embed.chutes.ai";

/// Whether plain `http` is accepted beyond this machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PlainHttp {
    /// Only for loopback addresses: a key must not cross a network in clear text.
    #[default]
    LoopbackOnly,
    /// Everywhere. The user said so.
    Allowed,
}

/// What an address is used for; the same host can be right for one and wrong for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Service {
    /// The management API (`CHUTES_API_URL`).
    Api,
    /// Inference (`CHUTES_LLM_URL`).
    Llm,
    /// Embeddings.
    Embed,
    /// Another service with the same API, from the configuration. Its whole path counts, as with an OpenAI client: the
    /// version is part of it and need not be at the end.
    Provider,
}

impl Service {
    /// The official address.
    #[must_use]
    pub fn official_url(self) -> &'static str {
        match self {
            Self::Api => API_URL,
            Self::Llm => LLM_URL,
            Self::Embed => EMBED_URL,
            Self::Provider => "https://api.example.com/v1",
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Api => "management",
            Self::Llm => "inference",
            Self::Embed => "embeddings",
            Self::Provider => "provider's",
        })
    }
}

/// One base address without its `/v1`: scheme, host, port and an optional path in front.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BaseUrl {
    secure: bool,
    host: Arc<str>,
    port: u16,
    prefix: Arc<str>,
}

impl BaseUrl {
    /// Reads a base address. A `/v1` at the end (once or twice) and slashes are taken off.
    ///
    /// ```
    /// use ripcord_client::endpoints::{BaseUrl, PlainHttp, Service};
    ///
    /// let url = BaseUrl::parse(Service::Llm, "https://llm.chutes.ai/v1/", PlainHttp::LoopbackOnly)?;
    /// assert_eq!(url.to_string(), "https://llm.chutes.ai");
    /// # Ok::<(), ripcord_client::endpoints::UrlProblem>(())
    /// ```
    ///
    /// # Errors
    /// A [`UrlProblem`] that says what to write instead.
    pub fn parse(service: Service, text: &str, plain: PlainHttp) -> Result<Self, UrlProblem> {
        let fail = |fault| Err(UrlProblem { service, fault });
        let text = text.trim().trim_matches(['"', '\'', '`']).trim();
        if text.is_empty() {
            return fail(Fault::Empty);
        }
        if text.contains("cpk_") || text.contains("cak_") {
            return fail(Fault::ContainsKey);
        }
        let Some((scheme, _)) = text.split_once("://") else {
            return fail(Fault::NoScheme { suggestion: suggest_scheme(text) });
        };
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return fail(Fault::WrongScheme),
        };
        let Ok(uri) = text.parse::<Uri>() else { return fail(Fault::Unreadable) };
        let authority = uri.authority().map(http::uri::Authority::as_str).unwrap_or_default();
        if authority.contains('@') {
            return fail(Fault::ContainsKey);
        }
        if uri.query().is_some() || text.contains('#') {
            return fail(Fault::QueryOrFragment);
        }
        let host = uri.host().unwrap_or_default().trim_end_matches('.').to_ascii_lowercase();
        let port_is_readable =
            authority.len() == uri.host().map_or(0, str::len) || uri.port_u16().is_some();
        if host.is_empty() || !port_is_readable {
            return fail(Fault::Unreadable);
        }
        if let Some(fault) = wrong_host(service, &host) {
            return fail(fault);
        }
        if !secure && plain == PlainHttp::LoopbackOnly && !is_loopback(&host) {
            return fail(Fault::PlainHttp { host: host.into() });
        }
        let prefix = prefix_of(service, uri.path()).map_err(|path| UrlProblem {
            service,
            fault: Fault::EndpointPath { path: path.into() },
        })?;
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        Ok(Self { secure, host: host.into(), port, prefix: prefix.into() })
    }

    /// Whether TLS is used.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// The host, in lower case; an IPv6 address keeps its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A path in front of every request, without a slash at its end; usually empty.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Host, and port where it is not the scheme's own: what belongs into a `Host` header.
    #[must_use]
    pub fn authority(&self) -> String {
        if self.port == if self.secure { 443 } else { 80 } {
            self.host.to_string()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The path to request for an endpoint such as `/v1/models`.
    #[must_use]
    pub fn path(&self, endpoint: &str) -> String {
        format!("{}{endpoint}", self.prefix)
    }

    fn is_official(&self) -> bool {
        self.host.ends_with(".chutes.ai")
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        write!(formatter, "{scheme}://{}{}", self.authority(), self.prefix)
    }
}

/// The three addresses a client needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// The management API.
    pub api: BaseUrl,
    /// Inference.
    pub llm: BaseUrl,
    /// Embeddings.
    pub embed: BaseUrl,
}

impl Endpoints {
    /// Reads the addresses that were set; the official ones stand in for the rest.
    ///
    /// Without an address of its own, embeddings go where inference goes if that is not Chutes itself: whoever
    /// points the client at an emulator or a proxy does not want a key sent past it.
    ///
    /// # Errors
    /// The first address that cannot be used.
    pub fn from_urls(
        api: Option<&str>,
        llm: Option<&str>,
        embed: Option<&str>,
        plain: PlainHttp,
    ) -> Result<Self, UrlProblem> {
        let read = |service: Service, text: Option<&str>| {
            BaseUrl::parse(service, text.unwrap_or(service.official_url()), plain)
        };
        let api = read(Service::Api, api)?;
        let llm = read(Service::Llm, llm)?;
        let embed = match embed {
            None if !llm.is_official() => llm.clone(),
            given => read(Service::Embed, given)?,
        };
        Ok(Self { api, llm, embed })
    }

    /// The official addresses.
    #[must_use]
    pub fn official() -> Self {
        let base =
            |host: &str| BaseUrl { secure: true, host: host.into(), port: 443, prefix: "".into() };
        Self {
            api: base("api.chutes.ai"),
            llm: base("llm.chutes.ai"),
            embed: base("embed.chutes.ai"),
        }
    }
}

/// Why an address cannot be used. Parts of the address that may hold a secret are never repeated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {service} address {fault}")]
pub struct UrlProblem {
    /// Which of the addresses.
    pub service: Service,
    fault: Fault,
}

impl UrlProblem {
    /// What to write instead.
    #[must_use]
    pub fn suggestion(&self) -> String {
        match &self.fault {
            Fault::NoScheme { suggestion } => suggestion.to_string(),
            Fault::PlainHttp { host } => format!("https://{host}"),
            Fault::Empty
            | Fault::ContainsKey
            | Fault::WrongScheme
            | Fault::Unreadable
            | Fault::QueryOrFragment
            | Fault::WrongHost { .. }
            | Fault::EndpointPath { .. } => self.service.official_url().to_owned(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Fault {
    #[error("is empty")]
    Empty,
    #[error("contains a credential; a key belongs in CHUTES_API_KEY, never in an address")]
    ContainsKey,
    #[error("has no scheme; write `{suggestion}`")]
    NoScheme { suggestion: Box<str> },
    #[error("must begin with https:// (or http:// on this machine)")]
    WrongScheme,
    #[error("cannot be read; it should look like https://host or https://host/v1")]
    Unreadable,
    #[error("has a query or a fragment; end it after the path")]
    QueryOrFragment,
    #[error(
        "uses plain http to `{host}`; write https://, a key must not cross a network in clear text"
    )]
    PlainHttp { host: Box<str> },
    #[error("is that of {what}; use {instead}")]
    WrongHost { what: &'static str, instead: &'static str },
    #[error(
        "ends in `{path}`, which is one endpoint; leave everything after the host or `/v1` away"
    )]
    EndpointPath { path: Box<str> },
}

fn suggest_scheme(text: &str) -> Box<str> {
    let host = text.split(['/', ':']).next().unwrap_or_default().to_ascii_lowercase();
    let scheme = if is_loopback(&host) { "http" } else { "https" };
    // What is repeated here goes to a terminal, and was not checked by anything yet.
    let plain: String =
        text.trim_start_matches('/').chars().filter(char::is_ascii_graphic).take(100).collect();
    let shown = if plain.contains('@') { "host" } else { plain.as_str() };
    format!("{scheme}://{shown}").into()
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost"
        || bare.ends_with(".localhost")
        || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn wrong_host(service: Service, host: &str) -> Option<Fault> {
    let what = match (host, service) {
        ("chutes.ai" | "www.chutes.ai", _) => "the web site, not the API",
        ("docs.chutes.ai", _) => "the documentation, not the API",
        ("api.chutes.ai", Service::Llm | Service::Embed) => "the management API",
        ("llm.chutes.ai", Service::Api | Service::Embed) => "inference",
        ("embed.chutes.ai", Service::Api | Service::Llm) => "embeddings",
        ("image.chutes.ai", _) => "image generation",
        ("api.chutes.ai" | "llm.chutes.ai" | "embed.chutes.ai", Service::Provider) => {
            "Chutes, which needs no provider"
        }
        (_, Service::Provider) => return None,
        ("api.openai.com", _) => "OpenAI",
        ("openrouter.ai", _) => "OpenRouter",
        ("api.anthropic.com", _) => "Anthropic",
        _ => return None,
    };
    Some(Fault::WrongHost { what, instead: service.official_url() })
}

/// The path without slashes and, at Chutes, `/v1` at its end, or the endpoint that somebody left in it.
fn prefix_of(service: Service, path: &str) -> Result<String, String> {
    let mut rest = path.trim_end_matches('/');
    while service != Service::Provider
        && let Some(shorter) = rest.strip_suffix("/v1")
    {
        rest = shorter.trim_end_matches('/');
    }
    for endpoint in ["/chat/completions", "/completions", "/models", "/embeddings", "/users/me"] {
        if rest.ends_with(endpoint) {
            return Err(endpoint.to_owned());
        }
    }
    let is_bare = service == Service::Provider && rest.is_empty();
    Ok(if is_bare { "/v1".to_owned() } else { rest.to_owned() })
}

#[cfg(test)]
mod tests;
