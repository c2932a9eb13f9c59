//! Why an array did not do something, in kinds that decide what happens next.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::fence::Fenced;
use crate::contract::Retry;
use crate::sanitize;

/// Something that an array did not do, or that nobody knows whether it did.
#[derive(Debug, Clone)]
pub struct Error {
    array: Arc<str>,
    kind: Kind,
}

/// What went wrong. Texts that come from an array are shortened, and hold neither token nor session.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Kind {
    /// There is no such object.
    #[error("{name} is not there")]
    NotFound {
        /// Its name.
        name: String,
    },
    /// There is another object of that name, which is not ours.
    #[error("{name} is there already and is not ours: {why}")]
    NotOurs {
        /// Its name.
        name: String,
        /// How that is known.
        why: String,
    },
    /// Somebody uses it.
    #[error("{name} is in use: {by}")]
    InUse {
        /// Its name.
        name: String,
        /// By what, for people.
        by: String,
    },
    /// The array is full, or has as many objects as it takes.
    #[error("the array has no room: {message}")]
    Exhausted {
        /// What the array says.
        message: String,
    },
    /// The array refuses because of `SafeMode`.
    #[error("the array protects what is destroyed: {message}")]
    EradicationDisabled {
        /// What the array says.
        message: String,
    },
    /// The array refuses for another reason.
    #[error("the array refuses: {message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// What the array says.
        message: String,
    },
    /// The array has too much to do.
    #[error("the array is busy; it was asked for {} s", waited.as_secs())]
    Busy {
        /// For how long it was asked.
        waited: Duration,
    },
    /// What was asked for may have been done or not, and reading it again did not tell either.
    #[error("nobody knows whether it was done: {cause}")]
    UnknownOutcome {
        /// What came instead of an answer.
        cause: String,
    },
    /// The array was not reached: nothing has been done.
    #[error("the array is not reached: {cause}")]
    Unreachable {
        /// What came instead of a connection.
        cause: String,
    },
    /// What answers does not prove that it is the array: nothing has been sent.
    #[error("the array is not trusted: {cause}")]
    Untrusted {
        /// What is wrong with its certificate or with what that is held against, and what to do.
        cause: String,
    },
    /// The array does not let us in.
    #[error("the array does not take the token: {message}")]
    LoginRefused {
        /// What the array says.
        message: String,
    },
    /// There is no token to log in with.
    #[error("there is no token: {cause}")]
    NoToken {
        /// Why not.
        cause: String,
    },
    /// We are let in, but may not do this.
    #[error("the token's user may not do this: {message}")]
    Forbidden {
        /// What the array says.
        message: String,
    },
    /// At the address there is another array than before.
    #[error("this is another array: its id is {found}, not {expected}")]
    WrongArray {
        /// The id that was configured or first seen.
        expected: String,
        /// The id that it has.
        found: String,
    },
    /// The array is too old for it, or of the wrong kind.
    #[error("the array cannot do this: {needs}")]
    Unsupported {
        /// What it would need.
        needs: String,
    },
    /// The request was held back: what it was decided on may not hold any more.
    #[error("{}", match .0 {
        Fenced::NotLeading => "another process leads now; nothing was changed",
        Fenced::Expired => "the array was busy for longer than the decision is valid; nothing was changed",
    })]
    Fenced(Fenced),
    /// The answer is none that an array of this kind gives.
    #[error("the array's answer is not understood: {cause}")]
    Malformed {
        /// What is wrong with it.
        cause: String,
    },
}

impl Kind {
    /// Returns what to try.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => {
                "check `management` of the array in the storage document, and the network from here to that address and port"
            }
            Self::Untrusted { .. } => "check `ca` or `pin` of the array in the storage document",
            Self::LoginRefused { .. } | Self::NoToken { .. } => {
                "check the Secret or file that `token` of the array names, and that the array still has this token"
            }
            Self::Forbidden { .. } => "give the token's user a role that may do this",
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
            Self::Exhausted { .. } => "make room on the array",
            Self::EradicationDisabled { .. } => {
                "ask the array's administrator: SafeMode protects it"
            }
            Self::NotFound { .. }
            | Self::NotOurs { .. }
            | Self::InUse { .. }
            | Self::Refused { .. } => "look at the object on the array",
        }
    }

    /// Makes all its texts such as people may see: what is in them may be an array's words.
    fn make_plain(&mut self) {
        let texts: [Option<&mut String>; 2] = match self {
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
            | Self::Malformed { cause } => [Some(cause), None],
            Self::WrongArray { expected, found } => [Some(expected), Some(found)],
            Self::Unsupported { needs } => [Some(needs), None],
            Self::Busy { .. } | Self::Fenced(_) => [None, None],
        };
        for text in texts.into_iter().flatten() {
            *text = sanitize::line(text, sanitize::LONGEST);
        }
    }
}

impl Error {
    pub(super) fn new(array: &Arc<str>, mut kind: Kind) -> Self {
        kind.make_plain();
        Self { array: Arc::clone(array), kind }
    }

    /// Returns what went wrong.
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// Returns what went wrong, and what to try.
    pub fn advised(&self) -> String {
        format!("{self}; {}", self.kind.remedy())
    }

    /// Returns a word for metrics and events, one of a closed list.
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
            Kind::Forbidden { .. } => "Forbidden",
            Kind::WrongArray { .. } => "WrongArray",
            Kind::Unsupported { .. } => "Unsupported",
            Kind::Fenced(Fenced::NotLeading) => "NotLeading",
            Kind::Fenced(Fenced::Expired) => "Expired",
            Kind::Malformed { .. } => "Malformed",
        }
    }

    /// Returns whether to come again.
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
            | Kind::Forbidden { .. }
            | Kind::WrongArray { .. }
            | Kind::NotFound { .. }
            | Kind::NotOurs { .. }
            | Kind::Malformed { .. } => Retry::Later,
            Kind::Unsupported { .. } => Retry::Never,
        }
    }

    /// Returns whether what was asked for may have been done all the same.
    pub(super) fn may_be_done(&self) -> bool {
        matches!(self.kind, Kind::UnknownOutcome { .. })
    }

    /// Returns whether the array has looked at the request and said no.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self.kind, Kind::Refused { .. })
    }

    /// Returns a refusal as what it means, once reading has shown that it is not about the object
    /// itself. Only then do words count: neither array has codes.
    pub(super) fn by_its_words(self) -> Self {
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
