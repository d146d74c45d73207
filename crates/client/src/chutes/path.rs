//! Paths and queries, percent-encoded.

use std::fmt::{Display, Write as _};

/// What `GET /chutes/` is asked for. Unset fields are left to the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChuteQuery {
    /// Also those of others. The server's default is no.
    pub include_public: bool,
    /// `vllm`, `diffusion`, `tei`, `embedding` or `other`.
    pub template: Option<String>,
    /// Part of the name, in any case.
    pub name: Option<String>,
    /// How many, at most 5000. The server's default is 25.
    pub limit: Option<u32>,
    /// Which page, from 0.
    pub page: Option<u32>,
}

impl Default for ChuteQuery {
    /// Every public language model in one answer.
    fn default() -> Self {
        Self {
            include_public: true,
            template: Some("vllm".to_owned()),
            name: None,
            limit: Some(1000),
            page: None,
        }
    }
}

impl ChuteQuery {
    pub(super) fn path(&self) -> String {
        Query::new("/chutes/")
            .with("include_public", Some(self.include_public))
            .with("template", self.template.as_deref())
            .with("name", self.name.as_deref())
            .with("limit", self.limit)
            .with("page", self.page)
            .path()
    }
}

/// Names of chutes have slashes, which go into the path as they are.
pub(super) fn chute_path(id_or_name: &str) -> String {
    format!("/chutes/{}", encoded(id_or_name, true))
}

pub(super) fn quota_path(chute_id: &str) -> String {
    format!("/users/me/quota_usage/{}", encoded(chute_id, false))
}

/// A path with the parameters that are set.
pub(super) struct Query(String);

impl Query {
    pub(super) fn new(path: impl Into<String>) -> Self {
        Self(path.into())
    }

    pub(super) fn with(mut self, name: &str, value: Option<impl Display>) -> Self {
        if let Some(value) = value {
            let separator = if self.0.contains('?') { '&' } else { '?' };
            let value = encoded(&value.to_string(), false);
            // Writing to a string cannot fail.
            let _ = write!(self.0, "{separator}{name}={value}");
        }
        self
    }

    pub(super) fn path(self) -> String {
        self.0
    }
}

fn encoded(text: &str, keep_slash: bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        let plain =
            byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || (keep_slash && byte == b'/');
        if plain {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_query_lists_every_language_model() {
        assert_eq!(
            ChuteQuery::default().path(),
            "/chutes/?include_public=true&template=vllm&limit=1000"
        );
        let query = ChuteQuery {
            name: Some("a b&c".into()),
            template: None,
            page: Some(2),
            ..ChuteQuery::default()
        };
        assert_eq!(query.path(), "/chutes/?include_public=true&name=a%20b%26c&limit=1000&page=2");
    }

    #[test]
    fn names_stay_readable_and_cannot_leave_the_path() {
        assert_eq!(chute_path("Qwen/Qwen3-32B-TEE"), "/chutes/Qwen/Qwen3-32B-TEE");
        assert_eq!(chute_path("a?b#c%\n"), "/chutes/a%3Fb%23c%25%0A");
        assert_eq!(quota_path("*/x"), "/users/me/quota_usage/%2A%2Fx");
    }
}
