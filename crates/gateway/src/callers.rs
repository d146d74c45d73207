//! Who may call: by which name, from which page, and from where for what is not everybody's business.

use crate::bearers::{is_same, sent_key};
use crate::config::AdminToken;
use crate::refusal::Refusal;
use http::header::{HOST, ORIGIN};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use std::net::{IpAddr, SocketAddr};

/// Who may call.
#[derive(Debug)]
pub(crate) struct Callers {
    /// Names of the gateway itself.
    pub(crate) hosts: Vec<String>,
    /// Pages, by their origin.
    pub(crate) origins: Vec<String>,
    /// Others than this machine can reach the gateway.
    pub(crate) is_reachable: bool,
    pub(crate) admin_token: Option<AdminToken>,
}

/// Headers of proxies: behind one, everybody seems to call from this machine.
const BY_PROXY: [&str; 4] = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];

impl Callers {
    pub(crate) fn lists(&self, origin: &HeaderValue) -> bool {
        self.origins.iter().any(|listed| listed.as_bytes() == origin.as_bytes())
    }

    /// Refuses names that are not the gateway's (DNS rebinding) and pages that are not listed.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let mut hosts = headers.get_all(HOST).iter();
        let host = hosts.next().and_then(|host| host.to_str().ok());
        if hosts.next().is_some() || !host.is_some_and(|host| self.knows_host(host)) {
            return Err(not_allowed(
                "this gateway does not go by that name; if it should, add it to `allowed_hosts` below [gateway] in the configuration",
            ));
        }
        let mut origins = headers.get_all(ORIGIN).iter();
        match (origins.next(), origins.next()) {
            (Some(origin), None) if self.lists(origin) => Ok(()),
            (Some(origin), _) => {
                let origin = origin.to_str().unwrap_or("this origin");
                Err(not_allowed(&format!(
                    "pages of {origin} may not call the gateway; if they should, write `allowed_origins = [\"{origin}\"]` \
                     below [gateway] in the configuration"
                )))
            }
            (None, _) => Ok(()),
        }
    }

    /// Refuses whoever may not see what is for those who run the gateway: a program of this machine may, anybody else
    /// needs the admin token.
    pub(crate) fn check_admin(
        &self,
        headers: &HeaderMap,
        peer: Option<SocketAddr>,
    ) -> Result<(), Refusal> {
        // A page of a listed origin may chat, from this machine too; that is all.
        let is_direct = !headers.contains_key(ORIGIN)
            && !BY_PROXY.iter().any(|name| headers.contains_key(*name));
        if is_direct && peer.is_some_and(|peer| is_loopback(peer.ip())) {
            return Ok(());
        }
        let Some(token) = &self.admin_token else {
            return Err(not_allowed(
                "only programs of the gateway's own machine may see this; for others set `admin_token` below [gateway] in the \
                 configuration, and send it as `Authorization: Bearer`",
            ));
        };
        if sent_key(headers).is_some_and(|sent| token.is(sent)) {
            return Ok(());
        }
        Err(Refusal::of_request(
            StatusCode::UNAUTHORIZED,
            "invalid_api_key",
            "this wants the gateway's admin token (`admin_token` below [gateway] in its configuration) as `Authorization: \
             Bearer`; a client key will not do",
        ))
    }

    fn knows_host(&self, host: &str) -> bool {
        let name = match host.rsplit_once(':') {
            Some((name, port))
                if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) =>
            {
                name
            }
            _ => host,
        };
        // No page's name can be made to lead to an address that is no name.
        let is_address = self.is_reachable && is_address(name);
        is_address
            || self
                .hosts
                .iter()
                .any(|known| known.eq_ignore_ascii_case(name) || known.eq_ignore_ascii_case(host))
    }
}

// === impl AdminToken ===

impl AdminToken {
    /// Whether this is the token. In the same time wherever they differ, and however long it is.
    fn is(&self, sent: &str) -> bool {
        is_same(self.digest(), &ripcord_store::ClientKey::digest(sent))
    }
}

/// Whether a peer is of this machine: `::ffff:127.0.0.1` is, too.
fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

fn is_address(name: &str) -> bool {
    let in_brackets = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    match in_brackets {
        Some(name) => name.parse::<std::net::Ipv6Addr>().is_ok(),
        None => name.parse::<std::net::Ipv4Addr>().is_ok(),
    }
}

fn not_allowed(message: &str) -> Refusal {
    Refusal::of_request(StatusCode::FORBIDDEN, "not_allowed", message)
}

/// What a page of a listed origin may read of an answer: everything of ours, and when to come back.
pub(crate) const EXPOSED: HeaderValue = HeaderValue::from_static(
    "x-ripcord-request-id, x-ripcord-model, x-ripcord-account, x-ripcord-attempts, x-ripcord-unguarded, \
     x-ripcord-trimmed, retry-after, x-should-retry",
);

/// Asked by browsers before a page of the internet may reach a machine of the local network.
pub(crate) const ASKS_FOR_PRIVATE_NETWORK: HeaderName =
    HeaderName::from_static("access-control-request-private-network");
pub(crate) const ALLOWS_PRIVATE_NETWORK: HeaderName =
    HeaderName::from_static("access-control-allow-private-network");

#[cfg(test)]
mod tests {
    use super::*;

    fn callers() -> Callers {
        Callers {
            hosts: ["localhost", "127.0.0.1", "[::1]", "box.lan"].map(str::to_owned).to_vec(),
            origins: vec!["https://chat.example".to_owned()],
            is_reachable: false,
            admin_token: None,
        }
    }

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        headers
    }

    fn check(pairs: &[(&str, &str)]) -> Result<(), StatusCode> {
        callers().check(&headers(pairs)).map_err(|refusal| refusal.status)
    }

    #[test]
    fn only_own_names_are_answered() {
        for host in
            ["localhost", "LOCALHOST:8790", "127.0.0.1:1", "[::1]:8790", "[::1]", "box.lan:80"]
        {
            assert_eq!(check(&[("host", host)]), Ok(()), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:8790",
            "",
            "::1",
            "192.168.1.5",
        ] {
            assert_eq!(check(&[("host", host)]), Err(StatusCode::FORBIDDEN), "{host}");
        }
        assert_eq!(check(&[]), Err(StatusCode::FORBIDDEN));
        assert_eq!(
            check(&[("host", "localhost"), ("host", "evil.example")]),
            Err(StatusCode::FORBIDDEN)
        );
    }

    #[test]
    fn where_others_can_reach_it_every_address_is_its_own_but_no_other_name() {
        let callers = Callers { is_reachable: true, ..callers() };
        for (host, is_known) in [
            ("192.168.1.5:8790", true),
            ("[fe80::1]:8790", true),
            ("box.lan", true),
            ("evil.example", false),
            ("192.168.1.5.evil.example", false),
            ("[evil.example]", false),
            ("1", false),
        ] {
            assert_eq!(callers.check(&headers(&[("host", host)])).is_ok(), is_known, "{host}");
        }
    }

    #[test]
    fn only_listed_pages_may_call() {
        assert_eq!(check(&[("host", "localhost"), ("origin", "https://chat.example")]), Ok(()));
        for origin in
            ["https://evil.example", "null", "http://chat.example", "https://chat.example.evil"]
        {
            assert_eq!(
                check(&[("host", "localhost"), ("origin", origin)]),
                Err(StatusCode::FORBIDDEN)
            );
        }
        let two = ("origin", "https://chat.example");
        assert_eq!(check(&[("host", "localhost"), two, two]), Err(StatusCode::FORBIDDEN));
    }

    #[test]
    fn what_is_for_those_who_run_it_wants_this_machine_or_the_token() {
        let token = "0123456789abcdef";
        let guarded = Callers { admin_token: Some(AdminToken::parse(token).unwrap()), ..callers() };
        let here: SocketAddr = "127.0.0.1:5000".parse().unwrap();
        let mapped: SocketAddr = "[::ffff:127.0.0.1]:5000".parse().unwrap();
        let there: SocketAddr = "192.168.1.7:5000".parse().unwrap();
        let bearer = format!("Bearer {token}");
        let with = ("authorization", bearer.as_str());
        let page = ("origin", "https://chat.example");
        let says = |callers: &Callers, peer, pairs: &[(&str, &str)]| {
            let checked = callers.check_admin(&headers(pairs), peer);
            checked.map_err(|refusal| refusal.status.as_u16())
        };
        for peer in [here, mapped] {
            assert_eq!(says(&callers(), Some(peer), &[]), Ok(()));
            assert_eq!(says(&guarded, Some(peer), &[]), Ok(()));
        }
        for (peer, pairs) in [
            (Some(there), &[][..]),
            (None, &[]),
            (Some(here), &[page]),
            (Some(here), &[("x-forwarded-for", "203.0.113.9")]),
            (Some(here), &[("via", "1.1 proxy")]),
        ] {
            assert_eq!(says(&callers(), peer, pairs), Err(403), "{peer:?} {pairs:?}");
            assert_eq!(says(&guarded, peer, pairs), Err(401), "{peer:?} {pairs:?}");
            let with_token: Vec<_> = pairs.iter().copied().chain([with]).collect();
            assert_eq!(says(&callers(), peer, &with_token), Err(403));
            assert_eq!(says(&guarded, peer, &with_token), Ok(()), "{peer:?} {pairs:?}");
        }
        for wrong in ["Bearer 0123456789abcdeF", "Bearer ", "Bearer 0123456789abcde", "Basic x"] {
            assert_eq!(says(&guarded, Some(there), &[("authorization", wrong)]), Err(401));
        }
        assert_eq!(says(&guarded, Some(there), &[("x-api-key", token)]), Ok(()));
    }

    #[test]
    fn a_token_is_long_and_never_shown() {
        for wrong in ["", "short", "0123456789 abcdef", "0123456789abcdé\u{1}"] {
            assert!(AdminToken::parse(wrong).is_err(), "{wrong:?}");
        }
        let token = AdminToken::parse(" 0123456789abcdef\n").unwrap();
        assert!(token.is("0123456789abcdef"));
        assert!(!format!("{token:?}").contains("0123"));
    }
}
