//! Why an effect failed, in the words of the decisions.

use super::fencing::LeaseLost;
use crate::arrays::{Error as ArrayError, Fenced, Kind};
use crate::provisioner::decide::EffectError;
use crate::sanitize;

/// The maximum length of a message of the API server or of a webhook, in characters.
const WORDS: usize = 600;

pub(super) fn of_array(error: &ArrayError) -> EffectError {
    if let Kind::Fenced(Fenced::NotLeading) = error.kind() {
        return EffectError::NotLeading;
    }
    EffectError::Array { reason: error.reason(), message: error.to_string(), retry: error.retry() }
}

/// Returns why the API server refused a request, or was not reached.
pub(super) fn refused(error: &kube::Error) -> EffectError {
    match error {
        kube::Error::Service(error) if error.is::<LeaseLost>() => EffectError::NotLeading,
        kube::Error::Api(status) if status.reason == "AlreadyExists" => EffectError::Exists,
        kube::Error::Api(status) if status.code == 409 => EffectError::Conflict,
        kube::Error::Api(status) if status.code == 404 => EffectError::Conflict,
        // Its text would repeat the source.
        kube::Error::Api(status) => EffectError::Cluster(sanitize::line(&status.message, WORDS)),
        _ => {
            let cause = sanitize::without_links(&super::unreachable::cause(error));
            EffectError::Cluster(sanitize::line(&cause, WORDS))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_api_server_is_reported_without_repetition() {
        let status = kube::core::Status::failure("the policy says no", "Forbidden");
        let error = refused(&kube::Error::Api(status.boxed()));
        assert_eq!(error, EffectError::Cluster("the policy says no".to_owned()));
        let hostile = format!("no\n\u{1b}[2J{}", "x".repeat(2 << 20));
        let status = kube::core::Status::failure(&hostile, "Forbidden");
        let EffectError::Cluster(message) = refused(&kube::Error::Api(status.boxed())) else {
            panic!("it is the cluster's");
        };
        assert!(
            message.starts_with("no \u{fffd}[2Jxx") && message.chars().count() == WORDS + 1,
            "{message}"
        );
    }
}
