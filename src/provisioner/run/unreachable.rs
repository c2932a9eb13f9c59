//! Explains why a request to the Kubernetes API failed, with all causes, and suggests a remedy. Sends nothing.

use std::error::Error;

use crate::sanitize;

/// The maximum length of a cause, in characters.
const LONGEST: usize = 600;

/// Returns an error with all its sources in one line, each text once.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        let inner = error.source();
        // An error's text often ends with that of its source.
        let text = match inner.map(ToString::to_string) {
            Some(inner) => {
                text.strip_suffix(&inner).unwrap_or(&text).trim_end_matches([':', ' ']).to_owned()
            }
            None => text,
        };
        let is_said = texts.iter().any(|said| said.contains(&text));
        // The names of kube's own variants do not help an admin.
        if !text.is_empty()
            && !is_said
            && !matches!(text.as_str(), "ServiceError" | "HyperError" | "HttpError")
        {
            texts.push(text);
        }
        next = inner;
    }
    sanitize::line(&texts.join(": "), LONGEST)
}

/// Returns the cause of a failed request.
pub fn cause(error: &kube::Error) -> String {
    match error {
        // Its text would repeat the source.
        kube::Error::Api(status) if !status.message.is_empty() => {
            sanitize::line(&status.message, LONGEST)
        }
        kube::Error::Api(status) => {
            sanitize::line(&format!("{} ({})", status.reason, status.code), LONGEST)
        }
        other => chain(other),
    }
}

/// Returns the remedy.
pub fn remedy(error: &kube::Error) -> &'static str {
    match error {
        kube::Error::Api(status) => of_status(status.code),
        kube::Error::Auth(_) => {
            "run `kubectl get namespaces`: the login command of the kubeconfig has to work there first"
        }
        other => of_words(&chain(other)),
    }
}

fn of_status(code: u16) -> &'static str {
    match code {
        401 => {
            "log in to the cluster again: the API server does not accept the kubeconfig's credentials"
        }
        403 => {
            "use an account with the permission in the message; `kubectl auth can-i --list` prints the permissions of this one"
        }
        404 => "check that the cluster has this kind: `kubectl api-resources`",
        409 => "run the command again: the object was changed meanwhile",
        429 | 500.. => {
            "try again in a minute: the API server is overloaded or not ready (`kubectl get --raw /readyz`)"
        }
        _ => "correct the request as the message says",
    }
}

fn of_words(cause: &str) -> &'static str {
    let lower = cause.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    if says(&["refused"]) {
        "check that the API server runs and listens on that port; `kubectl config view --minify` prints the address of the kubeconfig"
    } else if says(&["lookup", "dns", "name or service", "resolve", "nodename"]) {
        "check the host name in the kubeconfig, DNS and the VPN"
    } else if says(&["certificate", "unknownissuer", "tls", "handshake"]) {
        "check that `certificate-authority` in the kubeconfig is that of this API server, and that no proxy is in between"
    } else if says(&["timed out", "timeout", "deadline", "unreachable", "no route"]) {
        "check the network, VPN and firewall between this machine and the API server"
    } else {
        "check the cluster with `kubectl get --raw /readyz`, using the same kubeconfig"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Layer {
        text: String,
        source: Option<Box<Layer>>,
    }

    fn layers(texts: &[&str]) -> Layer {
        let mut inner = None;
        for text in texts.iter().rev() {
            inner = Some(Box::new(Layer { text: (*text).to_owned(), source: inner }));
        }
        *inner.expect("a layer")
    }

    #[test]
    fn each_text_of_a_chain_is_said_once() {
        let error = layers(&[
            "ServiceError: client error (Connect)",
            "client error (Connect)",
            "tcp connect error",
            "Connection refused (os error 111)",
        ]);
        assert_eq!(
            chain(&error),
            "client error (Connect): tcp connect error: Connection refused (os error 111)"
        );
        let hostile = layers(&["a\u{1b}[2J\nwrong: b"]);
        assert!(!chain(&hostile).chars().any(sanitize::steers));
    }

    #[test]
    fn there_is_something_to_try_for_each_cause() {
        for (words, remedy) in [
            ("Connection refused (os error 111)", "listens on that port"),
            ("dns error: failed to lookup address information", "host name"),
            ("invalid peer certificate: UnknownIssuer", "certificate-authority"),
            ("operation timed out", "firewall"),
            ("connection reset", "readyz"),
        ] {
            assert!(of_words(words).contains(remedy), "{words}");
        }
        assert!(of_status(401).contains("log in"));
        assert!(of_status(403).contains("permission"));
        assert!(of_status(503).contains("again"));
    }
}
