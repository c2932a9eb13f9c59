//! Recognises secrets in clear text, by the name of their field or by their form. It knows neither documents nor
//! objects; the caller reports the text with a fix.

/// Certainty that a text is a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looks {
    /// It is a secret.
    Secret,
    /// It may also be the name of a Secret.
    Doubtful,
}

/// Parts of names whose values are secret, at any position in the name.
const INSIDE: [&str; 9] = [
    "password",
    "passwd",
    "passphrase",
    "passwort",
    "privatekey",
    "secretkey",
    "accesstoken",
    "apikey",
    "clientsecret",
];
/// Last words of names whose values are secret.
const LAST: [&str; 7] = ["pass", "pwd", "pw", "secret", "token", "credentials", "salt"];
/// Last words of names that describe a secret without containing one.
const ABOUT: [&str; 44] = [
    "file",
    "path",
    "dir",
    "name",
    "user",
    "username",
    "ref",
    "link",
    "url",
    "uri",
    "host",
    "port",
    "enabled",
    "enforced",
    "required",
    "policy",
    "length",
    "size",
    "min",
    "max",
    "ttl",
    "lifetime",
    "timeout",
    "expiry",
    "expires",
    "expiration",
    "days",
    "hours",
    "seconds",
    "algorithm",
    "hash",
    "type",
    "id",
    "count",
    "class",
    "hint",
    "reset",
    "field",
    "header",
    "age",
    "history",
    "default",
    "allowed",
    "method",
];
/// Values that configure a secret without being one.
const SETTINGS: [&str; 12] = [
    "true", "false", "yes", "no", "on", "off", "none", "null", "enabled", "disabled", "required",
    "optional",
];
/// Prefixes of the tokens of well-known services.
const TOKENS: [&str; 9] =
    ["ghp_", "gho_", "ghs_", "github_pat_", "glpat-", "xoxb-", "xoxp-", "AKIA", "sk_live_"];

/// Returns whether the value under a name looks like a secret in clear text.
pub fn looks_secret(name: &str, value: &str) -> Option<Looks> {
    if is_secret(value) {
        return Some(Looks::Secret);
    }
    let words = words(name);
    let last = words.last().map(String::as_str).unwrap_or_default();
    let joined = words.concat();
    let named = INSIDE.iter().any(|part| joined.contains(part)) || LAST.contains(&last);
    if !named || ABOUT.contains(&last) || refers(value) {
        return None;
    }
    let sure = INSIDE.iter().any(|part| joined.contains(part)) || !is_name(value);
    Some(if sure { Looks::Secret } else { Looks::Doubtful })
}

/// Returns whether a text is a secret regardless of its name: a private key, a token of a well-known form, a URL
/// that contains a password.
pub fn is_secret(text: &str) -> bool {
    let is_key = text.contains("-----BEGIN ") && text.contains("PRIVATE KEY-----");
    is_key || text.split(|c: char| c.is_whitespace() || "\"',;=".contains(c)).any(is_secret_word)
}

fn is_secret_word(word: &str) -> bool {
    let is_token = TOKENS.iter().any(|start| {
        word.strip_prefix(start).is_some_and(|rest| {
            rest.len() >= 16
                && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
        })
    });
    // Three parts in base64, the first two of them JSON: RFC 7519.
    let parts: Vec<&str> = word.split('.').collect();
    let is_jwt = parts.len() == 3
        && parts[..2].iter().all(|part| part.starts_with("eyJ"))
        && parts.iter().all(|part| part.len() > 8);
    is_token || is_jwt || has_password(word)
}

/// Returns whether a URL has a password before its host: `smtp://user:password@host`.
fn has_password(address: &str) -> bool {
    let Some((_, rest)) = address.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let Some((user, _)) = authority.rsplit_once('@') else { return false };
    user.split_once(':').is_some_and(|(_, password)| !password.is_empty() && !refers(password))
}

/// Returns whether a text refers to another value or is a switch: a path, a variable, an expression.
fn refers(value: &str) -> bool {
    let value = value.trim();
    let is_variable = (value.starts_with("$(") && value.ends_with(')'))
        || (value.starts_with("${") && value.ends_with('}'));
    let is_number = value.len() < 4 && value.bytes().all(|b| b.is_ascii_digit());
    value.is_empty()
        || value.starts_with('/')
        || value.contains("{{")
        || value.contains("://")
        || is_variable
        || is_number
        || SETTINGS.contains(&value.to_ascii_lowercase().as_str())
}

/// Returns whether a text could be the name of an object in the cluster.
fn is_name(value: &str) -> bool {
    let inside = |b: u8| b.is_ascii_lowercase() || b == b'-' || b == b'.';
    value.contains('-') && value.bytes().all(inside)
}

/// Returns the words of a name in lower case: `SMTP_PASS`, `smtp-pass` and `smtpPass` have two each.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for c in name.chars() {
        let begins = c.is_uppercase() && was_lower;
        was_lower = c.is_lowercase() || c.is_ascii_digit();
        if begins || !c.is_alphanumeric() {
            words.push(String::new());
        }
        if c.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(c.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_name_and_by_form() {
        for (name, value) in [
            ("mail_smtppassword", "hunter2"),
            ("dbpassword", "x"),
            ("MYSQL_ROOT_PASSWORD", "sesame"),
            ("SMTP_PASS", "sesame"),
            ("apiKey", "0123abc"),
            ("passwordsalt", "aB3"),
            ("secret", "a7Zq"),
            ("OAUTH_CLIENT_SECRET", "my-secret"),
            ("token", "abc123"),
            ("admin-password", "12345"),
            ("x", "-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----"),
            ("x", "mysql://app:sesame@db/app"),
            ("x", "ghp_0123456789abcdefghij0123456789abcdef"),
            ("x", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJlLWlz"),
        ] {
            assert_eq!(looks_secret(name, value), Some(Looks::Secret), "{name}: {value}");
        }
        assert_eq!(looks_secret("loginSecret", "my-login"), Some(Looks::Doubtful));
    }

    #[test]
    fn what_is_about_secrets_is_none() {
        for (name, value) in [
            ("MYSQL_PASSWORD_FILE", "/run/secrets/db"),
            ("token_auth_enforced", "true"),
            ("lost_password_link", "disabled"),
            ("lost_password_link", "https://example.com/reset"),
            ("hashing_default_password", "true"),
            ("password_policy", "strict"),
            ("session_token_lifetime", "3600"),
            ("remember_login_cookie_lifetime", "1296000"),
            ("PASSWORD", "$(DB_PASSWORD)"),
            ("password", "{{ x }}"),
            ("password", ""),
            ("passthrough", "a"),
            ("compass", "a"),
            ("bypass_cache", "a"),
            ("tokens", "a"),
            ("default_phone_region", "DE"),
            ("x", "https://user@example.com/a"),
            ("x", "https://example.com/a:b@c"),
            ("x", "-----BEGIN CERTIFICATE-----"),
            ("secretName", "my-tls"),
        ] {
            assert_eq!(looks_secret(name, value), None, "{name}: {value}");
        }
    }
}
