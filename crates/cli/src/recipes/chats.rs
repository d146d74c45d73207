//! Programs and pages to chat with.

use super::troubles::{BROWSER, CONTAINER, GATEWAY};
use super::{Direct, Recipe, Step, Trouble, Works};

pub(super) const SILLYTAVERN: Recipe = Recipe {
    name: "sillytavern",
    aliases: &["silly-tavern", "st"],
    title: "SillyTavern",
    what: "a chat program for characters, on your own machine",
    works: Works::Yes,
    steps: &[
        Step::Say(
            "In API Connections (the plug): API `Chat Completion`, Chat Completion Source `Custom (OpenAI-compatible)`.",
        ),
        Step::Write { place: "as Custom Endpoint (Base URL)", language: "text", text: "{{base}}" },
        Step::Write { place: "as Custom API Key", language: "text", text: "{{key}}" },
        Step::Say(
            "Press Connect and choose the model from the list, or write `{{model}}` as model id. `Test Message` shows whether it answers. \
             SillyTavern's server makes the calls, not the browser, so nothing has to be allowed for web pages.",
        ),
    ],
    direct: Direct::Same,
    troubles: &[
        Trouble {
            seen: "the address is refused",
            fix: "the base URL ends in `/v1`, without `/chat/completions`",
        },
        Trouble {
            seen: "\"Chat Completion API\" error without a reason",
            fix: "SillyTavern hides what the server said; the console in which SillyTavern runs has it",
        },
    ],
    shared_troubles: &[CONTAINER, GATEWAY],
    tried: "As of SillyTavern's documentation in 2026; not run here.",
};

pub(super) const JANITOR_AI: Recipe = Recipe {
    name: "janitor-ai",
    aliases: &["janitor", "jai"],
    title: "Janitor AI",
    what: "a chat site for characters",
    works: Works::InBrowser,
    steps: &[
        Step::Say(
            "Janitor AI is a web page, and your browser makes the calls (its \"Failed to fetch\" is a browser's message). So it must run on \
             the machine on which Ripcord runs, and Ripcord must be told to let that page in.",
        ),
        Step::Write {
            place: "in Ripcord's configuration; then restart `ripcord serve`",
            language: "toml",
            text: "[gateway]\nallowed_origins = [\"https://janitorai.com\"]",
        },
        Step::Say(
            "In a chat: API Settings, Proxy, a new configuration with the model `{{model}}`.",
        ),
        Step::Write {
            place: "as Proxy URL, the whole path",
            language: "text",
            text: "{{base}}/chat/completions",
        },
        Step::Write { place: "as API Key", language: "text", text: "{{key}}" },
        Step::Say(
            "Save, and reload the page with Ctrl+Shift+R. If the browser asks whether the site may reach programs on this machine, allow it.",
        ),
    ],
    direct: Direct::Steps(&[
        Step::Say(
            "In a chat: API Settings, Proxy, a new configuration with the model `{{model}}`. This works on a phone too. Your key is then kept by \
             the site or the browser.",
        ),
        Step::Write {
            place: "as Proxy URL, the whole path",
            language: "text",
            text: "{{base}}/chat/completions",
        },
        Step::Write { place: "as API Key", language: "text", text: "{{key}}" },
    ]),
    troubles: &[Trouble {
        seen: "404",
        fix: "the URL must be the whole one, ending in `/v1/chat/completions` once",
    }],
    shared_troubles: &[BROWSER, GATEWAY],
    tried: "As of guides for that site in 2026; its menus change. Not run here. Ripcord's side (listed pages, others refused) is tested.",
};

pub(super) const TYPINGMIND: Recipe = Recipe {
    name: "typingmind",
    aliases: &["typing-mind"],
    title: "TypingMind",
    what: "a chat page for many models",
    works: Works::InBrowser,
    steps: &[
        Step::Say(
            "TypingMind is a web page, and your browser makes the calls. Ripcord must be told to let that page in.",
        ),
        Step::Write {
            place: "in Ripcord's configuration; then restart `ripcord serve` (a copy that you host has its own address)",
            language: "toml",
            text: "[gateway]\nallowed_origins = [\"https://www.typingmind.com\"]",
        },
        Step::Say(
            "In TypingMind: Settings, Models, Add Custom Model; API Type `OpenAI Chat Completions API`, Model ID `{{model}}`, the context \
             length from `ripcord models`.",
        ),
        Step::Write {
            place: "as Endpoint URL, the whole path",
            language: "text",
            text: "{{base}}/chat/completions",
        },
        Step::Say(
            "No authentication is needed; where a key is asked for, type `{{key}}`. If the browser asks whether the site may reach programs on \
             this machine, allow it.",
        ),
    ],
    direct: Direct::Steps(&[
        Step::Say(
            "In TypingMind: Settings, Models, Add Custom Model; API Type `OpenAI Chat Completions API`, Model ID `{{model}}`. Under Advanced add \
             the header `Authorization` with the value `Bearer {{key}}` (your key).",
        ),
        Step::Write {
            place: "as Endpoint URL, the whole path",
            language: "text",
            text: "{{base}}/chat/completions",
        },
    ]),
    troubles: &[Trouble {
        seen: "404",
        fix: "the endpoint must be the whole one, ending in `/v1/chat/completions` once",
    }],
    shared_troubles: &[BROWSER, GATEWAY],
    tried: "As of guides for that page in 2026; its menus change. Not run here. Ripcord's side (listed pages, others refused) is tested.",
};
