//! Programs that write or review code.

use super::troubles::{CONTAINER, GATEWAY};
use super::{Direct, Recipe, Step, Trouble, Works};

pub(super) const OPENCODE: Recipe = Recipe {
    name: "opencode",
    aliases: &["open-code"],
    title: "opencode",
    what: "a coding agent for the terminal",
    works: Works::Yes,
    steps: &[
        Step::Write {
            place: "in opencode.json of the project, or in ~/.config/opencode/opencode.json for all",
            language: "json",
            text: r#"{
  "$schema": "https://opencode.ai/config.json",
  "provider": {
    "ripcord": {
      "npm": "@ai-sdk/openai-compatible",
      "name": "Chutes through Ripcord",
      "options": { "baseURL": "{{base}}", "apiKey": "{{key}}" },
      "models": { "{{model}}": {} }
    }
  },
  "model": "ripcord/{{model}}"
}"#,
        },
        Step::Say(
            "Each model that you want to choose needs its line below `models`: opencode does not ask the gateway for the list. \
             `opencode models` shows what it knows.",
        ),
    ],
    direct: Direct::Same,
    troubles: &[
        Trouble {
            seen: "the model is not in the list, or an old one is",
            fix: "opencode's own entry for Chutes lags behind; use this provider and write the exact name below `models`",
        },
        Trouble {
            seen: "context length errors in a long session",
            fix: "tell opencode how much the model takes: \"limit\": { \"context\": 40960, \"output\": 8192 } in its line (figures: \
                  `ripcord models`)",
        },
    ],
    shared_troubles: &[GATEWAY],
    tried: "Run by hand with opencode 1.18.33 before Ripcord and the emulator: `opencode models` and one `opencode run`.",
};

pub(super) const AIDER: Recipe = Recipe {
    name: "aider",
    aliases: &[],
    title: "aider",
    what: "pair programming in the terminal",
    works: Works::Yes,
    steps: &[
        Step::Write {
            place: "in a shell",
            language: "sh",
            text: r"export OPENAI_API_BASE={{base}}
export OPENAI_API_KEY={{key}}
aider --model openai/{{model}}",
        },
        Step::Write {
            place: "or for good, in .aider.conf.yml of the project or of your home directory",
            language: "yaml",
            text: r"openai-api-base: {{base}}
openai-api-key: {{key}}
model: openai/{{model}}",
        },
    ],
    direct: Direct::Same,
    troubles: &[
        Trouble {
            seen: "LLM Provider NOT provided",
            fix: "the model's name lacks `openai/` in front, aider's word for \"a server that speaks like OpenAI\"",
        },
        Trouble {
            seen: "a warning about an unknown context window and unknown costs",
            fix: "harmless: aider does not know the model's figures. `--no-show-model-warnings` silences it",
        },
    ],
    shared_troubles: &[GATEWAY],
    tried: "Run by hand with aider 0.86.2 before Ripcord and the emulator: one message, streamed.",
};

/// A translator, for clients that speak what the gateway does not serve yet.
const TRANSLATOR: Step = Step::Write {
    place: "in litellm.yaml: a translator, LiteLLM, between the two",
    language: "yaml",
    text: r"model_list:
  - model_name: chutes
    litellm_params:
      model: hosted_vllm/{{model}}
      api_base: {{base}}
      api_key: {{key}}
      use_chat_completions_api: true",
};

const START_TRANSLATOR: Step = Step::Write {
    place: "in a shell, beside `ripcord serve`",
    language: "sh",
    text: r"pip install 'litellm[proxy]'
export LITELLM_MASTER_KEY=sk-$(openssl rand -hex 32)
litellm --config litellm.yaml --host 127.0.0.1 --port 4000",
};

const TRANSLATOR_TROUBLES: &[Trouble] = &[
    Trouble {
        seen: "404: /v1/responses is not served, said through LiteLLM",
        fix: "`openai/` instead of `hosted_vllm/` stands before the model, or `use_chat_completions_api: true` is missing",
    },
    Trouble {
        seen: "No deployments available … in cooldown",
        fix: "LiteLLM hides the error before it; its log has it",
    },
];

pub(super) const CLAUDE_CODE: Recipe = Recipe {
    name: "claude-code",
    aliases: &["claude"],
    title: "Claude Code",
    what: "Anthropic's coding agent",
    works: Works::WithTranslator,
    steps: &[
        Step::Say(
            "Claude Code speaks Anthropic's protocol (/v1/messages), which Ripcord does not serve yet. What works today is a translator \
             between the two.",
        ),
        TRANSLATOR,
        START_TRANSLATOR,
        Step::Write {
            place: "where Claude Code runs, with the same LITELLM_MASTER_KEY",
            language: "sh",
            text: r"export ANTHROPIC_BASE_URL=http://127.0.0.1:4000
export ANTHROPIC_AUTH_TOKEN=$LITELLM_MASTER_KEY
export ANTHROPIC_MODEL=chutes ANTHROPIC_DEFAULT_HAIKU_MODEL=chutes
claude",
        },
        Step::Say(
            "Take a model with tools and a long context: the agent's own instructions fill much of a short one.",
        ),
    ],
    direct: Direct::Steps(&[
        Step::Say(
            "Chutes runs a translator of its own at https://claude.chutes.ai (github.com/chutesai/claude-proxy). Its description says how; \
             it was not tried here. Nothing of it goes through Ripcord: no queue, no guard of the balance.",
        ),
        Step::Write {
            place: "in a shell",
            language: "sh",
            text: r"export ANTHROPIC_BASE_URL=https://claude.chutes.ai
export ANTHROPIC_AUTH_TOKEN=$CHUTES_API_KEY
export ANTHROPIC_MODEL={{model}} ANTHROPIC_DEFAULT_HAIKU_MODEL={{model}}
claude",
        },
    ]),
    troubles: &[Trouble {
        seen: "There's an issue with the selected model",
        fix: "ANTHROPIC_MODEL must be a `model_name` of litellm.yaml, and so must ANTHROPIC_DEFAULT_HAIKU_MODEL, which Claude Code uses for \
              small things; or the translator refused: look into its log",
    }],
    shared_troubles: &[TRANSLATOR_TROUBLES, GATEWAY],
    tried: "Run by hand with Claude Code 2.1.197, LiteLLM 1.106.2, Ripcord and the emulator: one prompt with `claude -p`. Tools were not tried.",
};

pub(super) const CODEX: Recipe = Recipe {
    name: "codex",
    aliases: &["codex-cli", "openai-codex"],
    title: "Codex",
    what: "OpenAI's coding agent",
    works: Works::WithTranslator,
    steps: &[
        Step::Say(
            "Codex speaks only OpenAI's Responses API (/v1/responses; it refuses `wire_api = \"chat\"`), which Ripcord does not serve yet. \
             What works today is a translator between the two.",
        ),
        TRANSLATOR,
        START_TRANSLATOR,
        Step::Write {
            place: "in ~/.codex/config.toml",
            language: "toml",
            text: r#"model = "chutes"
model_provider = "litellm"

[model_providers.litellm]
name = "LiteLLM"
base_url = "http://127.0.0.1:4000/v1"
env_key = "LITELLM_MASTER_KEY"
wire_api = "responses""#,
        },
        Step::Say(
            "Start `codex` where LITELLM_MASTER_KEY is set. Take a model with tools and a long context.",
        ),
    ],
    direct: Direct::No(
        "Chutes serves no /v1/responses that Ripcord knows of, and Codex speaks nothing else; `ripcord config client codex` shows the way \
         with a translator",
    ),
    troubles: &[
        Trouble {
            seen: "`wire_api = \"chat\"` is no longer supported",
            fix: "Codex itself says so: that way is closed",
        },
        Trouble {
            seen: "a warning that model metadata for `chutes` was not found",
            fix: "harmless: Codex does not know the model's figures",
        },
    ],
    shared_troubles: &[TRANSLATOR_TROUBLES, GATEWAY],
    tried: "Run by hand with Codex 0.169.0, LiteLLM 1.106.2, Ripcord and the emulator: one prompt with `codex exec`. Tools were not tried.",
};

pub(super) const KODUS: Recipe = Recipe {
    name: "kodus",
    aliases: &["kody", "kodus-ai"],
    title: "Kodus",
    what: "reviews of pull requests, on your own server",
    works: Works::Yes,
    steps: &[
        Step::Write {
            place: "in the .env of your Kodus server; then restart its containers",
            language: "sh",
            text: r#"API_LLM_PROVIDER_MODEL="{{model}}"
API_OPENAI_FORCE_BASE_URL="{{base}}"
API_OPEN_AI_API_KEY="{{key}}""#,
        },
        Step::Say(
            "Kodus runs in containers, and Ripcord listens on this machine only: the containers need the network of the host \
             (`network_mode: host`, Linux). Kodus' own cloud cannot reach your machine; there use Chutes itself.",
        ),
    ],
    direct: Direct::Steps(&[
        Step::Write {
            place: "in the .env of your Kodus server; then restart its containers",
            language: "sh",
            text: r#"API_LLM_PROVIDER_MODEL="{{model}}"
API_OPENAI_FORCE_BASE_URL="{{base}}"
API_OPEN_AI_API_KEY="{{key}}""#,
        },
        Step::Say(
            "In Kodus' cloud: the page BYOK of your organization, configured by hand with an OpenAI-compatible provider, the base URL \
             {{base}}, your key and the model.",
        ),
    ]),
    troubles: &[Trouble {
        seen: "another provider is called than yours",
        fix: "Kodus guesses the provider from model names that begin with `claude-` or `gemini-`; names of Chutes do not",
    }],
    shared_troubles: &[CONTAINER, GATEWAY],
    tried: "As of Kodus' source and documentation in 2026; not run here.",
};
