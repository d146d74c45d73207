//! The account's keys and its own names for models. All of these need an admin key (recordings 144, 764).

use ripcord_wire::chutes::{
    ApiKey, CreatedApiKey, DeletedApiKey, ModelAlias, NewApiKey, NewModelAlias, Page,
};
use ripcord_wire::items::Items;

use super::path::{PageQuery, segment};
use super::{Chutes, Reply};
use crate::error::Error;

impl Chutes {
    /// `GET /api_keys/` (api.md 2.7): the account's keys, without their secrets. What a scope allows cannot be read
    /// back: its `method` is always null (recordings, D21).
    ///
    /// # Errors
    /// As every call: see [`Error`].
    pub async fn api_keys(&self, page: PageQuery) -> Result<Reply<Page<ApiKey>>, Error> {
        let path = "/api_keys/";
        self.read(self.account(path).with_path(page.path(path))).await
    }

    /// `GET /api_keys/{id}` (api.md 2.7): one key, without its secret.
    ///
    /// # Errors
    /// 404 if the account has no such key; else as every call: see [`Error`].
    pub async fn api_key(&self, api_key_id: &str) -> Result<Reply<ApiKey>, Error> {
        let path = format!("/api_keys/{}", segment(api_key_id));
        self.read(self.account("/api_keys/{id}").with_path(path)).await
    }

    /// `POST /api_keys/` (api.md 2.7): makes a key. The answer is the only place that ever tells it.
    ///
    /// # Errors
    /// 409 if the name is taken, 400 or 422 for a scope or name that the server does not take; else as every call:
    /// see [`Error`]. After a broken connection the key may exist all the same: look for its name.
    pub async fn create_api_key(&self, key: &NewApiKey) -> Result<Reply<CreatedApiKey>, Error> {
        self.read(self.account("/api_keys/").posting(key)).await
    }

    /// `DELETE /api_keys/{id}` (api.md 2.7). The key works for up to two minutes more (api.md 1.3).
    ///
    /// # Errors
    /// 404 if the account has no such key; else as every call: see [`Error`].
    pub async fn delete_api_key(&self, api_key_id: &str) -> Result<Reply<DeletedApiKey>, Error> {
        let path = format!("/api_keys/{}", segment(api_key_id));
        self.read(self.account("/api_keys/{id}").with_path(path).deleting()).await
    }

    /// `GET /model_aliases/` (api.md 3.6; recordings, D28): the account's own names for models. Needs an admin key.
    ///
    /// # Errors
    /// As every call: see [`Error`].
    pub async fn model_aliases(&self) -> Result<Reply<Items<ModelAlias>>, Error> {
        self.read(self.account("/model_aliases/")).await
    }

    /// `POST /model_aliases/` (api.md 3.6): makes an alias or replaces it. It is used like a model's name, also with
    /// `:latency` or `:throughput` behind it; calls see a change after up to two minutes.
    ///
    /// # Errors
    /// 400 `chute not found: …` for an unknown member, 422 for a bad name or a list that is not 1 to 20 long; else as
    /// every call: see [`Error`].
    pub async fn put_model_alias(&self, alias: &NewModelAlias) -> Result<Reply<ModelAlias>, Error> {
        self.read(self.account("/model_aliases/").posting(alias)).await
    }

    /// `DELETE /model_aliases/{alias}` (api.md 3.6), in any case of letters.
    ///
    /// # Errors
    /// 404 `alias not found`; else as every call: see [`Error`].
    pub async fn delete_model_alias(&self, alias: &str) -> Result<Reply<()>, Error> {
        let path = format!("/model_aliases/{}", segment(alias));
        self.settle(self.account("/model_aliases/{alias}").with_path(path).deleting()).await
    }
}
