//! Errors as gRPC's codes. Messages may hold text from hosts, arrays and the cluster: they are sanitized here.

use tonic::{Code, Status};

use crate::arrays;
use crate::node::{NodeError, NodeErrorKind};
use crate::sanitize;

/// Longest message, in characters: kubelet copies it into an event of the pod.
const MAX_LENGTH: usize = 2 * sanitize::LONGEST;

/// Returns a status with a sanitized message.
pub(super) fn status(code: Code, message: &str) -> Status {
    Status::new(code, sanitize::line(message, MAX_LENGTH))
}

/// Returns the status of a wrong request.
pub(super) fn invalid(message: &str) -> Status {
    status(Code::InvalidArgument, message)
}

/// Returns the status of an error of the node service.
pub(super) fn of_node(error: &NodeError) -> Status {
    let code = match error.kind {
        NodeErrorKind::InvalidArgument => Code::InvalidArgument,
        NodeErrorKind::NotFound => Code::NotFound,
        NodeErrorKind::FailedPrecondition => Code::FailedPrecondition,
        NodeErrorKind::Aborted => Code::Aborted,
        NodeErrorKind::ResourceExhausted => Code::ResourceExhausted,
        NodeErrorKind::OutOfRange => Code::OutOfRange,
        NodeErrorKind::DeadlineExceeded => Code::DeadlineExceeded,
        NodeErrorKind::Unavailable => Code::Unavailable,
        NodeErrorKind::Internal => Code::Internal,
    };
    status(code, &error.message)
}

/// Returns the status of a stage or a publication that failed, with a code that kubelet does not take as final. After a
/// final one, kubelet assumes that nothing has happened, and never asks to unstage or unpublish; but these calls fail
/// after some of their effects. Invalid requests are refused before the first effect.
/// <https://github.com/kubernetes/kubernetes/blob/v1.34.0/pkg/volume/csi/csi_client.go> (`isFinalError`)
pub(super) fn unfinished(status: &Status) -> Status {
    let code = match status.code() {
        code @ (Code::InvalidArgument | Code::Aborted) => code,
        _ => Code::Unavailable,
    };
    Status::new(code, status.message())
}

/// Returns the status of an error of an array.
pub(super) fn of_array(error: &arrays::Error) -> Status {
    use arrays::Kind;
    let code = match error.kind() {
        Kind::NotFound { .. } => Code::NotFound,
        Kind::NotOurs { .. } | Kind::InUse { .. } | Kind::EradicationDisabled { .. } => {
            Code::FailedPrecondition
        }
        Kind::Exhausted { .. } => Code::ResourceExhausted,
        // "The caller should retry" in all of these.
        Kind::Busy { .. }
        | Kind::Unreachable { .. }
        | Kind::Untrusted { .. }
        | Kind::LoginRefused { .. }
        | Kind::NoToken { .. }
        | Kind::NoPassword { .. }
        | Kind::Forbidden { .. }
        | Kind::WrongArray { .. }
        | Kind::Fenced(_) => Code::Unavailable,
        // The outcome is unknown: neither success nor failure may be concluded.
        Kind::UnknownOutcome { .. } => Code::DeadlineExceeded,
        Kind::Unsupported { .. } => Code::OutOfRange,
        Kind::Refused { .. } | Kind::Malformed { .. } => Code::Internal,
    };
    status(code, &error.advised())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_that_steers_nothing() {
        let error = NodeError {
            kind: NodeErrorKind::FailedPrecondition,
            message: format!("mount: \u{1b}[2Jwrong\nfs {}", "x".repeat(2000)),
        };
        let status = of_node(&error);
        assert_eq!(status.code(), Code::FailedPrecondition);
        assert!(status.message().starts_with("mount: \u{fffd}[2Jwrong fs"), "{status}");
        assert_eq!(status.message().chars().count(), MAX_LENGTH + 1);
    }
}
