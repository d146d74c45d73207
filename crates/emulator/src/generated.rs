//! A catalogue of any size: families as they are on offer, each with its confidential and quantised
//! variants, with prices, contexts, features and states that fit together.

use serde::{Deserialize, Serialize};

use crate::{
    ids,
    specs::{ModelSpec, StateSpec, Template},
};

/// How a catalogue is to be made up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Catalogue {
    /// How many models are made up, behind those given one by one.
    pub generated: usize,
    /// Their seed; the scenario's without it.
    pub seed: Option<u64>,
    /// The share of cold models, 0 to 1.
    pub cold_share: f64,
    /// The share of busy models, 0 to 1.
    pub busy_share: f64,
    /// The share of models that are switched off, 0 to 1.
    pub disabled_share: f64,
}

impl Default for Catalogue {
    fn default() -> Self {
        Self { generated: 0, seed: None, cold_share: 0.35, busy_share: 0.08, disabled_share: 0.02 }
    }
}

/// What makes a family of models.
struct Family {
    owner: &'static str,
    name: &'static str,
    /// Total parameters in billions, smallest first.
    sizes: &'static [u32],
    context: u64,
    reasons: bool,
    sees: bool,
}

const fn family(
    owner: &'static str,
    name: &'static str,
    sizes: &'static [u32],
    context: u64,
    reasons: bool,
    sees: bool,
) -> Family {
    Family { owner, name, sizes, context, reasons, sees }
}

const FAMILIES: [Family; 16] = [
    family("zai-org", "GLM", &[355, 106, 32, 9], 202_752, true, false),
    family("deepseek-ai", "DeepSeek-V", &[685, 671, 236], 163_840, true, false),
    family("Qwen", "Qwen3", &[480, 235, 80, 32, 14, 8, 4], 262_144, true, false),
    family("Qwen", "Qwen3-Coder", &[480, 80, 30], 262_144, false, false),
    family("Qwen", "Qwen3-VL", &[235, 32, 8], 262_144, true, true),
    family("moonshotai", "Kimi-K", &[1000, 48], 262_144, true, true),
    family("openai", "gpt-oss", &[120, 20], 131_072, true, false),
    family("MiniMaxAI", "MiniMax-M", &[456, 230], 196_608, true, false),
    family("unsloth", "gemma", &[27, 12, 4], 128_000, false, true),
    family("NousResearch", "Hermes", &[405, 70, 36, 14], 40_960, true, false),
    family("mistralai", "Mistral-Small", &[24], 128_000, false, true),
    family("mistralai", "Devstral", &[123, 24], 262_144, false, false),
    family("meta-llama", "Llama", &[405, 109, 70, 8], 131_072, false, false),
    family("nvidia", "Nemotron", &[253, 49, 30], 131_072, true, false),
    family("XiaomiMiMo", "MiMo-V", &[309, 7], 262_144, true, false),
    family("tngtech", "TNG-Chimera", &[671], 163_840, true, false),
];
/// How variants of one size are called, and the quantisation that goes with it.
const VARIANTS: [(&str, &str); 6] = [
    ("-TEE", "fp8"),
    ("", "bf16"),
    ("-FP8", "fp8"),
    ("-INT4", "int4"),
    ("-AWQ", "int4"),
    ("-NVFP4", "fp4"),
];

impl Catalogue {
    /// The models, most used first. The first of them do not depend on how many are asked for.
    #[must_use]
    pub fn models(&self, scenario_seed: u64) -> Vec<ModelSpec> {
        let seed = self.seed.unwrap_or(scenario_seed);
        (0..self.generated).map(|at| self.model(seed, at)).collect()
    }

    fn model(&self, seed: u64, at: usize) -> ModelSpec {
        // Variants first, then families, sizes and at last versions, so that any size of catalogue
        // is mixed.
        let (variant, rest) = (at % VARIANTS.len(), at / VARIANTS.len());
        let (family, rest) = (&FAMILIES[rest % FAMILIES.len()], rest / FAMILIES.len());
        let (size, version) = (family.sizes[rest % family.sizes.len()], rest / family.sizes.len());
        let (suffix, quantization) = VARIANTS[variant];
        let name = format!(
            "{}/{}-{}.{}-{size}B{suffix}",
            family.owner,
            family.name,
            1 + version / 10,
            version % 10
        );
        let share = |what: &str| ids::share(seed, &format!("{name}/{what}"));
        // Larger models cost more and are slower; the prices of one size differ by half.
        let billions = f64::from(size);
        let price_in = hundredths((0.01 + billions * 0.0011) * (0.75 + share("price") / 2.0));
        let price_out = hundredths(price_in * (2.5 + 2.0 * share("output")));
        let tee = suffix == "-TEE";
        let mut features = vec!["json_mode".to_owned(), "structured_outputs".to_owned()];
        if size >= 8 {
            features.push("tools".to_owned());
        }
        if family.reasons {
            features.push("reasoning".to_owned());
        }
        let mut modalities = vec!["text".to_owned()];
        if family.sees {
            modalities.push("image".to_owned());
        }
        let state = self.state(share("state"));
        let tokens_per_second =
            hundredths((260.0 / (1.0 + billions / 90.0)) * (0.6 + share("tps")));
        ModelSpec {
            template: Template::Vllm,
            tee,
            state,
            busy_share: hundredths(0.1 + 0.6 * share("busy")),
            context_length: family.context >> (version % 3),
            max_output_length: 65_536,
            quantization: quantization.to_owned(),
            features,
            input_modalities: modalities,
            instances: 1 + u32::try_from(ids::draw(seed, &name, 12)).unwrap_or(0),
            average_ttft_seconds: Some(hundredths(0.1 + billions / 600.0 + share("ttft"))),
            average_tokens_per_second: Some(tokens_per_second),
            utilization: (state == StateSpec::Hot).then(|| hundredths(share("load") * 0.9)),
            ..ModelSpec::new(&name).price(price_in, price_out, hundredths(price_in / 2.0))
        }
    }

    fn state(&self, share: f64) -> StateSpec {
        let mut bound = self.cold_share;
        if share < bound {
            return StateSpec::Cold;
        }
        bound += self.busy_share;
        if share < bound {
            return StateSpec::Busy;
        }
        bound += self.disabled_share;
        if share < bound { StateSpec::Disabled } else { StateSpec::Hot }
    }
}

fn hundredths(value: f64) -> f64 {
    (value * 100.0).round().max(1.0) / 100.0
}
