//! Which models a request's `model` text stands for: exact names, renamed ones, and lists.

use crate::{
    inference::{Host, Incoming},
    specs::{StateSpec, Template},
    world::State,
};

/// Plain names that the service serves from their confidential twins.
const RENAMED: &[&str] = &[
    "deepseek-ai/DeepSeek-V3-0324",
    "deepseek-ai/DeepSeek-V3.1",
    "deepseek-ai/DeepSeek-V3.1-Terminus",
    "deepseek-ai/DeepSeek-V3.2",
    "deepseek-ai/DeepSeek-R1",
    "deepseek-ai/DeepSeek-R1-0528",
    "zai-org/GLM-4.5",
    "zai-org/GLM-4.6",
    "zai-org/GLM-4.7",
    "moonshotai/Kimi-K2-Thinking",
    "openai/gpt-oss-120b",
    "Qwen/Qwen3-235B-A22B-Instruct-2507",
    "Qwen/Qwen3-Coder-480B-A35B-Instruct-FP8",
    "Qwen/Qwen3-32B",
];

/// How a list is to be ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    AsGiven,
    Latency,
    Throughput,
}

/// The models to try, in order. An exact name comes before anything its text could also mean, and
/// an account's own alias after it.
pub(crate) fn candidates(
    state: &State,
    incoming: &Incoming,
    text: &str,
    account: usize,
) -> Vec<usize> {
    let find = |name: &str| find(state, incoming, name, account);
    if let Some(found) = find(text) {
        return vec![found];
    }
    let text = text.strip_suffix(":THINKING").unwrap_or(text);
    let renamed = new_name(text);
    if let Some(found) = find(text).or_else(|| find(renamed.as_deref()?)) {
        return vec![found];
    }
    let (text, order) = ordered(text);
    let aliases = &state.accounts[account].aliases;
    let expanded = |name: &str| -> Vec<usize> {
        let known = name.to_lowercase();
        match aliases.iter().find(|alias| alias.alias == known) {
            Some(alias) => alias.members.iter().filter_map(|member| find(member)).collect(),
            None => find(name).into_iter().collect(),
        }
    };
    let is_list =
        text.contains(',') || aliases.iter().any(|alias| alias.alias == text.to_lowercase());
    if !is_list {
        return find(text).into_iter().collect();
    }
    let model = |at: &usize| &state.models[*at];
    let mut members: Vec<usize> = text
        .split(',')
        .flat_map(|name| expanded(name.trim()))
        // Whatever has no instance is dropped without a word.
        .filter(|at| model(at).spec.state == StateSpec::Disabled || model(at).is_hot())
        .collect();
    // A full one is passed over, unless all are.
    let has_room = |at: &usize| {
        let model = model(at);
        model.spec.max_at_once.is_none_or(|most| model.in_flight < most)
    };
    if members.iter().any(has_room) {
        members.retain(has_room);
    }
    let seed = state.seed;
    match order {
        Order::AsGiven => {}
        Order::Latency => {
            let ttft = |at: &usize| model(at).spec.measured_ttft_seconds(seed);
            members.sort_by(|one, other| ttft(one).total_cmp(&ttft(other)));
        }
        Order::Throughput => {
            let tps = |at: &usize| model(at).spec.measured_tokens_per_second(seed);
            members.sort_by(|one, other| tps(other).total_cmp(&tps(one)));
        }
    }
    members
}

/// The name under which the service serves an older one.
fn new_name(text: &str) -> Option<String> {
    if RENAMED.contains(&text) {
        return Some(format!("{text}-TEE"));
    }
    if text == "zai-org/GLM-5-Turbo" {
        return Some("zai-org/GLM-5-TEE".to_owned());
    }
    text.strip_prefix("THUDM/").map(|rest| format!("zai-org/{rest}"))
}

fn ordered(text: &str) -> (&str, Order) {
    if let Some((before, suffix)) = text.rsplit_once(':') {
        if suffix.eq_ignore_ascii_case("latency") {
            return (before, Order::Latency);
        }
        if suffix.eq_ignore_ascii_case("throughput") {
            return (before, Order::Throughput);
        }
    }
    (text, Order::AsGiven)
}

fn find(state: &State, incoming: &Incoming, name: &str, account: usize) -> Option<usize> {
    let template = match incoming.host {
        Host::Embed => Template::Embedding,
        Host::Image => Template::Diffusion,
        Host::Llm => Template::Vllm,
        _ if incoming.path == "/generate" => Template::Diffusion,
        _ if incoming.path == "/v1/embeddings" => Template::Embedding,
        _ => Template::Vllm,
    };
    let found = state.find_model(name)?;
    let spec = &state.models[found].spec;
    let owner = &state.accounts[account].spec.name;
    let visible = spec.private_to.as_ref().is_none_or(|private_to| private_to == owner);
    // On a bare address the path alone says which host was meant: let the cord check refuse.
    let fits = spec.template == template
        || (incoming.host == Host::Other && template == Template::Embedding);
    (visible && fits).then_some(found)
}
