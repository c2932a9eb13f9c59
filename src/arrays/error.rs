//! Errors of array operations, in kinds that decide about retries and remedies.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::fence::Fenced;
use crate::contract::Retry;
use crate::sanitize;

/// An operation that failed on an array, or whose outcome is unknown.
#[derive(Debug, Clone)]
pub struct Error {
    array: Arc<str>,
    kind: Kind,
}

/// Kind of an error. Texts from an array are shortened and contain neither token nor session.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Kind {
    /// The object does not exist.
    #[error("{name} does not exist")]
    NotFound {
        /// Its name.
        name: String,
    },
    /// An object of that name exists, but is not the one that this operation is for.
    #[error("{name} exists, but it is not the expected object: {why}")]
    NotOurs {
        /// Its name.
        name: String,
        /// The evidence.
        why: String,
    },
    /// Clients use the object.
    #[error("{name} is in use: {by}")]
    InUse {
        /// Its name.
        name: String,
        /// The clients that use it, as text for events.
        by: String,
    },
    /// The array is full, or has reached its limit of objects.
    #[error("the array has no room: {message}")]
    Exhausted {
        /// Message of the array.
        message: String,
    },
    /// The array refuses because of `SafeMode`.
    #[error("the array protects destroyed objects: {message}")]
    EradicationDisabled {
        /// Message of the array.
        message: String,
    },
    /// The array refuses the request for another reason.
    #[error("the array refuses the request: {message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// Message of the array.
        message: String,
    },
    /// The array is overloaded.
    #[error("the array is busy; the last attempt was after {} s", waited.as_secs())]
    Busy {
        /// Duration of all attempts.
        waited: Duration,
    },
    /// The request may or may not have been carried out, and reading the state again did not show which.
    #[error("the outcome is unknown: {cause}")]
    UnknownOutcome {
        /// Failure that occurred in place of a response.
        cause: String,
    },
    /// The array is unreachable: nothing has been changed.
    #[error("the array is unreachable: {cause}")]
    Unreachable {
        /// Failure of the connection.
        cause: String,
    },
    /// The server does not prove that it is the array: nothing has been sent.
    #[error("the array is not trusted: {cause}")]
    Untrusted {
        /// The problem with its certificate or with the configured trust, and the remedy.
        cause: String,
    },
    /// The array rejects the log-in.
    #[error("the array rejects the token: {message}")]
    LoginRefused {
        /// Message of the array.
        message: String,
    },
    /// The token for the log-in cannot be read.
    #[error("the token cannot be read: {cause}")]
    NoToken {
        /// The reason.
        cause: String,
    },
    /// The CHAP password of a node cannot be read.
    #[error("the CHAP password of the node cannot be read: {cause}")]
    NoPassword {
        /// The reason.
        cause: String,
    },
    /// The log-in succeeded, but the token's user lacks a permission.
    #[error("the token's user lacks a permission: {message}")]
    Forbidden {
        /// Message of the array.
        message: String,
    },
    /// A different array than before answers at the address.
    #[error("another array answers at this address: its id is {found}, not {expected}")]
    WrongArray {
        /// The configured id, or the one that was seen first.
        expected: String,
        /// The id that the array reports.
        found: String,
    },
    /// The array is too old for the operation, or of the wrong kind.
    #[error("the array does not support this: {needs}")]
    Unsupported {
        /// The version that the operation requires.
        needs: String,
    },
    /// The request was not sent, because the decision for it may no longer be valid.
    #[error("{}", match .0 {
        Fenced::NotLeading => "another replica is the leader now; nothing was changed",
        Fenced::Expired => "the array was busy for longer than the decision is valid; nothing was changed",
    })]
    Fenced(Fenced),
    /// The response is not one that an array of this kind sends.
    #[error("the array's response is invalid: {cause}")]
    Malformed {
        /// The problem with it.
        cause: String,
    },
}

impl Kind {
    /// Returns a remedy, as an instruction.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => {
                "check `management` of the array in the storage document, and the network from here to that address and port"
            }
            Self::Untrusted { .. } => "check `ca` or `pin` of the array in the storage document",
            Self::LoginRefused { .. } | Self::NoToken { .. } => {
                "check the Secret or file that `token` of the array names, and that the token still exists on the array"
            }
            Self::NoPassword { .. } => {
                "write a key with the name of the node into the Secret that `chap` of the array names"
            }
            Self::Forbidden { .. } => "give the token's user a role with this permission",
            Self::WrongArray { .. } => {
                "check `management` and `id` of the array in the storage document"
            }
            Self::Unsupported { .. } => "upgrade the array's operating environment",
            Self::Malformed { .. } => {
                "check that `management` is the address of an array of this type, not of a proxy"
            }
            Self::Busy { .. } | Self::UnknownOutcome { .. } | Self::Fenced(_) => {
                "try again in a minute"
            }
            Self::Exhausted { .. } => "free capacity on the array",
            Self::EradicationDisabled { .. } => {
                "ask the array's administrator: SafeMode protects it"
            }
            Self::NotFound { .. }
            | Self::NotOurs { .. }
            | Self::InUse { .. }
            | Self::Refused { .. } => "check the object on the array",
        }
    }

    /// Sanitizes all its texts for display: they may contain text from an array.
    fn sanitize(&mut self) {
        for text in self.texts().into_iter().flatten() {
            *text = sanitize::line(text, sanitize::LONGEST);
        }
    }

    /// Returns all its texts.
    fn texts(&mut self) -> [Option<&mut String>; 2] {
        match self {
            Self::NotFound { name } => [Some(name), None],
            Self::InUse { name, by } => [Some(name), Some(by)],
            Self::NotOurs { name, why } => [Some(name), Some(why)],
            Self::Exhausted { message }
            | Self::EradicationDisabled { message }
            | Self::Refused { message, .. }
            | Self::LoginRefused { message }
            | Self::Forbidden { message } => [Some(message), None],
            Self::UnknownOutcome { cause }
            | Self::Unreachable { cause }
            | Self::Untrusted { cause }
            | Self::NoToken { cause }
            | Self::NoPassword { cause }
            | Self::Malformed { cause } => [Some(cause), None],
            Self::WrongArray { expected, found } => [Some(expected), Some(found)],
            Self::Unsupported { needs } => [Some(needs), None],
            Self::Busy { .. } | Self::Fenced(_) => [None, None],
        }
    }
}

impl Error {
    pub(super) fn new(array: &Arc<str>, mut kind: Kind) -> Self {
        kind.sanitize();
        Self { array: Arc::clone(array), kind }
    }

    /// Returns the same error without a secret in its texts.
    pub(super) fn without(mut self, secret: &str) -> Self {
        for text in self.kind.texts().into_iter().flatten() {
            *text = text.replace(secret, "[hidden]");
        }
        self
    }

    /// Returns the kind of the error.
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// Returns the error with a remedy.
    pub fn advised(&self) -> String {
        format!("{self}; {}", self.kind.remedy())
    }

    /// Returns a reason for metrics and events, one of a closed list.
    pub fn reason(&self) -> &'static str {
        match self.kind {
            Kind::NotFound { .. } => "NotFound",
            Kind::NotOurs { .. } => "NotOurs",
            Kind::InUse { .. } => "InUse",
            Kind::Exhausted { .. } => "Exhausted",
            Kind::EradicationDisabled { .. } => "EradicationDisabled",
            Kind::Refused { .. } => "Refused",
            Kind::Busy { .. } => "Busy",
            Kind::UnknownOutcome { .. } => "UnknownOutcome",
            Kind::Unreachable { .. } => "Unreachable",
            Kind::Untrusted { .. } => "Untrusted",
            Kind::LoginRefused { .. } => "LoginRefused",
            Kind::NoToken { .. } => "NoToken",
            Kind::NoPassword { .. } => "NoPassword",
            Kind::Forbidden { .. } => "Forbidden",
            Kind::WrongArray { .. } => "WrongArray",
            Kind::Unsupported { .. } => "Unsupported",
            Kind::Fenced(Fenced::NotLeading) => "NotLeading",
            Kind::Fenced(Fenced::Expired) => "Expired",
            Kind::Malformed { .. } => "Malformed",
        }
    }

    /// Returns whether and when to retry.
    pub fn retry(&self) -> Retry {
        match self.kind {
            Kind::Busy { .. }
            | Kind::UnknownOutcome { .. }
            | Kind::Unreachable { .. }
            | Kind::Fenced(_)
            | Kind::InUse { .. } => Retry::Soon,
            Kind::Exhausted { .. } => Retry::Elsewhere,
            Kind::EradicationDisabled { .. }
            | Kind::Refused { .. }
            | Kind::Untrusted { .. }
            | Kind::LoginRefused { .. }
            | Kind::NoToken { .. }
            | Kind::NoPassword { .. }
            | Kind::Forbidden { .. }
            | Kind::WrongArray { .. }
            | Kind::NotFound { .. }
            | Kind::NotOurs { .. }
            | Kind::Malformed { .. } => Retry::Later,
            Kind::Unsupported { .. } => Retry::Never,
        }
    }

    /// Returns whether the request may have been carried out despite the error.
    pub(super) fn may_be_done(&self) -> bool {
        matches!(self.kind, Kind::UnknownOutcome { .. })
    }

    /// Returns whether the array has processed the request and refused it.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self.kind, Kind::Refused { .. })
    }

    /// Classifies a refusal by the words of its message. Call it only after reading has shown that the refusal does not
    /// concern the object itself: neither kind of array has error codes.
    pub(super) fn classified_by_message(self) -> Self {
        let Kind::Refused { message, .. } = &self.kind else { return self };
        let words = message.to_ascii_lowercase();
        let message = message.clone();
        let says = |any: &[&str]| any.iter().any(|text| words.contains(text));
        let kind = if says(&["eradication is disabled", "safemode", "retention lock"]) {
            Kind::EradicationDisabled { message }
        } else if says(&["limit", "not enough", "insufficient", "no space", "exceed", "maximum"]) {
            Kind::Exhausted { message }
        } else {
            return self;
        };
        Self { array: self.array, kind }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.array, self.kind)
    }
}

impl std::error::Error for Error {}
