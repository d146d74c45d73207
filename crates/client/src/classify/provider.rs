//! What a service other than Chutes says, from what the services and engines that speak OpenAI's dialect are known to
//! send. They are named in `tests/fixtures/provider_errors.json`, which holds an example of each.
//!
//! They agree in little. So a code or a type of theirs is surest; then words that many use, each looked for only with
//! the statuses that it comes with, since models and prompts are echoed in some texts. What remains is left to
//! [`ripcord_rules::cause::classify`], which knows what a status alone is worth.

use ripcord_rules::cause::Says;
use ripcord_wire::error::ErrorBody;

/// What it says. `status` is that of the answer, or the one that an error inside a 200 claims.
pub(super) fn says(status: u16, body: &ErrorBody) -> Says {
    let text = body.message.to_ascii_lowercase();
    // A limit that one request alone exceeds: waiting changes nothing, fewer tokens do.
    if matches!(status, 413 | 429) && has(&text, &TOO_LARGE_FOR_LIMIT) {
        return Says::ContextTooLong;
    }
    let words = [body.code.as_deref(), body.kind.as_deref()].map(|word| word.map(plain));
    let by_code = words.iter().flatten().find_map(|word| by_code(status, word));
    match by_code {
        // The code is one for all limits; the words tell what kind it is.
        Some(Says::RateLimit) => by_limit(&text, &words),
        Some(says) => says,
        None => by_words(status, &text),
    }
}

/// A code or type without case and separators: `RateLimitReached`, `rate_limit_reached` and `rate-limit-reached` are one.
fn plain(word: &str) -> String {
    let letters = word.chars().filter(char::is_ascii_alphanumeric).take(64);
    letters.map(|letter| letter.to_ascii_lowercase()).collect()
}

/// Codes and types, as [`plain`] has them.
struct Codes {
    /// From which status on they mean it, and up to which.
    statuses: std::ops::RangeInclusive<u16>,
    words: &'static [&'static str],
    says: Says,
}

/// In the order in which they are tried.
const CODES: [Codes; 11] = [
    Codes {
        statuses: 200..=599,
        words: &[
            "contextlengthexceeded",
            "contextwindowexceeded",
            "contextwindowexceedederror",
            "modelcontextwindowexceeded",
            "exceedcontextsizeerror",
            "contextlengtherror",
            "tokenslimitreached",
            "stringabovemaxlength",
            "maxtokensexceeded",
            "prompttoolong",
            "inputtoolong",
            // Z.ai.
            "1261",
        ],
        says: Says::ContextTooLong,
    },
    Codes {
        statuses: 200..=499,
        words: &[
            "contentfilter",
            "contentpolicyviolation",
            "contentpolicyviolationerror",
            "responsibleaipolicyviolation",
            "datainspectionfailed",
            "moderation",
            "moderationblocked",
            "contentmoderation",
            "safetycheckfailed",
            "promptblocked",
            "refusal",
            // Z.ai.
            "1301",
        ],
        says: Says::ContentFilter,
    },
    Codes {
        statuses: 200..=499,
        words: &[
            "insufficientquota",
            "exceededcurrentquotaerror",
            "billinghardlimitreached",
            "billingnotactive",
            "billingerror",
            "insufficientuserquota",
            "insufficientbalance",
            "insufficientcredits",
            "insufficientcredit",
            "rejectnocredit",
            "notenoughbalance",
            "paymentrequired",
            "creditlimit",
            "budgetexceeded",
            "spendlimitexceeded",
            "arrearage",
            // Z.ai.
            "1113",
        ],
        says: Says::OutOfCredit,
    },
    Codes {
        statuses: 200..=599,
        words: &[
            "overloaded",
            "overloadederror",
            "engineoverloaded",
            "engineoverloadederror",
            "serveroverloaded",
            "modeloverloaded",
            "provideroverloaded",
            "modelatcapacity",
            "capacityexceeded",
            "servicetiercapacityexceeded",
            "queueexceeded",
            "slowdown",
            "infraoverload",
            // Mistral, Z.ai, SiliconFlow.
            "3505",
            "1305",
            "50505",
        ],
        says: Says::Capacity,
    },
    Codes {
        statuses: 200..=599,
        words: &["modelnotready", "modelnotreadyexception", "modelloading", "modelisloading"],
        says: Says::NoInstances,
    },
    Codes {
        statuses: 200..=499,
        words: &[
            "modelnotfound",
            "modelnotavailable",
            "modelnotsupported",
            "modeldecommissioned",
            "modelnotexist",
            "invalidmodel",
            "unknownmodel",
            "unavailablemodel",
            "deploymentnotfound",
            "notfounderror",
            // Z.ai, SiliconFlow, Mistral.
            "1211",
            "20012",
            "1500",
        ],
        says: Says::ModelNotFound,
    },
    Codes {
        statuses: 400..=403,
        words: &[
            "invalidapikey",
            "incorrectapikey",
            "incorrectapikeyerror",
            "apikeyinvalid",
            "authentication",
            "authenticationerror",
            "autherror",
            "invalidauthenticationerror",
            "unauthenticated",
            "wrongapikey",
            "accountdeactivated",
        ],
        says: Says::KeyRefused,
    },
    Codes {
        statuses: 400..=404,
        words: &[
            "permissionerror",
            "permissiondenied",
            "permissiondeniederror",
            "unsupportedcountryregionterritory",
            "modeltermsrequired",
            "modelpermissionblockedorg",
            "modelpermissionblockedproject",
            "insufficientpermissions",
        ],
        says: Says::NotCoveredByPlan,
    },
    Codes {
        statuses: 200..=499,
        words: &[
            "ratelimit",
            "ratelimited",
            "ratelimiterror",
            "ratelimitexceeded",
            "ratelimitreached",
            "ratelimitreachederror",
            "toomanyrequests",
            "toomanyrequestserror",
            "requestquotaexceeded",
            "tokenquotaexceeded",
            "modelratelimit",
            "dynamicrequestlimited",
            "dynamictokenlimited",
            "concurrencylimitexceeded",
            "limitrequests",
            "limitburstrate",
            "throttling",
            "throttlingerror",
            "throttlingexception",
            // Mistral, Z.ai.
            "1300",
            "1302",
            "1303",
        ],
        says: Says::RateLimit,
    },
    // Groq and OpenAI name what is limited; Google says so for quotas of all kinds.
    Codes {
        statuses: 429..=429,
        words: &["requests", "tokens", "resourceexhausted"],
        says: Says::RateLimit,
    },
    Codes {
        statuses: 500..=599,
        words: &["ratelimitexceeded", "ratelimiterror", "toomanyrequests"],
        says: Says::Capacity,
    },
];

fn by_code(status: u16, word: &str) -> Option<Says> {
    let codes = CODES
        .iter()
        .find(|codes| codes.statuses.contains(&status) && codes.words.contains(&word))?;
    Some(codes.says)
}

/// Which limit it is that the account has met.
fn by_limit(text: &str, words: &[Option<String>]) -> Says {
    if has(text, &FULL) {
        // OpenRouter's service behind the service; Mistral's tier.
        return Says::Capacity;
    }
    if has(text, &BROKE) {
        return Says::OutOfCredit;
    }
    let is_models = words.iter().flatten().any(|word| word == "modelratelimit");
    if is_models || has(text, &FOR_ONE_MODEL) { Says::ModelRateLimit } else { Says::RateLimit }
}

/// Words without a code.
fn by_words(status: u16, text: &str) -> Says {
    match status {
        // The request or the account; 403 is Together's for a prompt that does not fit.
        200 | 400 | 402 | 403 | 412 | 413 | 422 => by_words_of_refusal(status, text),
        401 if has(text, &BROKE) => Says::OutOfCredit,
        404 | 410 => Says::ModelNotFound,
        429 => by_limit(text, &[]),
        498 | 529 => Says::Capacity,
        500..=599 => by_words_of_failure(text),
        _ => Says::Nothing,
    }
}

fn by_words_of_refusal(status: u16, text: &str) -> Says {
    if super::is_context_overflow(text) || has(text, &TOO_LONG) {
        Says::ContextTooLong
    } else if has(text, &PREFILL) {
        Says::PrefillRefused
    } else if has(text, &BROKE) {
        Says::OutOfCredit
    } else if has(text, &BAD_KEY) && status != 422 {
        Says::KeyRefused
    } else if has(text, &FLAGGED) {
        Says::ContentFilter
    } else if has(text, &NO_SUCH_MODEL) && text.contains("model") {
        Says::ModelNotFound
    } else if text.contains("already borrowed") {
        Says::EngineHiccup
    } else if status == 200 {
        by_words_of_failure(text)
    } else {
        Says::Nothing
    }
}

fn by_words_of_failure(text: &str) -> Says {
    if has(text, &LOADING) {
        Says::NoInstances
    } else if has(text, &FULL) {
        Says::Capacity
    } else if super::is_context_overflow(text) || has(text, &TOO_LONG) {
        Says::ContextTooLong
    } else {
        Says::Nothing
    }
}

fn has(text: &str, parts: &[&str]) -> bool {
    parts.iter().any(|part| text.contains(part))
}

const TOO_LARGE_FOR_LIMIT: [&str; 3] =
    ["request too large for", "request body too large for", "reduce your message size"];

const FOR_ONE_MODEL: [&str; 6] = [
    "for model",
    "specific to this model",
    "permodel",
    "bymodel",
    "requests to this model",
    // OpenAI names model and organization in one breath.
    " in organization ",
];

const FULL: [&str; 15] = [
    "overloaded",
    "at capacity",
    "over capacity",
    "maximum capacity",
    "capacity exceeded",
    "no capacity",
    "model busy",
    "server busy",
    "server is busy",
    "queue is full",
    "high traffic",
    "high demand",
    "rate-limited upstream",
    "no available capacity",
    "no deployments available",
];

const BROKE: [&str; 22] = [
    "exceeded your current quota, please check your plan and billing",
    "insufficient balance",
    "insufficient credit",
    "insufficient fund",
    "insufficient_quota",
    "balance is insufficient",
    "not enough balance",
    "not enough credit",
    "credit balance is too low",
    "requires more credits",
    "out of credits",
    "credits are depleted",
    "credit limit exceeded",
    "used all available credits",
    "monthly included credits",
    "doesn't have any credits",
    "monthly spending limit",
    "spending limit",
    "budget has been exceeded",
    "payment required",
    "please recharge",
    "余额不足",
];

const TOO_LONG: [&str; 16] = [
    "must be less than the context length",
    "exceeded model token limit",
    "maximum prompt length",
    "must have less than",
    "context size has been exceeded",
    "exceeds the available context size",
    "exceed context window",
    "exceeds the context window",
    "maximum context",
    "input is too long for",
    "range of input length should be",
    "tokens + `max_new_tokens` must be",
    "greater than the context length",
    "loaded with context length of only",
    "prompt tokens limit exceeded",
    "exceeds max length",
];

const PREFILL: [&str; 7] = [
    "assistant message prefill",
    "must end with a user message",
    "expected last role user",
    "last message must have role",
    "last message must be a user",
    "last message is from the assistant",
    "assistant response prefill is incompatible",
];

const BAD_KEY: [&str; 9] = [
    "incorrect api key",
    "invalid api key",
    "invalid api token",
    "api key not valid",
    "api key is invalid",
    "api key expired",
    "no auth credentials",
    "authentication fails",
    "invalid token",
];

const FLAGGED: [&str; 10] = [
    "content management policy",
    "content policy",
    "content filter",
    "content_filter",
    "requires moderation",
    "flagged",
    "inappropriate content",
    "considered high risk",
    "safety system",
    "sensitive content",
];

const NO_SUCH_MODEL: [&str; 11] = [
    "not exist",
    "not found",
    "not a valid model",
    "invalid model",
    "unknown model",
    "no such model",
    "no endpoints found",
    "is not available",
    "not deployed",
    "has been deprecated",
    "model disabled",
];

const LOADING: [&str; 6] = [
    "loading model",
    "currently loading",
    "model is loading",
    "is not ready",
    "no healthy upstream",
    "starting up",
];
