//! Calls of models. Each of them is paid for.

use bytes::Bytes;
use ripcord_wire::chat::ChatCompletion;
use ripcord_wire::completions::Completion;
use ripcord_wire::tokens::{Detokenized, Tokenized};

use super::call::Plan;
use super::shape::Embeddings;
use super::stream::{ChatStream, CompletionStream};
use super::{Chutes, Reply};
use crate::error::Error;
use crate::transport::TransportLimits;

impl Chutes {
    /// `POST /v1/chat/completions` (api.md 4), answered in one piece. The body is sent as it is: bytes that do not change keep
    /// the price of a repetition and the cached prefix (api.md 5.5).
    ///
    /// Dropping the future cancels the connection, but not the bill: a plain call that is left counts in full.
    ///
    /// # Errors
    /// As every call: see [`Error`].
    pub async fn chat(&self, body: impl Into<Bytes>) -> Result<Reply<ChatCompletion>, Error> {
        let plan = self.inference(&self.llm, "/v1/chat/completions", body.into());
        self.read(self.in_one_piece(plan)).await
    }

    /// `POST /v1/chat/completions` with a body that says `"stream": true`.
    ///
    /// Dropping the stream cancels it at Chutes, and a stream that is left costs nothing.
    ///
    /// # Errors
    /// As every call: see [`Error`].
    pub async fn chat_stream(&self, body: impl Into<Bytes>) -> Result<ChatStream, Error> {
        let plan = self.inference(&self.llm, "/v1/chat/completions", body.into());
        let opened = self.open(plan).await?;
        ChatStream::begin(opened, self.settings.stream_line_limit_bytes).await
    }

    /// `POST /v1/completions` (api.md 4.1), answered in one piece: a text continued, without a chat around it. Billed
    /// and cancelled as [`Chutes::chat`].
    ///
    /// # Errors
    /// As every call: see [`Error`].
    pub async fn completion(&self, body: impl Into<Bytes>) -> Result<Reply<Completion>, Error> {
        let plan = self.inference(&self.llm, "/v1/completions", body.into());
        self.read(self.in_one_piece(plan)).await
    }

    /// `POST /v1/completions` with a body that says `"stream": true`. Billed and cancelled as
    /// [`Chutes::chat_stream`].
    ///
    /// # Errors
    /// As every call: see [`Error`].
    pub async fn completion_stream(
        &self,
        body: impl Into<Bytes>,
    ) -> Result<CompletionStream, Error> {
        let plan = self.inference(&self.llm, "/v1/completions", body.into());
        let opened = self.open(plan).await?;
        CompletionStream::begin(opened, self.settings.stream_line_limit_bytes).await
    }

    /// `POST /tokenize` (api.md 4.1): the tokens of `{"model": …, "prompt": …}` or of `messages`.
    ///
    /// **Not free**: it counts as one request and costs by the time it takes (recordings, D45).
    ///
    /// # Errors
    /// As every call: see [`Error`].
    pub async fn tokenize(&self, body: impl Into<Bytes>) -> Result<Reply<Tokenized>, Error> {
        self.read(self.inference(&self.llm, "/tokenize", body.into())).await
    }

    /// `POST /detokenize` (api.md 4.1): the text of `{"model": …, "tokens": [...]}`. As little free as
    /// [`Chutes::tokenize`].
    ///
    /// # Errors
    /// As every call: see [`Error`].
    pub async fn detokenize(&self, body: impl Into<Bytes>) -> Result<Reply<Detokenized>, Error> {
        self.read(self.inference(&self.llm, "/detokenize", body.into())).await
    }

    /// `POST /v1/embeddings` on the host of embeddings (api.md 4.1), kept as JSON: the vectors are the caller's.
    ///
    /// # Errors
    /// As every call: see [`Error`].
    pub async fn embeddings(
        &self,
        body: impl Into<Bytes>,
    ) -> Result<Reply<ripcord_wire::Value>, Error> {
        let plan = self.inference(&self.embed, "/v1/embeddings", body.into());
        let plan = Plan { limit_bytes: self.settings.list_limit_bytes, ..plan };
        let reply: Reply<Embeddings> = self.read(plan).await?;
        Ok(reply.map(|json| json.0))
    }

    /// The head of an answer in one piece comes when all of it is there.
    fn in_one_piece<'a>(&self, plan: Plan<'a>) -> Plan<'a> {
        let first_byte = self.settings.plain_chat_first_byte;
        Plan { limits: TransportLimits { first_byte, ..plan.limits }, ..plan }
    }
}
