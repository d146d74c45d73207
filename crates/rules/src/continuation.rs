//! An answer that broke off in the middle: may it be continued, and how.
//!
//! Safe is only plain text of one choice: whatever is kept token by token by the engine (a grammar, a seed, a text that
//! ends the answer) would begin anew in the middle. Everything else ends in an error, never in a text that only looks
//! whole.

use crate::cause::Cause;
use crate::route::Continuation;

/// What a request asks for, as far as it decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Asked {
    /// More than one answer.
    pub several_choices: bool,
    /// An answer of a given form.
    pub structured: bool,
    /// Log probabilities.
    pub logprobs: bool,
    /// Texts that end the answer.
    pub stop: bool,
    /// A seed.
    pub seed: bool,
    /// The prompt again.
    pub echo: bool,
    /// A least length.
    pub min_tokens: bool,
    /// Something to hear.
    pub audio: bool,
    /// Something that is not understood.
    pub unclear: bool,
}

/// What was sent of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Produced {
    /// Some text was.
    pub has_text: bool,
    /// Some of it was no white space.
    pub has_words: bool,
    /// The model was thinking.
    pub is_thinking: bool,
    /// It was calling a tool.
    pub calls_tools: bool,
    /// A finish reason was.
    pub is_finished: bool,
    /// It is not known exactly.
    pub is_unclear: bool,
}

/// Why an answer is not continued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hindrance {
    /// It is switched off.
    Off,
    /// The request asks for something that cannot begin in the middle.
    Asked(&'static str),
    /// No text was sent, though something else was.
    NoText,
    /// It broke off in the middle of the thinking.
    Thinking,
    /// It broke off in the middle of a call of a tool.
    Tools,
    /// It has its finish reason.
    Finished,
    /// It is as long as it may be.
    NothingLeft,
    /// What was sent cannot be known exactly.
    Unclear,
    /// It was refused for what it says, not broken off.
    Refused,
    /// What was tried to go on did not go on where it broke.
    Diverged,
}

/// How to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// What was sent goes with the request, as the beginning of the answer.
    Prefill,
    /// The same request again; what was sent is left out if the new answer begins with exactly that.
    Restart,
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broke {
    /// An error that would mean this if it had come first.
    Error(Cause),
    /// Cut off, silent or unreadable.
    Off,
    /// It was to continue an answer, and does not.
    Diverged(Way),
    /// The server began again by itself, and says something else now.
    BeganAgain,
}

/// What is known of the service that is asked to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service {
    /// It takes the beginning of an answer.
    pub takes_prefill: bool,
}

// === impl Asked ===

impl Asked {
    /// The first thing that cannot begin in the middle.
    #[must_use]
    pub const fn hindrance(self) -> Option<Hindrance> {
        let name = match self {
            Self { several_choices: true, .. } => "several choices",
            Self { structured: true, .. } => "an answer of a given form",
            Self { logprobs: true, .. } => "log probabilities",
            Self { stop: true, .. } => "stop texts",
            Self { seed: true, .. } => "a seed",
            Self { echo: true, .. } => "an echo",
            Self { min_tokens: true, .. } => "a least length",
            Self { audio: true, .. } => "audio",
            Self { unclear: true, .. } => "something that is not understood here",
            _ => return None,
        };
        Some(Hindrance::Asked(name))
    }
}

// === impl Hindrance ===

impl Hindrance {
    /// In words, behind "not continued: ".
    #[must_use]
    pub fn in_words(self) -> String {
        match self {
            Self::Off => "continuation is switched off".to_owned(),
            Self::Asked(what) => format!("the request asks for {what}"),
            Self::NoText => "no text had come".to_owned(),
            Self::Thinking => "the model was still thinking".to_owned(),
            Self::Tools => "a call of a tool was under way".to_owned(),
            Self::Finished => "it has its end".to_owned(),
            Self::NothingLeft => "nothing is left of `max_tokens`".to_owned(),
            Self::Unclear => "what was sent is not plain text".to_owned(),
            Self::Refused => "it was refused for its content".to_owned(),
            Self::Diverged => "the model does not go on where it broke".to_owned(),
        }
    }
}

// === impl Way ===

impl Way {
    /// The name in records and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Prefill => "prefill",
            Self::Restart => "restart",
        }
    }
}

/// Whether an answer may be continued at all, by what was asked and what was sent.
///
/// # Errors
/// The first reason against it.
pub fn may_go_on(policy: Continuation, asked: Asked, produced: Produced) -> Result<(), Hindrance> {
    if policy == Continuation::Off {
        return Err(Hindrance::Off);
    }
    if let Some(hindrance) = asked.hindrance() {
        return Err(hindrance);
    }
    match produced {
        Produced { is_finished: true, .. } => Err(Hindrance::Finished),
        Produced { calls_tools: true, .. } => Err(Hindrance::Tools),
        Produced { is_thinking: true, .. } => Err(Hindrance::Thinking),
        Produced { is_unclear: true, .. } => Err(Hindrance::Unclear),
        Produced { has_text: false, .. } => Err(Hindrance::NoText),
        _ => Ok(()),
    }
}

/// How to go on after a stream broke.
///
/// # Errors
/// When it is not the kind of end after which anything else would come.
pub const fn way(broke: Broke, produced: Produced, service: Service) -> Result<Way, Hindrance> {
    match broke {
        Broke::Error(Cause::ContentFilter | Cause::ContextTooLong | Cause::BadRequest) => {
            return Err(Hindrance::Refused);
        }
        // Asking once more would not bring the same words back.
        Broke::Diverged(_) => return Err(Hindrance::Diverged),
        Broke::Error(_) | Broke::Off | Broke::BeganAgain => {}
    }
    if service.takes_prefill && produced.has_words {
        return Ok(Way::Prefill);
    }
    match broke {
        // It has just shown that it says something else.
        Broke::BeganAgain => Err(Hindrance::Diverged),
        _ => Ok(Way::Restart),
    }
}

/// Whether a request with the beginning of an answer was refused for just that: the same request had been accepted
/// without it.
#[must_use]
pub const fn refuses_prefill(cause: Cause) -> bool {
    matches!(cause, Cause::BadRequest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: Produced = Produced {
        has_text: true,
        has_words: true,
        is_thinking: false,
        calls_tools: false,
        is_finished: false,
        is_unclear: false,
    };
    const PREFILLS: Service = Service { takes_prefill: true };
    const REFUSES: Service = Service { takes_prefill: false };

    #[test]
    fn plain_text_of_one_choice_goes_on() {
        assert_eq!(may_go_on(Continuation::SameModel, Asked::default(), TEXT), Ok(()));
        assert_eq!(may_go_on(Continuation::AnyModel, Asked::default(), TEXT), Ok(()));
        assert_eq!(may_go_on(Continuation::Off, Asked::default(), TEXT), Err(Hindrance::Off));
    }

    #[test]
    fn nothing_that_is_kept_token_by_token_does() {
        let nothing = Asked::default();
        for asked in [
            Asked { several_choices: true, ..nothing },
            Asked { structured: true, ..nothing },
            Asked { logprobs: true, ..nothing },
            Asked { stop: true, ..nothing },
            Asked { seed: true, ..nothing },
            Asked { echo: true, ..nothing },
            Asked { min_tokens: true, ..nothing },
            Asked { audio: true, ..nothing },
            Asked { unclear: true, ..nothing },
        ] {
            let refused = may_go_on(Continuation::AnyModel, asked, TEXT).unwrap_err();
            assert!(matches!(refused, Hindrance::Asked(_)), "{asked:?}");
            assert!(refused.in_words().starts_with("the request asks for "));
        }
    }

    #[test]
    fn nor_what_broke_off_in_the_middle_of_something_else() {
        for (produced, hindrance) in [
            (Produced { is_thinking: true, ..TEXT }, Hindrance::Thinking),
            (Produced { calls_tools: true, ..TEXT }, Hindrance::Tools),
            (Produced { is_finished: true, ..TEXT }, Hindrance::Finished),
            (Produced { is_unclear: true, ..TEXT }, Hindrance::Unclear),
            (Produced::default(), Hindrance::NoText),
        ] {
            let refused = may_go_on(Continuation::SameModel, Asked::default(), produced);
            assert_eq!(refused, Err(hindrance));
            assert!(!hindrance.in_words().is_empty());
        }
    }

    #[test]
    fn the_way_is_a_prefill_where_it_is_taken() {
        let blank = Produced { has_words: false, ..TEXT };
        for (broke, produced, service, expected) in [
            (Broke::Off, TEXT, PREFILLS, Ok(Way::Prefill)),
            (Broke::Off, TEXT, REFUSES, Ok(Way::Restart)),
            // An empty beginning is none.
            (Broke::Off, blank, PREFILLS, Ok(Way::Restart)),
            (Broke::Error(Cause::Capacity), TEXT, PREFILLS, Ok(Way::Prefill)),
            (Broke::Error(Cause::ContentFilter), TEXT, PREFILLS, Err(Hindrance::Refused)),
            (Broke::BeganAgain, TEXT, PREFILLS, Ok(Way::Prefill)),
            (Broke::BeganAgain, TEXT, REFUSES, Err(Hindrance::Diverged)),
            (Broke::Diverged(Way::Prefill), TEXT, PREFILLS, Err(Hindrance::Diverged)),
            (Broke::Diverged(Way::Restart), TEXT, PREFILLS, Err(Hindrance::Diverged)),
        ] {
            assert_eq!(way(broke, produced, service), expected, "{broke:?} {produced:?}");
        }
    }

    #[test]
    fn only_a_bad_request_is_a_refused_prefill() {
        assert!(refuses_prefill(Cause::BadRequest));
        for other in [Cause::Capacity, Cause::ContextTooLong, Cause::ContentFilter, Cause::DeadKey]
        {
            assert!(!refuses_prefill(other));
        }
    }
}
