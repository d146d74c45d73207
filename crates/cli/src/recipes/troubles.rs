//! What goes wrong with clients of one kind.

use super::Trouble;

/// With every client of the gateway.
pub(super) const GATEWAY: &[Trouble] = &[
    Trouble {
        seen: "connection refused",
        fix: "the gateway does not run, or listens elsewhere: start `ripcord serve`, then look at {{root}}/-/health",
    },
    Trouble {
        seen: "404 not_found: the path has `/v1` twice",
        fix: "the client adds `/v1` by itself: give it {{root}}",
    },
    Trouble {
        seen: "404 not_found: the base URL should end in `/v1`",
        fix: "the client adds nothing: give it {{base}}",
    },
    Trouble {
        seen: "401 invalid_api_key: this is Ripcord, not Chutes",
        fix: "a Chutes key was typed into the client. Ripcord has the keys; type `{{key}}`, or any other text",
    },
    Trouble {
        seen: "404 model_not_found",
        fix: "names are exact, upper and lower case too; `ripcord models --query TEXT` finds them",
    },
    Trouble {
        seen: "429 or 402 at once",
        fix: "a window of the plan is used up, or spending is not allowed; the message says which and until when, and so does `ripcord usage`",
    },
];

/// With clients that run as a web page.
pub(super) const BROWSER: &[Trouble] = &[
    Trouble {
        seen: "Failed to fetch, Network error, blocked by CORS policy",
        fix: "the browser's words for several things. Open the developer tools (F12), tab Network, and look at the failed call: \
              403 means that the page is not listed in `allowed_origins` (the answer holds the line to write; then restart \
              `ripcord serve`); no answer at all means that the gateway does not run, or that the browser stopped the call",
    },
    Trouble {
        seen: "no answer at all, though the gateway runs",
        fix: "Chrome asks since version 142 whether a page may reach programs on your machine, and other browsers follow: allow it, \
              or mend it in the site's settings under Local network access. Chrome, Edge and Firefox let an https page call \
              http://127.0.0.1; Safari has refused that as mixed content, so use another browser there. An ad blocker may stop it too",
    },
    Trouble {
        seen: "it still fails after it was mended",
        fix: "the browser or the page keeps what it knew: reload with Ctrl+Shift+R, or try a private window",
    },
    Trouble {
        seen: "it works on the computer and not on the phone",
        fix: "127.0.0.1 is the device that the browser runs on, and Ripcord listens on its own machine only. On the phone use Chutes \
              itself",
    },
];

/// With clients that run in a container.
pub(super) const CONTAINER: &[Trouble] = &[Trouble {
    seen: "connection refused, from a container",
    fix: "127.0.0.1 is the container itself there. Ripcord listens on this machine only and has no client keys yet, so a container \
          reaches it only over the network of the host: `network_mode: host` on Linux. Else use Chutes itself",
}];

/// Without the gateway.
pub(super) const DIRECT: &[Trouble] = &[
    Trouble {
        seen: "404, or a web page instead of an answer",
        fix: "the wrong host: models are served at https://llm.chutes.ai. https://api.chutes.ai is for accounts, and \
              https://chutes.ai is the web site",
    },
    Trouble {
        seen: "404 with `/v1/v1` in the address",
        fix: "the client adds `/v1` by itself: leave it out",
    },
    Trouble {
        seen: "401",
        fix: "the key: it begins with cpk_ and has 102 characters, without quotes and spaces; `ripcord doctor` checks it",
    },
    Trouble {
        seen: "429 Infrastructure is at maximum capacity",
        fix: "the model is full, for everybody. Ripcord would wait and try again; without it take another model (`ripcord status`)",
    },
];
