//! An account's keys and its own names for models.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::items::Items;
use crate::secret::Secret;
use crate::time::Timestamp;
use crate::tolerant;

/// An item of `GET /api_keys/` (api.md 2.7). Other fields are not kept, since the answer to the making of a key
/// holds the key itself.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ApiKey {
    /// Its id, which is the first segment of the key.
    #[serde(deserialize_with = "tolerant::text")]
    pub api_key_id: Option<String>,
    /// The account.
    #[serde(deserialize_with = "tolerant::text")]
    pub user_id: Option<String>,
    /// Whether it may do everything.
    #[serde(deserialize_with = "tolerant::flag")]
    pub admin: Option<bool>,
    /// Its name.
    #[serde(deserialize_with = "tolerant::text")]
    pub name: Option<String>,
    /// When it was made.
    #[serde(deserialize_with = "tolerant::object")]
    pub created_at: Option<Timestamp>,
    /// When it was last used.
    #[serde(deserialize_with = "tolerant::object")]
    pub last_used_at: Option<Timestamp>,
    /// What it may do otherwise.
    pub scopes: Items<KeyScope>,
}

/// One permission of a key.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct KeyScope {
    /// Its id.
    #[serde(deserialize_with = "tolerant::text")]
    pub scope_id: Option<String>,
    /// `images`, `chutes`, `invocations`.
    #[serde(deserialize_with = "tolerant::text")]
    pub object_type: Option<String>,
    /// One object, or all.
    #[serde(deserialize_with = "tolerant::text")]
    pub object_id: Option<String>,
    /// Always null on the server that was recorded: the action cannot be read back.
    #[serde(deserialize_with = "tolerant::text")]
    pub method: Option<String>,
    /// Other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// An item of `GET /model_aliases/` (api.md 3.6; recording 754): a name of the account's own for some chutes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ModelAlias {
    /// The name, in lower case.
    #[serde(deserialize_with = "tolerant::text")]
    pub alias: Option<String>,
    /// Names or ids of chutes, as they were given.
    #[serde(deserialize_with = "tolerant::texts")]
    pub chute_ids: Option<Vec<String>>,
    /// When it was made.
    #[serde(deserialize_with = "tolerant::object")]
    pub created_at: Option<Timestamp>,
    /// When it was changed.
    #[serde(deserialize_with = "tolerant::object")]
    pub updated_at: Option<Timestamp>,
    /// Other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The answer to the making of a key: the only time that the key itself is told.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct CreatedApiKey {
    /// What the lists will say about it.
    #[serde(flatten)]
    pub key: ApiKey,
    /// The key. Keep it: it cannot be asked for again.
    #[serde(deserialize_with = "tolerant::object")]
    pub secret_key: Option<Secret>,
}

/// The body of `POST /api_keys/` (api.md 2.7).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewApiKey {
    /// A name of 1 to 24 characters that no other key of the account has. The server's message about a longer one
    /// speaks of 32 (recording 150).
    pub name: String,
    /// Whether it may do everything. Only such a key reads the account (recordings, D13).
    pub admin: bool,
    /// What it may do otherwise.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<NewKeyScope>,
}

/// One permission of a key that is to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewKeyScope {
    /// `images`, `chutes`, `invocations`; newer servers may know more.
    pub object_type: String,
    /// One object, or all. A key for one chute calls every model all the same (recordings, D14).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object_id: Option<String>,
    /// `read`, `write`, `delete`, `invoke`, or all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
}

impl NewApiKey {
    /// A key that may call models and do nothing else: what a program should have.
    #[must_use]
    pub fn for_models(name: impl Into<String>) -> Self {
        let scope = NewKeyScope {
            object_type: "chutes".to_owned(),
            object_id: None,
            action: Some("invoke".to_owned()),
        };
        Self { name: name.into(), admin: false, scopes: vec![scope] }
    }

    /// A key that may do everything, also read the account.
    #[must_use]
    pub fn admin(name: impl Into<String>) -> Self {
        Self { name: name.into(), admin: true, scopes: Vec::new() }
    }
}

/// The answer to the deletion of a key. The key works for up to two minutes more (api.md 1.3).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DeletedApiKey {
    /// Which one.
    #[serde(deserialize_with = "tolerant::text")]
    pub api_key_id: Option<String>,
    /// Whether it is gone.
    #[serde(deserialize_with = "tolerant::flag")]
    pub deleted: Option<bool>,
    /// Other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The body of `POST /model_aliases/`, which makes an alias or replaces it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewModelAlias {
    /// The name: ASCII without spaces and colons. The server keeps it in lower case (recordings, D28).
    pub alias: String,
    /// 1 to 20 names or ids of chutes, in the order of preference.
    pub chute_ids: Vec<String>,
}
