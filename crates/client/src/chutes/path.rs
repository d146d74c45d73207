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
    /// Part of the names that are left out, in any case.
    pub exclude: Option<String>,
    /// The image. On the server that was recorded it never matches (recordings, D22).
    pub image: Option<String>,
    /// The name of its host, whole, in any case.
    pub slug: Option<String>,
    /// How many, from 1 to 5000. The server's default is 25.
    pub limit: Option<u32>,
    /// Which page, from 0 to 100. With an offset as well the server answers 400.
    pub page: Option<u32>,
    /// How many to pass over, up to 5000, in place of a page. Missing on older servers.
    pub offset: Option<u32>,
    /// Also the schemas of what the endpoints take and give: much larger.
    pub include_schemas: bool,
}

impl Default for ChuteQuery {
    /// Every public language model in one answer.
    fn default() -> Self {
        Self {
            include_public: true,
            template: Some("vllm".to_owned()),
            name: None,
            exclude: None,
            image: None,
            slug: None,
            limit: Some(1000),
            page: None,
            offset: None,
            include_schemas: false,
        }
    }
}

impl ChuteQuery {
    pub(super) fn path(&self) -> String {
        Query::new("/chutes/")
            .with("include_public", Some(self.include_public))
            .with("template", self.template.as_deref())
            .with("name", self.name.as_deref())
            .with("exclude", self.exclude.as_deref())
            .with("image", self.image.as_deref())
            .with("slug", self.slug.as_deref())
            .with("limit", self.limit)
            .with("page", self.page)
            .with("offset", self.offset)
            .with("include_schemas", self.include_schemas.then_some(true))
            .path()
    }
}

/// Which part of a long list. The default leaves both to the server: the first 25.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PageQuery {
    /// Which page, from 0.
    pub page: Option<u32>,
    /// How many to a page.
    pub limit: Option<u32>,
}

impl PageQuery {
    pub(super) fn path(self, path: &str) -> String {
        Query::new(path).with("page", self.page).with("limit", self.limit).path()
    }
}

/// Names of chutes have slashes, which go into the path as they are.
pub(super) fn chute_path(id_or_name: &str) -> String {
    format!("/chutes/{}", encoded_name(id_or_name))
}

pub(super) fn encoded_name(id_or_name: &str) -> String {
    encoded(id_or_name, true)
}

pub(super) fn quota_path(chute_id: &str) -> String {
    format!("/users/me/quota_usage/{}", segment(chute_id))
}

/// One segment of a path, out of which nothing leads.
pub(super) fn segment(text: &str) -> String {
    encoded(text, false)
}

/// A path with the parameters that are set.
#[derive(Default)]
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

    /// The parameters alone, as a form has them.
    pub(super) fn fields(&self) -> &str {
        self.0.trim_start_matches('?')
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
    fn every_parameter_of_the_list_has_its_place() {
        let query = ChuteQuery {
            include_public: false,
            template: Some("other".into()),
            name: None,
            exclude: Some("affine".into()),
            image: Some("vllm".into()),
            slug: Some("chutes-a".into()),
            limit: Some(5),
            page: None,
            offset: Some(40),
            include_schemas: true,
        };
        assert_eq!(
            query.path(),
            "/chutes/?include_public=false&template=other&exclude=affine&image=vllm&slug=chutes-a&limit=5&offset=40&include_schemas=true"
        );
        assert_eq!(PageQuery::default().path("/payments"), "/payments");
        assert_eq!(PageQuery { page: Some(2), limit: Some(50) }.path("/x"), "/x?page=2&limit=50");
    }

    #[test]
    fn names_stay_readable_and_cannot_leave_the_path() {
        assert_eq!(chute_path("Qwen/Qwen3-32B-TEE"), "/chutes/Qwen/Qwen3-32B-TEE");
        assert_eq!(chute_path("a?b#c%\n"), "/chutes/a%3Fb%23c%25%0A");
        assert_eq!(quota_path("*/x"), "/users/me/quota_usage/%2A%2Fx");
    }
}
