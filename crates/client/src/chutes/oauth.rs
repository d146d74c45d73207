//! The calls of [`crate::oauth`].

use ripcord_rules::cause::Endpoint;
use ripcord_wire::oauth::{Discovery, Introspection, Revocation, TokenAnswer, UserInfo};
use ripcord_wire::secret::Secret;
use serde::de::DeserializeOwned;

use super::call::Plan;
use super::path::Query;
use super::shape::Recognised;
use super::{Chutes, Reply};
use crate::error::{Error, ErrorKind};
use crate::oauth::{App, OAuthFault, Verifier};

const FORM: &str = "application/x-www-form-urlencoded";

impl Chutes {
    /// `GET /.well-known/openid-configuration` (api.md 1.4): where the identity provider is and what it understands.
    /// Sent without a key.
    ///
    /// # Errors
    /// As every call: see [`Error`].
    pub async fn oauth_discovery(&self) -> Result<Reply<Discovery>, Error> {
        self.read(self.list(&self.api, "/.well-known/openid-configuration")).await
    }

    /// The address to open in the user's browser: there the user says yes, and comes back to the app's redirect
    /// address with a code; see [`Callback`](crate::oauth::Callback).
    ///
    /// `state` is random text of the caller's, which has to come back unchanged. Nothing is sent.
    #[must_use]
    pub fn authorization_url(
        &self,
        app: &App,
        scopes: &[&str],
        state: &str,
        verifier: &Verifier,
    ) -> String {
        let base = self.api.base();
        let scopes = (!scopes.is_empty()).then(|| scopes.join(" "));
        let address = Query::new("/idp/authorize")
            .with("response_type", Some("code"))
            .with("client_id", Some(&app.client_id))
            .with("redirect_uri", Some(&app.redirect_uri))
            .with("scope", scopes)
            .with("state", Some(state))
            .with("code_challenge", Some(verifier.challenge()))
            .with("code_challenge_method", Some("S256"))
            .path();
        format!("{base}{address}")
    }

    /// `POST /idp/token` with a code: gets the first pair of tokens. A code is good for one try.
    ///
    /// # Errors
    /// [`ErrorKind::OAuthRefused`] for a code, an app or a verifier that is not right; else as every call: see
    /// [`Error`].
    pub async fn exchange_code(
        &self,
        app: &App,
        code: &Secret,
        verifier: &Verifier,
    ) -> Result<Reply<TokenAnswer>, Error> {
        let form = Form::new("authorization_code")
            .secret("code", code)
            .with("redirect_uri", &app.redirect_uri)
            .app(app)
            .secret("code_verifier", verifier.secret());
        self.post_form("/idp/token", form).await
    }

    /// `POST /idp/token` with a refresh token: gets the next pair of tokens.
    ///
    /// **The refresh token is used up by it**: keep the new one before anything else. An app that has a secret has to
    /// give it here, whether or not it did for the code.
    ///
    /// # Errors
    /// [`ErrorKind::OAuthRefused`] for a token that is used up, revoked or too old: the user has to log in again.
    /// Else as every call: see [`Error`]; after a broken connection the old token may be used up.
    pub async fn refresh_tokens(
        &self,
        app: &App,
        refresh_token: &Secret,
    ) -> Result<Reply<TokenAnswer>, Error> {
        let form = Form::new("refresh_token").secret("refresh_token", refresh_token).app(app);
        self.post_form("/idp/token", form).await
    }

    /// `POST /idp/token/revoke`: ends an access or a refresh token, with a yes also for one that nobody knows. Answers
    /// that are kept may let an access token work for a while.
    ///
    /// # Errors
    /// As every call: see [`Error`].
    pub async fn revoke_token(&self, token: &Secret) -> Result<Reply<Revocation>, Error> {
        self.post_form("/idp/token/revoke", Form::default().secret("token", token)).await
    }

    /// `POST /idp/token/introspect`: whether an access or a refresh token is valid, since when, how long, for what.
    ///
    /// # Errors
    /// As every call: see [`Error`].
    pub async fn introspect_token(&self, token: &Secret) -> Result<Reply<Introspection>, Error> {
        self.post_form("/idp/token/introspect", Form::default().secret("token", token)).await
    }

    /// `GET /idp/userinfo`: whom the client's key, an OAuth access token, belongs to.
    ///
    /// # Errors
    /// 401 with [`Cause::DeadKey`](ripcord_rules::cause::Cause::DeadKey) for a token that is dead or no OAuth token,
    /// 403 with [`Cause::NotEntitled`](ripcord_rules::cause::Cause::NotEntitled) for one without `profile`, `openid`
    /// or `account:read`; else as every call: see [`Error`].
    pub async fn userinfo(&self) -> Result<Reply<UserInfo>, Error> {
        let plan = self.account("/idp/userinfo");
        // Not an account endpoint in one respect: its 401 does mean that the token is dead.
        self.read(Plan { endpoint: Endpoint::Public, ..plan }).await
    }

    async fn post_form<T: DeserializeOwned + Recognised>(
        &self,
        path: &'static str,
        form: Form,
    ) -> Result<Reply<T>, Error> {
        let plan = Plan {
            method: http::Method::POST,
            content_type: FORM,
            body: form.text().into(),
            secrets: form.secrets,
            endpoint: Endpoint::Public,
            ..self.list(&self.api, path)
        };
        self.read(plan).await.map_err(refusal)
    }
}

/// A refusal in the words of OAuth, which no other endpoint uses.
fn refusal(error: Error) -> Error {
    let ErrorKind::Answered { status: status @ 400..=499, message, .. } = error.kind() else {
        return error;
    };
    match OAuthFault::from_code(message) {
        Some(fault) => error.with_kind(ErrorKind::OAuthRefused { status: *status, fault }),
        None => error,
    }
}

/// The body of a call of the identity provider, and what of it is secret.
#[derive(Default)]
struct Form {
    fields: Query,
    secrets: Vec<Secret>,
}

impl Form {
    fn new(grant_type: &str) -> Self {
        Self::default().with("grant_type", grant_type)
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.fields = self.fields.with(name, Some(value));
        self
    }

    fn secret(mut self, name: &str, value: &Secret) -> Self {
        self.secrets.push(value.clone());
        self.with(name, value.expose())
    }

    fn app(self, app: &App) -> Self {
        let form = self.with("client_id", &app.client_id);
        match &app.client_secret {
            Some(secret) => form.secret("client_secret", secret),
            None => form,
        }
    }

    fn text(&self) -> String {
        self.fields.fields().to_owned()
    }
}
