//! A typed, careful client for the API of Chutes.ai.
//!
//! | module | what it is |
//! |---|---|
//! | [`key`], [`endpoints`] | keys and addresses, read from what people really paste |
//! | [`transport`] | raw HTTP/1.1 with its own small pool: no retries, exact phases in its errors, cancelled by dropping |
//! | [`chutes`], [`error`] | the typed endpoints; errors say who is to blame and what to do next |
//! | [`oauth`] | logging in for somebody else, and what a scope opens |
//! | [`classify`] | what a failed answer says, as the facts that [`ripcord_rules::cause`] decides on |
//! | [`model_evidence()`] | what the public lists say of a model, for [`ripcord_rules::model_state`] |
//! | [`snapshot`] | one account's plan, windows and balance as [`ripcord_rules::quota`] values |
//! | [`terms`] | its own prices, discounts and names for models, likewise |
//!
//! Answers are types of [`ripcord_wire`], which read tolerantly: what is missing or odd is `None`, never zero, and a
//! list keeps its good items and counts the others. Money is decimal text, prices of tokens are US dollars for a
//! million, moments without an offset are UTC. Keys are redacted by type and appear in no error of this crate.
//!
//! # Making a call
//!
//! ```no_run
//! use ripcord_client::chutes::{Chutes, StatisticsQuery};
//! use ripcord_client::endpoints::Endpoints;
//! use ripcord_client::transport::{Transport, TransportSettings};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let transport = Transport::new(TransportSettings::default());
//! let chutes = Chutes::new(&Endpoints::official(), transport)?;
//! let speeds = chutes.llm_statistics(&StatisticsQuery::default()).await?;
//! for row in &speeds.value {
//!     println!("{:?} {:?}: {:?} s to the first token", row.date, row.name, row.average_ttft);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A [`Chutes`](chutes::Chutes) is cheap to clone; clones share their connections. It makes each call once: whether to
//! try again is the caller's decision, for which an error has what is needed.
//!
//! # When a call fails
//!
//! ```no_run
//! # async fn example(chutes: ripcord_client::chutes::Chutes, body: String) {
//! use ripcord_client::error::Blame;
//! use ripcord_rules::cause::Cause;
//!
//! match chutes.chat(body).await {
//!     Ok(answer) => println!("{} choices", answer.value.choices.len()),
//!     // What it means, whatever the status was: Chutes says 429 for a full model and for a banned account.
//!     Err(error) if error.cause() == Some(Cause::Capacity) => println!("choose another model"),
//!     Err(error) if error.retryable() => println!("later: {error}"),
//!     Err(error) if error.blame() == Blame::You => println!("{error}: {}", error.hint()),
//!     Err(error) => println!("{:?}: {error}", error.blame()),
//! }
//! # }
//! ```
//!
//! * A 401 or 403 of an **account** endpoint says that the account cannot be read, not that the key is dead:
//!   [`Error::is_forbidden`](error::Error::is_forbidden). [`Chutes::key_standing`] finds out which.
//! * A 400 to 422 about something that the caller gave is the caller's; about anything else it is this crate's.
//! * A 200 is no success by itself: an error inside it is an error here.
//!
//! # Every endpoint
//!
//! `-` sent without a key, even if there is one: most keys are refused where none is needed (recordings, D12).
//! `K` any key. `A` a key that may read the account, which so far means an admin key or an OAuth token (D13, D15).
//!
//! | endpoint | method | key |
//! |---|---|---|
//! | `GET /users/me` | [`Chutes::me`] | A |
//! | `GET /users/me/quotas` | [`Chutes::quotas`] | A |
//! | `GET /users/me/quota_usage/…` | [`Chutes::quota_usage`], [`Chutes::quota_usage_of`] | A |
//! | `GET /users/me/subscription_usage` | [`Chutes::subscription_usage`] | A |
//! | `GET /users/me/discounts`, `…/price_overrides` | [`Chutes::discounts`], [`Chutes::price_overrides`] | A |
//! | `GET /users/me/usage` | [`Chutes::usage`], [`Chutes::usage_history`] | A |
//! | `GET /users/me/shares` | [`Chutes::shares`] | A |
//! | `/api_keys/` | [`Chutes::api_keys`], [`Chutes::api_key`], [`Chutes::create_api_key`], [`Chutes::delete_api_key`] | A |
//! | `/model_aliases/` | [`Chutes::model_aliases`], [`Chutes::put_model_alias`], [`Chutes::delete_model_alias`] | A |
//! | `GET /users/name_check`, `…/login/nonce` | [`Chutes::name_check`], [`Chutes::login_nonce`] | - |
//! | `GET /v1/models` | [`Chutes::models`], [`Chutes::openrouter_models`]; [`Chutes::models_with_key`] | -; K |
//! | `GET /chutes/`, `/chutes/{id_or_name}` | [`Chutes::chutes`], [`Chutes::chute`] | - |
//! | `GET /chutes/utilization` | [`Chutes::utilization`] | - |
//! | `GET /chutes/code/{id}` | [`Chutes::chute_code`] | - |
//! | `GET /chutes/boosted`, `…/affine_available`, `…/rolling_updates`, `…/gpu_count_history`, `…/miner_means/{id}.json` | [`Chutes::boosted_chutes`], [`Chutes::affine_chutes`], [`Chutes::rolling_updates`], [`Chutes::gpu_counts`], [`Chutes::miner_means`] | - |
//! | `GET /chutes/warmup/{id_or_name}` (**side effects**) | [`Chutes::warm_up_raising_a_bounty`], [`Chutes::quick_warm_up_raising_a_bounty`] | K |
//! | `GET /chutes/{id_or_name}/evidence` | [`Chutes::evidence`] | - |
//! | `GET /instances/{id}/evidence` | [`Chutes::instance_evidence`] | K |
//! | `GET /e2e/instances/{chute_id}` | [`Chutes::key_exchange`] | K |
//! | `GET /invocations/stats/llm`, `…/diffusion` | [`Chutes::llm_statistics`], [`Chutes::diffusion_statistics`] | - |
//! | `GET /invocations/usage` | [`Chutes::platform_usage`] | - |
//! | `GET /invocations/exports/…` | [`Chutes::invocation_export`], [`Chutes::recent_invocations`] | - |
//! | `GET /pricing`, `/fmv` | [`Chutes::pricing`], [`Chutes::currency_prices`] | - |
//! | `GET /payments`, `/payments/summary/tao`, `/daily_revenue_summary` | [`Chutes::payments`], [`Chutes::tao_payments`], [`Chutes::daily_revenue`] | - |
//! | `GET /users/growth`, `/bounties/` | [`Chutes::user_growth`], [`Chutes::bounties`] | - |
//! | `GET /ping` | [`Chutes::ping`] | - |
//! | `GET /.well-known/openid-configuration` | [`Chutes::oauth_discovery`] | - |
//! | `POST /idp/token`, `…/revoke`, `…/introspect` | [`Chutes::exchange_code`], [`Chutes::refresh_tokens`], [`Chutes::revoke_token`], [`Chutes::introspect_token`] | - |
//! | `GET /idp/userinfo` | [`Chutes::userinfo`] | K |
//! | `POST /v1/chat/completions` (**paid**) | [`Chutes::chat`], [`Chutes::chat_stream`] | K |
//! | `POST /v1/completions` (**paid**) | [`Chutes::completion`], [`Chutes::completion_stream`] | K |
//! | `POST /tokenize`, `/detokenize` (**paid**) | [`Chutes::tokenize`], [`Chutes::detokenize`] | K |
//! | `POST /v1/embeddings` (**paid**) | [`Chutes::embeddings`] | K |
//!
//! Left out: what only administrators or miners may call, what changes an account beyond its keys and aliases,
//! signatures of wallets in place of a key, images, and the encryption that [`Chutes::key_exchange`] is for.
//!
//! # Where the facts are from
//!
//! Chutes publishes no stable description of its API. "api.md 2.3" names a section of the project's reference of it,
//! "recordings, D17" and "recording 263" answers of the server's own public code. The deployed service may be ahead.
//!
//! [`Chutes::key_standing`]: chutes::Chutes::key_standing
//! [`Chutes::affine_chutes`]: chutes::Chutes::affine_chutes
//! [`Chutes::api_key`]: chutes::Chutes::api_key
//! [`Chutes::api_keys`]: chutes::Chutes::api_keys
//! [`Chutes::boosted_chutes`]: chutes::Chutes::boosted_chutes
//! [`Chutes::bounties`]: chutes::Chutes::bounties
//! [`Chutes::chat`]: chutes::Chutes::chat
//! [`Chutes::chat_stream`]: chutes::Chutes::chat_stream
//! [`Chutes::chute`]: chutes::Chutes::chute
//! [`Chutes::chute_code`]: chutes::Chutes::chute_code
//! [`Chutes::chutes`]: chutes::Chutes::chutes
//! [`Chutes::completion`]: chutes::Chutes::completion
//! [`Chutes::completion_stream`]: chutes::Chutes::completion_stream
//! [`Chutes::create_api_key`]: chutes::Chutes::create_api_key
//! [`Chutes::currency_prices`]: chutes::Chutes::currency_prices
//! [`Chutes::daily_revenue`]: chutes::Chutes::daily_revenue
//! [`Chutes::delete_api_key`]: chutes::Chutes::delete_api_key
//! [`Chutes::delete_model_alias`]: chutes::Chutes::delete_model_alias
//! [`Chutes::detokenize`]: chutes::Chutes::detokenize
//! [`Chutes::diffusion_statistics`]: chutes::Chutes::diffusion_statistics
//! [`Chutes::discounts`]: chutes::Chutes::discounts
//! [`Chutes::embeddings`]: chutes::Chutes::embeddings
//! [`Chutes::evidence`]: chutes::Chutes::evidence
//! [`Chutes::exchange_code`]: chutes::Chutes::exchange_code
//! [`Chutes::gpu_counts`]: chutes::Chutes::gpu_counts
//! [`Chutes::instance_evidence`]: chutes::Chutes::instance_evidence
//! [`Chutes::introspect_token`]: chutes::Chutes::introspect_token
//! [`Chutes::invocation_export`]: chutes::Chutes::invocation_export
//! [`Chutes::key_exchange`]: chutes::Chutes::key_exchange
//! [`Chutes::llm_statistics`]: chutes::Chutes::llm_statistics
//! [`Chutes::login_nonce`]: chutes::Chutes::login_nonce
//! [`Chutes::me`]: chutes::Chutes::me
//! [`Chutes::miner_means`]: chutes::Chutes::miner_means
//! [`Chutes::model_aliases`]: chutes::Chutes::model_aliases
//! [`Chutes::models`]: chutes::Chutes::models
//! [`Chutes::models_with_key`]: chutes::Chutes::models_with_key
//! [`Chutes::name_check`]: chutes::Chutes::name_check
//! [`Chutes::oauth_discovery`]: chutes::Chutes::oauth_discovery
//! [`Chutes::openrouter_models`]: chutes::Chutes::openrouter_models
//! [`Chutes::payments`]: chutes::Chutes::payments
//! [`Chutes::ping`]: chutes::Chutes::ping
//! [`Chutes::platform_usage`]: chutes::Chutes::platform_usage
//! [`Chutes::price_overrides`]: chutes::Chutes::price_overrides
//! [`Chutes::pricing`]: chutes::Chutes::pricing
//! [`Chutes::put_model_alias`]: chutes::Chutes::put_model_alias
//! [`Chutes::quick_warm_up_raising_a_bounty`]: chutes::Chutes::quick_warm_up_raising_a_bounty
//! [`Chutes::quota_usage`]: chutes::Chutes::quota_usage
//! [`Chutes::quota_usage_of`]: chutes::Chutes::quota_usage_of
//! [`Chutes::quotas`]: chutes::Chutes::quotas
//! [`Chutes::recent_invocations`]: chutes::Chutes::recent_invocations
//! [`Chutes::refresh_tokens`]: chutes::Chutes::refresh_tokens
//! [`Chutes::revoke_token`]: chutes::Chutes::revoke_token
//! [`Chutes::rolling_updates`]: chutes::Chutes::rolling_updates
//! [`Chutes::shares`]: chutes::Chutes::shares
//! [`Chutes::subscription_usage`]: chutes::Chutes::subscription_usage
//! [`Chutes::tao_payments`]: chutes::Chutes::tao_payments
//! [`Chutes::tokenize`]: chutes::Chutes::tokenize
//! [`Chutes::usage`]: chutes::Chutes::usage
//! [`Chutes::usage_history`]: chutes::Chutes::usage_history
//! [`Chutes::user_growth`]: chutes::Chutes::user_growth
//! [`Chutes::userinfo`]: chutes::Chutes::userinfo
//! [`Chutes::utilization`]: chutes::Chutes::utilization
//! [`Chutes::warm_up_raising_a_bounty`]: chutes::Chutes::warm_up_raising_a_bounty
#![warn(missing_docs)]

pub mod chutes;
pub mod classify;
pub mod clock;
pub mod endpoints;
pub mod error;
pub mod key;
mod model_evidence;
pub mod oauth;
pub mod snapshot;
pub mod terms;
pub mod transport;

pub use model_evidence::model_evidence;

/// The examples of the README are compiled like all others.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
