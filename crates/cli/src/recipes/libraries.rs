//! Programs and libraries that send requests.

use super::troubles::GATEWAY;
use super::{Direct, Recipe, Step, Trouble, Works};

pub(super) const CURL: Recipe = Recipe {
    name: "curl",
    aliases: &["http"],
    title: "curl",
    what: "one request from the shell; the first thing to try",
    works: Works::Yes,
    steps: &[
        Step::Write {
            place: "in a shell",
            language: "sh",
            text: r#"curl {{base}}/chat/completions \
  -H 'Content-Type: application/json' \
  -d '{"model": "{{model}}", "messages": [{"role": "user", "content": "Hello"}]}'"#,
        },
        Step::Say(
            "With `-N` and `\"stream\": true` the answer comes as it is written. No key is needed.",
        ),
    ],
    direct: Direct::Steps(&[
        Step::Say(
            "The key comes from the environment, so that it stays out of the shell's history.",
        ),
        Step::Write {
            place: "in a shell",
            language: "sh",
            text: r#"curl {{base}}/chat/completions \
  -H 'Content-Type: application/json' \
  -H "Authorization: Bearer $CHUTES_API_KEY" \
  -d '{"model": "{{model}}", "messages": [{"role": "user", "content": "Hello"}]}'"#,
        },
    ]),
    troubles: &[Trouble {
        seen: "415 unsupported_content_type",
        fix: "the header `Content-Type: application/json` is missing",
    }],
    shared_troubles: &[GATEWAY],
    tried: "The command is run by Ripcord's own tests.",
};

pub(super) const OPENAI_PYTHON: Recipe = Recipe {
    name: "openai-python",
    aliases: &["python", "openai", "openai-sdk"],
    title: "OpenAI SDK for Python",
    what: "the library `openai`",
    works: Works::Yes,
    steps: &[
        Step::Write {
            place: "in your program, after `pip install openai`",
            language: "python",
            text: r#"from openai import OpenAI

client = OpenAI(base_url="{{base}}", api_key="{{key}}")
answer = client.chat.completions.create(
    model="{{model}}",
    messages=[{"role": "user", "content": "Hello"}],
)
print(answer.choices[0].message.content)"#,
        },
        Step::Write {
            place: "or, for a program that makes its client without arguments, in its environment",
            language: "sh",
            text: "export OPENAI_BASE_URL={{base}}\nexport OPENAI_API_KEY={{key}}",
        },
    ],
    direct: Direct::Same,
    troubles: &[
        Trouble {
            seen: "404 not_found: /v1/responses is not served",
            fix: "`client.responses` is another API; use `client.chat.completions`",
        },
        Trouble {
            seen: "APITimeoutError while a request waits for its turn",
            fix: "a timeout shorter than the gateway's wait: give the client `timeout=600`, or each request its own deadline with the \
                  header `x-ripcord-deadline` (seconds)",
        },
    ],
    shared_troubles: &[GATEWAY],
    tried: "The library is run against the gateway by Ripcord's own tests (version 3.52.0): plain, streamed, tools, JSON, errors.",
};

pub(super) const OPENAI_NODE: Recipe = Recipe {
    name: "openai-node",
    aliases: &["node", "javascript", "typescript", "js"],
    title: "OpenAI SDK for Node",
    what: "the library `openai` for JavaScript and TypeScript",
    works: Works::Yes,
    steps: &[
        Step::Write {
            place: "in your program, after `npm install openai`",
            language: "js",
            text: r#"import OpenAI from "openai";

const client = new OpenAI({ baseURL: "{{base}}", apiKey: "{{key}}" });
const answer = await client.chat.completions.create({
  model: "{{model}}",
  messages: [{ role: "user", content: "Hello" }],
});
console.log(answer.choices[0].message.content);"#,
        },
        Step::Write {
            place: "or, for a program that makes its client without arguments, in its environment",
            language: "sh",
            text: "export OPENAI_BASE_URL={{base}}\nexport OPENAI_API_KEY={{key}}",
        },
    ],
    direct: Direct::Same,
    troubles: &[Trouble {
        seen: "404 not_found: /v1/responses is not served",
        fix: "`client.responses` is another API; use `client.chat.completions`",
    }],
    shared_troubles: &[GATEWAY],
    tried: "The library is run against the gateway by Ripcord's own tests (version 7.55.0 on Node 24).",
};

pub(super) const LITELLM: Recipe = Recipe {
    name: "litellm",
    aliases: &["lite-llm"],
    title: "LiteLLM",
    what: "the Python library, and the proxy of the same name",
    works: Works::Yes,
    steps: &[
        Step::Write {
            place: "the library: in your program, after `pip install litellm`",
            language: "python",
            text: r#"import litellm

answer = litellm.completion(
    model="openai/{{model}}",
    api_base="{{base}}",
    api_key="{{key}}",
    messages=[{"role": "user", "content": "Hello"}],
)
print(answer.choices[0].message.content)"#,
        },
        Step::Write {
            place: "the proxy: in its config.yaml",
            language: "yaml",
            text: r"model_list:
  - model_name: chutes
    litellm_params:
      model: hosted_vllm/{{model}}
      api_base: {{base}}
      api_key: {{key}}
      use_chat_completions_api: true",
        },
        Step::Say(
            "`openai/` and `hosted_vllm/` are LiteLLM's words for \"a server that speaks like OpenAI\"; the rest is the model's name. \
             With `hosted_vllm/` and `use_chat_completions_api` the proxy also translates /v1/messages and /v1/responses into \
             what Ripcord serves; with `openai/` it passes them on as /v1/responses, which Ripcord refuses.",
        ),
    ],
    direct: Direct::Same,
    troubles: &[
        Trouble {
            seen: "LLM Provider NOT provided",
            fix: "the model's name lacks `openai/` in front",
        },
        Trouble {
            seen: "No deployments available … in cooldown",
            fix: "LiteLLM sets a model aside after a few errors, and tells no longer why; its log has the first error. Ripcord waits and \
                  tries again by itself, so `num_retries: 0` and `disable_cooldowns: true` below `router_settings` fit",
        },
        Trouble {
            seen: "LiteLLM proxy refused to start: no master key is set",
            fix: "set LITELLM_MASTER_KEY to a long random text beginning with `sk-`",
        },
    ],
    shared_troubles: &[GATEWAY],
    tried: "Run by hand with LiteLLM 1.106.2 before Ripcord and the emulator: the library plain and streamed; the proxy with \
            /v1/chat/completions, /v1/messages and /v1/responses.",
};
