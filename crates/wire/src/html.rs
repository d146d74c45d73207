//! Just enough HTML to say what an error page is about.

/// How far into a page to look.
const LOOK_BYTES: usize = 64 * 1024;

/// Whether a text starts like a page.
pub(crate) fn looks_like_html(text: &str) -> bool {
    let start = text
        .trim_start_matches(|character: char| character.is_whitespace() || character == '\u{feff}');
    ["<!doctype", "<html", "<head", "<body", "<title", "<center", "<h1", "<!--", "<meta", "<?xml"]
        .iter()
        .any(|tag| starts_with_ignoring_case(start, tag))
}

/// What a page says: its title, else its text. May be empty.
pub(crate) fn summary(page: &str) -> String {
    let page = prefix(page, LOOK_BYTES);
    let title = element(page, "title").map(text_of).filter(|title| !title.trim().is_empty());
    let heading = element(page, "h1").map(text_of).filter(|text| !text.trim().is_empty());
    match (title, heading) {
        // Google's edge gives a bare number as title and says more in the body.
        (Some(title), _) if title.trim().chars().any(char::is_alphabetic) => title,
        (_, Some(heading)) => heading,
        (title, None) => {
            let body = text_of(page);
            let more = title.as_deref().map_or("", str::trim);
            body.trim().strip_prefix(more).unwrap_or(&body).trim().to_owned()
        }
    }
}

/// The inside of the first such element.
fn element<'a>(page: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = page;
    loop {
        let start = rest.find('<')?;
        rest = &rest[start + 1..];
        if starts_with_ignoring_case(rest, name) {
            let after = rest[name.len()..].chars().next();
            if after.is_some_and(|next| next == '>' || next.is_whitespace()) {
                let inside = &rest[rest.find('>')? + 1..];
                let mut end = 0;
                while let Some(at) = inside[end..].find("</") {
                    if starts_with_ignoring_case(&inside[end + at + 2..], name) {
                        return Some(&inside[..end + at]);
                    }
                    end += at + 2;
                }
                return Some(inside);
            }
        }
    }
}

/// The text between the tags, without scripts and styles, with the usual entities decoded.
fn text_of(html: &str) -> String {
    let mut text = String::new();
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        text.push_str(&rest[..start]);
        text.push(' ');
        rest = &rest[start..];
        let hidden = ["script", "style"]
            .into_iter()
            .find(|name| starts_with_ignoring_case(&rest[1..], name));
        let end = match hidden {
            Some(_) => rest[1..].find("</").map(|at| at + 1),
            None => None,
        };
        rest = end.map_or(rest, |end| &rest[end..]);
        match rest.find('>') {
            Some(end) => rest = &rest[end + 1..],
            None => rest = "",
        }
    }
    text.push_str(rest);
    for (entity, character) in [
        ("&nbsp;", " "),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&amp;", "&"),
    ] {
        if text.contains(entity) {
            text = text.replace(entity, character);
        }
    }
    text
}

fn starts_with_ignoring_case(text: &str, start: &str) -> bool {
    text.as_bytes()
        .get(..start.len())
        .is_some_and(|head| head.eq_ignore_ascii_case(start.as_bytes()))
}

/// The first bytes of a text, not cutting a character.
fn prefix(text: &str, most: usize) -> &str {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_headings_and_bare_pages() {
        assert_eq!(
            summary("<html><head><TITLE >502 Bad &amp; Gateway</Title></head>"),
            "502 Bad & Gateway"
        );
        assert_eq!(summary("<title>403</title><h1>Forbidden</h1>"), "Forbidden");
        assert_eq!(
            summary("<!doctype html><title>403</title>403 Forbidden").trim(),
            "403 Forbidden"
        );
        assert_eq!(
            summary("<p>Only <b>text</b>").split_whitespace().collect::<Vec<_>>(),
            ["Only", "text"]
        );
        assert_eq!(summary("<script>var a = 1;</script><style>x{}</style>hi").trim(), "hi");
        assert_eq!(summary("<title").trim(), "");
        assert_eq!(summary("<").trim(), "");
    }

    #[test]
    fn pages_are_known_by_their_start() {
        assert!(looks_like_html("\n <!DOCTYPE html>"));
        assert!(!looks_like_html("x < y"));
        assert!(!looks_like_html(""));
    }
}
