//! What the identity provider of Chutes answers (api.md 1.1, 1.4; recordings, D11, D15, 273).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::secret::Secret;
use crate::time::Timestamp;
use crate::tolerant;

/// `GET /.well-known/openid-configuration`: where things are and what is understood.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Discovery {
    /// Who speaks.
    #[serde(deserialize_with = "tolerant::text")]
    pub issuer: Option<String>,
    /// Where the user is sent to.
    #[serde(deserialize_with = "tolerant::text")]
    pub authorization_endpoint: Option<String>,
    /// Where tokens are got.
    #[serde(deserialize_with = "tolerant::text")]
    pub token_endpoint: Option<String>,
    /// Who a token belongs to.
    #[serde(deserialize_with = "tolerant::text")]
    pub userinfo_endpoint: Option<String>,
    /// Where tokens are ended.
    #[serde(deserialize_with = "tolerant::text")]
    pub revocation_endpoint: Option<String>,
    /// Whether a token is valid.
    #[serde(deserialize_with = "tolerant::text")]
    pub introspection_endpoint: Option<String>,
    /// Scopes. The list is not whole: `chutes:{id}:invoke` is understood too.
    #[serde(deserialize_with = "tolerant::texts")]
    pub scopes_supported: Option<Vec<String>>,
    /// `code`.
    #[serde(deserialize_with = "tolerant::texts")]
    pub response_types_supported: Option<Vec<String>>,
    /// `authorization_code`, `refresh_token`.
    #[serde(deserialize_with = "tolerant::texts")]
    pub grant_types_supported: Option<Vec<String>>,
    /// `client_secret_post`, `client_secret_basic`, `none`.
    #[serde(deserialize_with = "tolerant::texts")]
    pub token_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// `S256`, `plain`.
    #[serde(deserialize_with = "tolerant::texts")]
    pub code_challenge_methods_supported: Option<Vec<String>>,
    /// What a token says about its user.
    #[serde(deserialize_with = "tolerant::texts")]
    pub claims_supported: Option<Vec<String>>,
    /// Other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// `POST /idp/token`: what a code or a refresh token was exchanged for. Fields that are not known are not kept: they could be
/// secrets too.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct TokenAnswer {
    /// `cak_…`, to be sent like a key.
    #[serde(deserialize_with = "tolerant::object")]
    pub access_token: Option<Secret>,
    /// `Bearer`.
    #[serde(deserialize_with = "tolerant::text")]
    pub token_type: Option<String>,
    /// Seconds that the access token lasts: 3600.
    #[serde(deserialize_with = "tolerant::whole")]
    pub expires_in: Option<i64>,
    /// `crt_…`, good for one exchange, 30 days unless the app says otherwise.
    #[serde(deserialize_with = "tolerant::object")]
    pub refresh_token: Option<Secret>,
    /// The scopes that were granted, separated by spaces. Missing on older servers.
    #[serde(deserialize_with = "tolerant::text")]
    pub scope: Option<String>,
}

/// `GET /idp/userinfo`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct UserInfo {
    /// The account's id.
    #[serde(deserialize_with = "tolerant::text")]
    pub sub: Option<String>,
    /// Its name.
    #[serde(deserialize_with = "tolerant::text")]
    pub username: Option<String>,
    /// When it was made.
    #[serde(deserialize_with = "tolerant::object")]
    pub created_at: Option<Timestamp>,
    /// Other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// `POST /idp/token/introspect`: whether a token is valid. Everything but `active` is missing if it is not.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Introspection {
    /// Whether it is valid now.
    #[serde(deserialize_with = "tolerant::flag")]
    pub active: Option<bool>,
    /// `access_token` or `refresh_token`.
    #[serde(deserialize_with = "tolerant::text")]
    pub token_type: Option<String>,
    /// Unix seconds of its end.
    #[serde(deserialize_with = "tolerant::whole")]
    pub exp: Option<i64>,
    /// Unix seconds of its beginning.
    #[serde(deserialize_with = "tolerant::whole")]
    pub iat: Option<i64>,
    /// Its scopes, separated by spaces.
    #[serde(deserialize_with = "tolerant::text")]
    pub scope: Option<String>,
    /// The app it was made for.
    #[serde(deserialize_with = "tolerant::text")]
    pub client_id: Option<String>,
    /// The account's name.
    #[serde(deserialize_with = "tolerant::text")]
    pub username: Option<String>,
    /// The account's id.
    #[serde(deserialize_with = "tolerant::text")]
    pub sub: Option<String>,
    /// Other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// `POST /idp/token/revoke`: says yes also to a token that nobody knows.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Revocation {
    /// Always true.
    #[serde(deserialize_with = "tolerant::flag")]
    pub revoked: Option<bool>,
    /// Other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl TokenAnswer {
    /// The scopes that were granted, one by one.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.scope.as_deref().unwrap_or_default().split_whitespace()
    }
}

impl Introspection {
    /// The scopes, one by one.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.scope.as_deref().unwrap_or_default().split_whitespace()
    }
}
