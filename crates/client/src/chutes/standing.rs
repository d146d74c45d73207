//! Whether a key is dead or only may not do everything.

use ripcord_rules::cause::Cause;

use super::Chutes;
use crate::error::Error;
use crate::key::KeyForm;

/// What a key is good for, as far as Chutes tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyStanding {
    /// Chutes does not know it: unknown, deleted, expired or revoked. A `cpk_` key that may neither call models nor
    /// read the account gets the very same answers (api.md 1.3), and is of as little use here.
    Dead,
    /// Chutes knows it.
    Alive {
        /// Whether it may call models.
        calls_models: bool,
        /// Whether it may read quota, caps and balance. Without this they are unknown, not used up.
        reads_account: bool,
    },
}

impl Chutes {
    /// Finds out what the key is good for, in two or three free calls.
    ///
    /// A 401 or 403 of the account endpoints alone says little: most keys may call models and not read the account
    /// (api.md 1.4; recordings, D13). So the list of models is asked with the key. For an OAuth token that would prove
    /// nothing, since a dead one counts as no key at all there and gets the list (recordings, D11); it is shown to
    /// `/idp/userinfo` first, which knows dead (401) from unprivileged (403).
    ///
    /// ```no_run
    /// # async fn example(chutes: ripcord_client::chutes::Chutes) -> Result<(), ripcord_client::error::Error> {
    /// use ripcord_client::chutes::KeyStanding;
    ///
    /// match chutes.key_standing().await? {
    ///     KeyStanding::Dead => println!("put another key in its place"),
    ///     KeyStanding::Alive { calls_models: false, .. } => println!("no model calls with this one"),
    ///     KeyStanding::Alive { reads_account: false, .. } => println!("works; quota unknown"),
    ///     KeyStanding::Alive { .. } => println!("works, and its quota can be read"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Where a call failed for another reason than the key: then nothing is known. [`ErrorKind::NoKey`] without one.
    ///
    /// [`ErrorKind::NoKey`]: crate::error::ErrorKind::NoKey
    pub async fn key_standing(&self) -> Result<KeyStanding, Error> {
        let mut is_known = false;
        if self.key().is_some_and(|key| key.form() == KeyForm::OAuth) {
            match self.userinfo().await {
                Ok(_) => is_known = true,
                Err(error) if error.cause() == Some(Cause::NotEntitled) => is_known = true,
                Err(error) if error.cause() == Some(Cause::DeadKey) => {
                    return Ok(KeyStanding::Dead);
                }
                Err(error) => return Err(error),
            }
        }
        let refused = |error: &Error| {
            matches!(
                error.cause(),
                Some(Cause::DeadKey | Cause::NotEntitled | Cause::AccountUnreadable)
            )
        };
        let calls_models = match self.models_with_key().await {
            Ok(_) => true,
            Err(error) if refused(&error) => {
                is_known |= error.cause() == Some(Cause::NotEntitled);
                false
            }
            Err(error) => return Err(error),
        };
        let reads_account = match self.quota_usage().await {
            Ok(_) => true,
            Err(error) if refused(&error) => false,
            Err(error) => return Err(error),
        };
        if is_known || calls_models || reads_account {
            Ok(KeyStanding::Alive { calls_models, reads_account })
        } else {
            Ok(KeyStanding::Dead)
        }
    }
}
