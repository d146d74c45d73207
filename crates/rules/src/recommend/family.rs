//! Which names belong to one model.
//!
//! A family is an owner and a model of one size, kind and major version: `zai-org/GLM-4.6`, `zai-org/GLM-4.7-FP8` and
//! `zai-org/GLM-4.7-TEE` are one. Inside it names differ in how the model is run (`-TEE`, precision, `-turbo`) and in
//! the point version or release (`V3.1` and `V3.2`, `-0324`, `-2507`, `-Exp`). Sizes (`32B`, `A22B`) and kinds
//! (`Instruct`, `Thinking`, `Coder`, `VL`, `Air`) never belong together, nor do two owners: a name alone does not say
//! that they are the same weights.
//!
//! Names are all that is read. The server has no field for it (`root` is the engine's path, `chutes/api.md` 3.1).

/// Words at the end of a name that say how the numbers are stored.
const PRECISIONS: &[&str] = &[
    "fp4", "fp8", "fp16", "bf16", "nvfp4", "mxfp4", "int4", "int8", "w4a16", "w8a8", "w8a16",
    "4bit", "8bit", "awq", "gptq", "gguf", "dynamic",
];
/// Words at the end of a name that mark a release of the same model.
const RELEASES: &[&str] = &["exp", "experimental", "preview", "latest", "terminus"];

/// A model's name, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelName {
    /// What all variants share, in lower case.
    pub family: String,
    /// The family with its point version and release, in lower case: the same weights, however they are run.
    pub release: String,
    /// Whether the name says that it runs in a trusted execution environment.
    pub tee: bool,
    /// How the numbers are stored, as far as the name says: `fp8`, `int4-awq`.
    pub precision: Option<String>,
    /// Whether it is the faster, dearer one of two.
    pub turbo: bool,
}

/// How near two names of one family are, nearest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kinship {
    /// The very same name.
    Itself,
    /// The same release, run in another way.
    SameRelease,
    /// Another point version or release.
    OtherRelease,
}

// === impl ModelName ===

impl ModelName {
    /// Takes a name apart. Every name has a family, if only its own.
    #[must_use]
    pub fn read(name: &str) -> Self {
        let lower = name.trim().to_lowercase();
        let (owner, model) = lower.rsplit_once('/').unwrap_or(("", &lower));
        let mut words: Vec<&str> = model.split('-').collect();
        let mut precisions = Vec::new();
        let (mut tee, mut turbo) = (false, false);
        let mut releases = 0;
        // From the end, as long as the last word (or the last before a release) tells how the model is run. The first
        // word is the model's own name, whatever it looks like.
        let mut at = words.len();
        while at > 1 {
            let Some(word) = words.get(at - 1).copied() else { break };
            if word == "tee" {
                tee = true;
                words.remove(at - 1);
            } else if word == "turbo" {
                turbo = true;
                words.remove(at - 1);
            } else if PRECISIONS.contains(&word) {
                precisions.insert(0, word);
                words.remove(at - 1);
            } else if is_release(word) {
                releases += 1;
            } else {
                break;
            }
            at -= 1;
        }
        let kept = words.len() - releases;
        let family: Vec<String> = words.iter().take(kept).map(|word| without_point(word)).collect();
        let owned = |rest: String| if owner.is_empty() { rest } else { format!("{owner}/{rest}") };
        Self {
            family: owned(family.join("-")),
            release: owned(words.join("-")),
            tee,
            precision: (!precisions.is_empty()).then(|| precisions.join("-")),
            turbo,
        }
    }

    /// How `other` is related; `None` if it is of another family.
    #[must_use]
    pub fn kinship(&self, other: &Self) -> Option<Kinship> {
        if self.family != other.family {
            None
        } else if self == other {
            Some(Kinship::Itself)
        } else if self.release == other.release {
            Some(Kinship::SameRelease)
        } else {
            Some(Kinship::OtherRelease)
        }
    }
}

/// A release's word, or a date: `0324`, `2507`, `20250514`.
fn is_release(word: &str) -> bool {
    let is_date = matches!(word.len(), 4 | 6 | 8) && word.bytes().all(|byte| byte.is_ascii_digit());
    is_date || RELEASES.contains(&word)
}

/// `v3.2` → `v3`, `4.6v` → `4v`; sizes such as `0.6b` stay.
fn without_point(word: &str) -> String {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let Some((before, after)) = word.split_once('.') else { return word.to_owned() };
    let point_ends = after.bytes().take_while(u8::is_ascii_digit).count();
    let (point, kind) = after.split_at(point_ends);
    let major = before.trim_start_matches(|letter: char| !letter.is_ascii_digit());
    let is_size = matches!(kind, "b" | "m" | "k" | "t");
    let is_version = !major.is_empty()
        && digits(major)
        && !point.is_empty()
        && !is_size
        && kind.bytes().all(|byte| byte.is_ascii_lowercase());
    if is_version { format!("{before}{kind}") } else { word.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn family(name: &str) -> String {
        ModelName::read(name).family
    }

    #[test]
    fn names_are_taken_apart() {
        // name, family, release (after the owner), tee, precision, turbo
        let cases = [
            ("deepseek-ai/DeepSeek-V3.2", "deepseek-v3", "deepseek-v3.2", false, "", false),
            ("deepseek-ai/DeepSeek-V3.2-TEE", "deepseek-v3", "deepseek-v3.2", true, "", false),
            ("deepseek-ai/DeepSeek-V3.2-Exp", "deepseek-v3", "deepseek-v3.2-exp", false, "", false),
            (
                "deepseek-ai/DeepSeek-V3-0324-TEE",
                "deepseek-v3",
                "deepseek-v3-0324",
                true,
                "",
                false,
            ),
            ("deepseek-ai/DeepSeek-V3.1-turbo", "deepseek-v3", "deepseek-v3.1", false, "", true),
            ("deepseek-ai/DeepSeek-R1-0528", "deepseek-r1", "deepseek-r1-0528", false, "", false),
            ("zai-org/GLM-4.7-FP8", "glm-4", "glm-4.7", false, "fp8", false),
            ("zai-org/GLM-4.7-FP8-TEE", "glm-4", "glm-4.7", true, "fp8", false),
            ("zai-org/GLM-4.5-Air", "glm-4-air", "glm-4.5-air", false, "", false),
            ("zai-org/GLM-4.6V", "glm-4v", "glm-4.6v", false, "", false),
            ("moonshotai/Kimi-K2.5-TEE", "kimi-k2", "kimi-k2.5", true, "", false),
            (
                "moonshotai/Kimi-K2-Thinking",
                "kimi-k2-thinking",
                "kimi-k2-thinking",
                false,
                "",
                false,
            ),
            (
                "Qwen/Qwen3-235B-A22B-Instruct-2507-TEE",
                "qwen3-235b-a22b-instruct",
                "qwen3-235b-a22b-instruct-2507",
                true,
                "",
                false,
            ),
            (
                "Qwen/Qwen2.5-72B-Instruct-AWQ",
                "qwen2-72b-instruct",
                "qwen2.5-72b-instruct",
                false,
                "awq",
                false,
            ),
            ("Qwen/Qwen3-0.6B", "qwen3-0.6b", "qwen3-0.6b", false, "", false),
            ("Qwen/Qwen3-32B-int4-AWQ", "qwen3-32b", "qwen3-32b", false, "int4-awq", false),
            (
                "mistralai/Mistral-7B-Instruct-v0.3",
                "mistral-7b-instruct-v0",
                "mistral-7b-instruct-v0.3",
                false,
                "",
                false,
            ),
            ("openai/gpt-oss-120b-TEE", "gpt-oss-120b", "gpt-oss-120b", true, "", false),
        ];
        for (name, family, release, tee, precision, turbo) in cases {
            let owner = name.split('/').next().unwrap().to_lowercase();
            let expected = ModelName {
                family: format!("{owner}/{family}"),
                release: format!("{owner}/{release}"),
                tee,
                precision: (!precision.is_empty()).then(|| precision.to_owned()),
                turbo,
            };
            assert_eq!(ModelName::read(name), expected, "{name}");
        }
    }

    #[test]
    fn sizes_kinds_and_owners_keep_families_apart() {
        let apart = [
            ("Qwen/Qwen3-32B", "Qwen/Qwen3-8B"),
            ("Qwen/Qwen3-235B-A22B-Instruct-2507", "Qwen/Qwen3-235B-A22B-Thinking-2507"),
            ("Qwen/Qwen3-235B-A22B", "Qwen/Qwen3-235B-A22B-Instruct-2507"),
            ("zai-org/GLM-4.5", "zai-org/GLM-4.5-Air"),
            ("zai-org/GLM-4.7", "zai-org/GLM-5"),
            ("zai-org/GLM-4.7", "someone/GLM-4.7"),
            ("deepseek-ai/DeepSeek-R1", "deepseek-ai/DeepSeek-R1-Distill-Llama-70B"),
            ("openai/gpt-oss-20b", "openai/gpt-oss-120b"),
            ("Qwen/Qwen2.5-1.5B", "Qwen/Qwen2.5-1.7B"),
        ];
        for (left, right) in apart {
            assert_ne!(family(left), family(right), "{left} and {right}");
        }
    }

    #[test]
    fn kin_are_nearer_the_less_differs() {
        let kinship =
            |left: &str, right: &str| ModelName::read(left).kinship(&ModelName::read(right));
        let current = "deepseek-ai/DeepSeek-V3.2";
        assert_eq!(kinship(current, "DeepSeek-AI/deepseek-v3.2"), Some(Kinship::Itself));
        assert_eq!(kinship(current, "deepseek-ai/DeepSeek-V3.2-TEE"), Some(Kinship::SameRelease));
        assert_eq!(kinship(current, "deepseek-ai/DeepSeek-V3.2-FP8"), Some(Kinship::SameRelease));
        assert_eq!(kinship(current, "deepseek-ai/DeepSeek-V3-0324"), Some(Kinship::OtherRelease));
        assert_eq!(kinship(current, "deepseek-ai/DeepSeek-R1"), None);
        assert!(Kinship::SameRelease < Kinship::OtherRelease);
    }

    #[test]
    fn odd_names_have_a_family_too() {
        for name in ["", "/", "-", "TEE", "a/TEE", "a/2507", "0528-TEE", "a//b-FP8", "a/.5", "a/v."]
        {
            let read = ModelName::read(name);
            assert_eq!(read.kinship(&read), Some(Kinship::Itself), "{name}");
        }
        assert_eq!(family("a/TEE"), "a/tee", "a name is never used up");
        assert_eq!(family("plain-FP8"), "plain");
    }

    proptest! {
        #[test]
        fn how_it_is_run_never_changes_the_family(
            name in "[A-Za-z]{1,6}/[A-Za-z]{1,6}(-[A-Za-z0-9.]{1,6}){0,4}",
            mark in prop::sample::select(vec!["-TEE", "-FP8", "-turbo", "-int4", "-AWQ"]),
        ) {
            prop_assert_eq!(family(&format!("{name}{mark}")), family(&name));
        }

        #[test]
        fn any_text_is_taken_apart(name in "\\PC{0,40}") {
            let read = ModelName::read(&name);
            prop_assert_eq!(read.kinship(&read), Some(Kinship::Itself));
        }
    }
}
