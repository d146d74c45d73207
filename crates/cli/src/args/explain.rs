//! Arguments of `explain`.

use clap::Args;

use super::number;

#[derive(Args, Debug, Default)]
#[command(
    after_help = super::examples::EXPLAIN
)]
pub(crate) struct ExplainArguments {
    /// The id that the gateway gave the request, as in its header `x-ripcord-request-id`, or the beginning of one. Without
    /// it, the newest requests with their ids
    #[arg(value_name = "REQUEST_ID", conflicts_with = "last", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) request_id: Option<String>,

    /// The story of the newest request, or of the N newest
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "1", allow_negative_numbers = true,
        value_parser = number::<1, 100>)]
    pub(crate) last: Option<u64>,
}
