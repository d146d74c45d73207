//! Arguments of `watch`.

use clap::Args;

#[derive(Args, Debug, Default)]
pub(crate) struct WatchArguments {
    /// Watch this model, too, beside those of `[models] watch` in the configuration
    #[arg(long, value_name = "MODEL", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) model: Vec<String>,

    /// Look every so many seconds instead of every `chutes.refresh_seconds`; no account is asked more often
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, value_parser = super::number::<10, 86_400>)]
    pub(crate) interval: Option<u64>,

    /// Look once: tell what is wrong now, and end
    #[arg(long, conflicts_with = "gateway")]
    pub(crate) once: bool,

    /// Follow the gateway that runs at `gateway.listen` instead of asking Chutes: it knows sooner
    #[arg(long, conflicts_with_all = ["interval", "model"])]
    pub(crate) gateway: bool,

    /// Run the hooks of the configuration. `ripcord serve` runs them always, so leave this away where it runs
    #[arg(long)]
    pub(crate) hooks: bool,

    /// Send one test event to this hook, say what came back, and end: exit 0 if the hook took it, 1 if not
    #[arg(long, value_name = "NAME", conflicts_with_all = ["model", "interval", "once", "gateway", "hooks"])]
    pub(crate) test_hook: Option<String>,
}
