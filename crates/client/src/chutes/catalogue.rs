//! What there is, what runs, what it costs.

use bytes::Bytes;
use ripcord_rules::cause::Endpoint;
use ripcord_wire::chutes::{Chute, ChutePage, Ping, PlatformPricing, UtilizationList};
use ripcord_wire::models::ModelList;

use super::call::Plan;
use super::path::{ChuteQuery, chute_path, segment};
use super::{Chutes, Reply};
use crate::error::Error;

impl Chutes {
    /// `GET /v1/models` (api.md 3.1): names, contexts in tokens, prices in US dollars for a **million** tokens. A model
    /// that is listed need not run: see [`Chutes::chutes`]. Sent **without** a key: a bad one, or one without the right scope,
    /// gets 401 where none gets 200.
    ///
    /// # Errors
    /// As every call: see [`Error`].
    pub async fn models(&self) -> Result<Reply<ModelList>, Error> {
        self.read(self.list(&self.llm, "/v1/models")).await
    }

    /// `GET /v1/models?or=true` (api.md 3.1): only the models that are offered through OpenRouter. Sent without a key.
    ///
    /// # Errors
    /// As every call: see [`Error`].
    pub async fn openrouter_models(&self) -> Result<Reply<ModelList>, Error> {
        let plan = self.list(&self.llm, "/v1/models").with_path("/v1/models?or=true".to_owned());
        self.read(plan).await
    }

    /// `GET /v1/models` with the key: whether it is alive and may call models (`chutes:invoke`), without spending.
    ///
    /// # Errors
    /// A 401 with [`Cause::DeadKey`](ripcord_rules::cause::Cause::DeadKey) if it may not; see [`Error`].
    pub async fn models_with_key(&self) -> Result<Reply<ModelList>, Error> {
        let plan = self.list(&self.llm, "/v1/models").with_key();
        self.read(Plan { endpoint: Endpoint::Inference, ..plan }).await
    }

    /// `GET /chutes/` (api.md 3.2): the catalogue with what runs, most used first. Sent without a key: all but admin keys
    /// are refused here (recordings, D12).
    ///
    /// # Errors
    /// As every call: see [`Error`].
    pub async fn chutes(&self, query: &ChuteQuery) -> Result<Reply<ChutePage>, Error> {
        self.read(self.list(&self.api, "/chutes/").with_path(query.path())).await
    }

    /// `GET /chutes/{id_or_name}` (api.md 3.3): one public chute. Names are compared with their case. Sent without a
    /// key.
    ///
    /// # Errors
    /// As every call: see [`Error`].
    pub async fn chute(&self, id_or_name: &str) -> Result<Reply<Chute>, Error> {
        self.read(self.list(&self.api, "/chutes/{id_or_name}").with_path(chute_path(id_or_name)))
            .await
    }

    /// `GET /chutes/{id_or_name}` with the key: a private chute is shown to its owner alone, and to an admin key only.
    ///
    /// # Errors
    /// A 401 with most keys, a 404 for somebody else's private chute; see [`Error`].
    pub async fn chute_with_key(&self, id_or_name: &str) -> Result<Reply<Chute>, Error> {
        let plan = self.list(&self.api, "/chutes/{id_or_name}").with_path(chute_path(id_or_name));
        self.read(plan.with_key()).await
    }

    /// `GET /chutes/utilization` (api.md 3.4): load and refusals of every hosted chute. A row may be old: look at its
    /// time. Sent without a key.
    ///
    /// # Errors
    /// As every call: see [`Error`].
    pub async fn utilization(&self) -> Result<Reply<UtilizationList>, Error> {
        self.read(self.list(&self.api, "/chutes/utilization")).await
    }

    /// `GET /ping` (api.md 0.4): whether the management API lives. Sent without a key.
    ///
    /// # Errors
    /// As every call: see [`Error`].
    pub async fn ping(&self) -> Result<Reply<Ping>, Error> {
        self.read(self.list(&self.api, "/ping")).await
    }

    /// `GET /chutes/code/{id}` (api.md 3.5): the Python source of a public chute, as bytes. Only an id is understood.
    /// Somebody else wrote it: show it cleaned, run it never. Sent without a key.
    ///
    /// # Errors
    /// As every call: see [`Error`].
    pub async fn chute_code(&self, chute_id: &str) -> Result<Reply<Bytes>, Error> {
        let path = format!("/chutes/code/{}", segment(chute_id));
        let plan = self.list(&self.api, "/chutes/code/{id}").with_path(path);
        self.read_text(Plan { accept: "text/plain", ..plan }).await
    }

    /// `GET /pricing` (api.md 3.5): US dollars for a TAO, and for an hour and a second of each GPU. Sent without a
    /// key.
    ///
    /// # Errors
    /// As every call: see [`Error`].
    pub async fn pricing(&self) -> Result<Reply<PlatformPricing>, Error> {
        self.read(self.list(&self.api, "/pricing")).await
    }
}
