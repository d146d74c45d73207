use super::*;

fn llm(text: &str) -> Result<String, String> {
    BaseUrl::parse(Service::Llm, text, PlainHttp::LoopbackOnly)
        .map(|url| url.to_string())
        .map_err(|problem| problem.to_string())
}

#[test]
fn the_same_address_is_read_from_every_way_to_write_it() {
    for text in [
        "https://llm.chutes.ai",
        "https://llm.chutes.ai/",
        "https://llm.chutes.ai/v1",
        "https://llm.chutes.ai/v1/",
        "https://llm.chutes.ai/v1/v1",
        "https://llm.chutes.ai//v1//",
        " \"https://LLM.chutes.ai:443/v1\" ",
        "HTTPS://llm.chutes.ai.",
    ] {
        assert_eq!(llm(text).as_deref(), Ok("https://llm.chutes.ai"), "{text}");
    }
}

#[test]
fn own_hosts_ports_and_prefixes_are_kept() {
    for (text, expected) in [
        ("http://127.0.0.1:8080/v1", "http://127.0.0.1:8080"),
        ("http://[::1]:8080/v1", "http://[::1]:8080"),
        ("http://localhost:80", "http://localhost"),
        ("https://proxy.example:8443/chutes/v1/", "https://proxy.example:8443/chutes"),
        ("https://my-slug.chutes.ai/v1", "https://my-slug.chutes.ai"),
    ] {
        assert_eq!(llm(text).as_deref(), Ok(expected), "{text}");
    }
    let url = BaseUrl::parse(Service::Llm, "https://proxy.example/chutes/v1", PlainHttp::default())
        .unwrap();
    assert_eq!(url.path("/v1/models"), "/chutes/v1/models");
}

#[test]
fn each_mistake_is_told_plainly() {
    for (text, expected) in [
        ("", "the inference address is empty"),
        (
            "llm.chutes.ai/v1",
            "the inference address has no scheme; write `https://llm.chutes.ai/v1`",
        ),
        ("localhost:8080", "the inference address has no scheme; write `http://localhost:8080`"),
        (
            "ftp://llm.chutes.ai",
            "the inference address must begin with https:// (or http:// on this machine)",
        ),
        (
            "https://chutes.ai/v1",
            "the inference address is that of the web site, not the API; use https://llm.chutes.ai",
        ),
        (
            "https://www.chutes.ai",
            "the inference address is that of the web site, not the API; use https://llm.chutes.ai",
        ),
        (
            "https://api.chutes.ai/v1",
            "the inference address is that of the management API; use https://llm.chutes.ai",
        ),
        (
            "https://",
            "the inference address cannot be read; it should look like https://host or https://host/v1",
        ),
        (
            "https://llm.chutes.ai:99999",
            "the inference address cannot be read; it should look like https://host or https://host/v1",
        ),
        (
            "https://llm.chutes.ai/v1?x=1",
            "the inference address has a query or a fragment; end it after the path",
        ),
        (
            "http://llm.chutes.ai/v1",
            "the inference address uses plain http to `llm.chutes.ai`; write https://, a key must not cross a network in clear text",
        ),
        (
            "https://llm.chutes.ai/v1/chat/completions",
            "the inference address ends in `/chat/completions`, which is one endpoint; leave everything after the host or `/v1` away",
        ),
    ] {
        assert_eq!(llm(text), Err(expected.to_owned()), "{text}");
    }
}

#[test]
fn secrets_in_an_address_are_refused_and_not_repeated() {
    for text in [
        "https://cpk_canary@llm.chutes.ai",
        "https://user:canary@llm.chutes.ai",
        "user:canary@llm.chutes.ai",
    ] {
        let problem = BaseUrl::parse(Service::Llm, text, PlainHttp::LoopbackOnly).unwrap_err();
        assert!(
            !format!("{problem} {problem:?} {}", problem.suggestion()).contains("canary"),
            "{problem:?}"
        );
    }
}

#[test]
fn plain_http_beyond_loopback_needs_a_word() {
    let url = BaseUrl::parse(Service::Llm, "http://gateway.lan:8080", PlainHttp::Allowed).unwrap();
    assert_eq!(url.to_string(), "http://gateway.lan:8080");
    assert!(llm("http://127.0.0.1.example.com").is_err());
}

#[test]
fn embeddings_follow_an_own_inference_address() {
    let own = Endpoints::from_urls(None, Some("http://127.0.0.1:9/v1"), None, PlainHttp::default())
        .unwrap();
    assert_eq!(own.embed, own.llm);
    assert_eq!(own.api.to_string(), API_URL);
    let official = Endpoints::from_urls(None, None, None, PlainHttp::default()).unwrap();
    assert_eq!(official, Endpoints::official());
}

#[test]
fn the_whole_path_of_a_provider_counts() {
    let provider = |text: &str| {
        BaseUrl::parse(Service::Provider, text, PlainHttp::LoopbackOnly)
            .map(|url| url.path("/chat/completions"))
            .map_err(|problem| problem.to_string())
    };
    for (text, path) in [
        ("https://openrouter.ai/api/v1", "/api/v1/chat/completions"),
        ("https://api.deepinfra.com/v1/openai/", "/v1/openai/chat/completions"),
        ("https://api.example.com", "/v1/chat/completions"),
        ("http://127.0.0.1:11434/v1", "/v1/chat/completions"),
    ] {
        assert_eq!(provider(text).as_deref(), Ok(path), "{text}");
    }
    for wrong in
        ["https://llm.chutes.ai/v1", "https://x.example/v1/chat/completions", "http://x.example/v1"]
    {
        assert!(provider(wrong).is_err(), "{wrong}");
    }
}
