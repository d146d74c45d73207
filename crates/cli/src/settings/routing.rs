//! `[routing]`: where requests may go, and what may be done to get them there.

use ripcord_gateway::{RoutingConfig, Share, Trim};
use serde_json::{Value as Json, json};

use super::document::{Section, Value, read};
use super::listing::{Listed, listed};
use super::origin::Sourced;

/// `[routing]`, for every request that says nothing else.
#[derive(Debug, Clone)]
pub(crate) struct RoutingSettings {
    /// Whether a request may be sent without a part of its context.
    pub(crate) trim: Sourced<Trim>,
}

// === impl RoutingSettings ===

impl RoutingSettings {
    /// Reads the section.
    pub(super) fn read(&mut self, section: &mut Section<'_>) {
        section.read("trim", &mut self.trim, trim);
    }

    /// Every setting with its name.
    pub(super) fn listing(&self) -> Vec<Listed> {
        vec![listed("routing.trim", &self.trim, |trim| trim_value(*trim))]
    }

    /// As the gateway takes it.
    pub(crate) fn config(&self) -> RoutingConfig {
        RoutingConfig { trim: self.trim.value, ..RoutingConfig::default() }
    }
}

/// `"off"`, or a share from `"30%"` to `"50%"`.
fn trim(value: &Value<'_>) -> Result<Trim, String> {
    let text = read::text(value)?;
    if text == "off" {
        return Ok(Trim::Off);
    }
    Share::read(&text)
        .map(Trim::Share)
        .ok_or_else(|| "expected \"off\", or a share from \"30%\" to \"50%\"".to_owned())
}

fn trim_value(trim: Trim) -> Json {
    match trim {
        Trim::Off => json!("off"),
        Trim::Share(share) => json!(share.to_string()),
    }
}
