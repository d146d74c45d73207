//! The formats Ripcord reads and writes: OpenAI and Chutes JSON, server-sent events, error bodies,
//! limit headers. Bytes in, values out.
//!
//! Nothing here opens a socket, reads a clock or decides anything: a reader says what the bytes
//! mean, and the layers above say what to do about it. Readers of answers are *tolerant* (a
//! missing, null, renamed or misshapen field is an absent value, never a lost document), the
//! reader of a client's request ([`body`]) is *strict*, because what it lets through is sent on.
//!
//! | module | reads or writes |
//! |---|---|
//! | [`sse`] | server-sent events, as a tee beside a relayed stream |
//! | [`body`] | a request body: finds what the gateway needs, rewrites it in place |
//! | [`trim`] | a request whose context is too long, without its oldest turns |
//! | [`chat`], [`completions`], [`embeddings`], [`models`], [`tokens`] | OpenAI's types; [`chat::ChunkGlance`] for the hot path |
//! | [`chutes`] | account, quota, catalogue, load and money answers of `api.chutes.ai` |
//! | [`oauth`] | answers of its identity provider |
//! | [`csv`], [`trace`] | its exports and its trace mode |
//! | [`error`] | the body of any failed answer |
//! | [`continuation`] | an answer that broke off: the request for the rest, and one stream of both parts |
//! | [`openai_error`] | the error a client of the gateway gets |
//! | [`limits`] | `Retry-After`, `x-ratelimit-*`, `X-Chutes-*` |
//! | [`text`], [`time`], [`decimal`], [`items`], [`secret`] | cleaning, timestamps, exact numbers, lists that survive a bad item, texts that are not shown |

#![warn(missing_docs)]

pub mod body;
pub mod chat;
pub mod chutes;
pub mod completions;
pub mod continuation;
pub mod csv;
pub mod decimal;
pub mod embeddings;
pub mod error;
pub mod items;
pub mod limits;
pub mod models;
pub mod oauth;
pub mod openai_error;
pub mod secret;
pub mod sse;
pub mod text;
pub mod time;
pub mod tokens;
pub mod trace;
pub mod trim;

mod edit;
mod find;
mod html;
mod json;
mod tolerant;

pub use serde_json::{Map, Value};

/// The examples of the README are compiled like all others.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
