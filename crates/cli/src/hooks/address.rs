//! Where a hook posts to. What stands behind the host may be a secret (it is with Slack and its like), so it is never shown.

use std::fmt;

use http::Uri;
use ripcord_client::endpoints::{BaseUrl, PlainHttp, Service};

/// An address that was checked: https, or http on this machine.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct HookAddress {
    /// Scheme, host and port.
    pub(crate) base: BaseUrl,
    /// The path with its query.
    pub(crate) path: String,
}

// === impl HookAddress ===

impl HookAddress {
    /// Reads an address; what is wrong with it is told without the address.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let expected = "expected an address such as \"https://example.com/hook\", or \"env:NAME\" or \"file:PATH\"";
        let uri: Uri = text.parse().map_err(|_| expected.to_owned())?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(expected.to_owned());
        };
        if authority.as_str().contains('@') {
            return Err(
                "a name and a password before the host are not sent; leave them away".to_owned()
            );
        }
        let base = BaseUrl::parse(
            Service::Api,
            &format!("{scheme}://{authority}"),
            PlainHttp::LoopbackOnly,
        )
        .map_err(|_| {
            "expected https, or http on this machine (127.0.0.1, [::1], localhost)".to_owned()
        })?;
        let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        Ok(Self { base, path: path.to_owned() })
    }
}

impl fmt::Display for HookAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let behind = if self.path == "/" { "/" } else { "/…" };
        write!(f, "{}{behind}", self.base)
    }
}

impl fmt::Debug for HookAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_anywhere_and_http_here() {
        for (text, shown) in [
            ("https://hooks.example.com/services/T0/SECRET?x=1", "https://hooks.example.com/…"),
            ("http://127.0.0.1:9000/", "http://127.0.0.1:9000/"),
            ("http://localhost:9000/v1/hook", "http://localhost:9000/…"),
        ] {
            let address = HookAddress::parse(text).unwrap();
            assert_eq!((address.to_string(), format!("{address:?}")), (shown.into(), shown.into()));
            assert!(text.ends_with(&address.path));
        }
    }

    #[test]
    fn what_is_wrong_is_told_without_the_address() {
        for text in [
            "http://example.com/SECRET",
            "https://me:SECRET@example.com/",
            "ftp://example.com/SECRET",
            "example.com/SECRET",
            "https:///SECRET",
            "",
        ] {
            let message = HookAddress::parse(text).unwrap_err();
            assert!(!message.contains("SECRET"), "{message}");
        }
    }
}
