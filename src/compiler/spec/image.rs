//! The grammar of container image references, as the kubelet reads them. Knows no registry.
//!
//! <https://github.com/distribution/reference>, with the names that Docker made familiar (`nginx` for
//! `docker.io/library/nginx`). `tests/formats.rs` holds this reading against that package.

/// Longest path of an image in its registry.
const LONGEST: usize = 255;
const HUB: &str = "docker.io";
/// Algorithms of digests, with the number of their hexadecimal digits.
const DIGESTS: [(&str, usize); 3] = [("sha256", 64), ("sha384", 96), ("sha512", 128)];

/// Returns whether a text is an image that the kubelet can pull.
pub(super) fn is_image(text: &str) -> bool {
    // It would be taken for the digest of an image.
    if text.len() == 64 && text.bytes().all(is_lower_hex) {
        return false;
    }
    let (domain, rest) = domain_of(text);
    let remote = rest.split(':').next().unwrap_or_default();
    if remote.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return false;
    }
    let (rest, digest) = rest.split_once('@').map_or((rest.as_str(), None), |(r, d)| (r, Some(d)));
    let named = format!("{domain}/{rest}");
    // A colon before the last slash is that of a port or an address.
    let colon = named.rfind(':').filter(|colon| !named[*colon..].contains('/'));
    let (name, tag) = match colon {
        Some(colon) => (&named[..colon], Some(&named[colon + 1..])),
        None => (named.as_str(), None),
    };
    let path = match name.split_once('/') {
        Some((host, path)) if is_domain(host) => path,
        _ => name,
    };
    path.len() <= LONGEST
        && path.split('/').all(is_component)
        && tag.is_none_or(is_tag)
        && digest.is_none_or(is_digest)
}

/// Returns what to write in place of a text that was meant as an image.
pub(super) fn repaired(text: &str) -> Option<String> {
    let bare: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let bare = bare.split("://").last().unwrap_or_default();
    let (name, digest) = bare.split_once('@').map_or((bare, None), |(n, d)| (n, Some(d)));
    let (folder, last) = name.rsplit_once('/').map_or((None, name), |(f, l)| (Some(f), l));
    let (last, tag) = last.split_once(':').map_or((last, None), |(l, t)| (l, Some(t)));
    let path = match folder {
        Some(folder) => format!("{folder}/{last}"),
        None => last.to_owned(),
    };
    let with = |path: &str, tag: Option<&str>| {
        let tag =
            tag.filter(|tag| !tag.is_empty()).map(|tag| format!(":{tag}")).unwrap_or_default();
        let digest = digest.map(|digest| format!("@{}", digest.to_lowercase())).unwrap_or_default();
        format!("{path}{tag}{digest}")
    };
    let fits = |image: &String| image != text && is_image(image);
    for path in [&path, &path.to_lowercase()] {
        if let Some((first, second)) = tag.and_then(|tag| tag.split_once(':')) {
            let (short, long) =
                (with(path, Some(first)), with(path, Some(&format!("{first}.{second}"))));
            if fits(&short) && fits(&long) {
                return Some(format!("an image has one tag: write `{short}` or `{long}`"));
            }
        }
        let whole = with(path, tag);
        if fits(&whole) {
            return Some(format!("write `{whole}`"));
        }
    }
    if digest.is_some_and(|digest| !is_digest(digest)) && is_image(&name.to_lowercase()) {
        return Some(
            "write the digest as `sha256:` and 64 of the digits `0` to `9` and `a` to `f`"
                .to_owned(),
        );
    }
    None
}

/// Splits an image into its registry and the rest.
fn domain_of(text: &str) -> (&str, String) {
    let (domain, rest) = match text.split_once('/') {
        Some(("index.docker.io", rest)) => (HUB, rest),
        Some((first, rest))
            if first == "localhost"
                || first.contains(['.', ':'])
                || first.chars().any(char::is_uppercase) =>
        {
            (first, rest)
        }
        Some(_) | None => (HUB, text),
    };
    let is_official = domain == HUB && !rest.contains('/');
    (domain, if is_official { format!("library/{rest}") } else { rest.to_owned() })
}

/// A name or address of a registry, with or without its port.
fn is_domain(text: &str) -> bool {
    let bracket = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let (is_host, port) = if let Some((inside, after)) = bracket {
        let is_address =
            !inside.is_empty() && inside.bytes().all(|b| b.is_ascii_hexdigit() || b == b':');
        (is_address && (after.is_empty() || after.starts_with(':')), after.strip_prefix(':'))
    } else {
        let (host, port) = text.split_once(':').map_or((text, None), |(h, p)| (h, Some(p)));
        (host.split('.').all(is_label), port)
    };
    is_host && port.is_none_or(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()))
}

fn is_label(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Small letters and digits, in groups with `.`, `_`, `__` or any number of `-` between them.
fn is_component(text: &str) -> bool {
    let is_inside = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let separators = text.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    let is_separator = |s: &str| matches!(s, "" | "." | "_" | "__") || s.bytes().all(|b| b == b'-');
    let ends = [text.bytes().next(), text.bytes().last()];
    ends.into_iter().all(|end| end.is_some_and(is_inside))
        && separators.into_iter().all(is_separator)
}

fn is_tag(text: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    (1..=128).contains(&text.len())
        && text.bytes().all(|b| is_word(b) || matches!(b, b'.' | b'-'))
        && !text.starts_with(['.', '-'])
}

fn is_digest(text: &str) -> bool {
    DIGESTS.iter().any(|(algorithm, digits)| {
        text.split_once(':').is_some_and(|(named, hex)| {
            named == *algorithm && hex.len() == *digits && hex.bytes().all(is_lower_hex)
        })
    })
}

fn is_lower_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant_is_written_out() {
        let digest = "0".repeat(64);
        for (text, fix) in [
            ("NextCloud:34", "write `nextcloud:34`".to_owned()),
            (
                "docker.io/library/NextCloud:34:1",
                "an image has one tag: write `docker.io/library/nextcloud:34` or `docker.io/library/nextcloud:34.1`"
                    .to_owned(),
            ),
            ("https://a.example.com/b:1", "write `a.example.com/b:1`".to_owned()),
            (" a:1 ", "write `a:1`".to_owned()),
            ("a:", "write `a`".to_owned()),
            (&format!("a@SHA256:{digest}"), format!("write `a@sha256:{digest}`")),
            ("a@sha256:12", "write the digest as `sha256:` and 64 of the digits `0` to `9` and `a` to `f`".to_owned()),
        ] {
            assert_eq!(repaired(text), Some(fix), "{text}");
        }
        assert!(repaired("a.example.com/B@sha256:12").is_some_and(|fix| fix.contains("64")));
        assert_eq!(repaired("a//b"), None);
    }
}
