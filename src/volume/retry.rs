//! When to come again, and what people have been told already.

use std::time::Duration;

use super::effect::{About, Effect, Severity, Trouble};
use super::reason::Reason;
use crate::array::Retry;

/// First and longest time between two tries.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(300);

/// What is remembered of failures.
#[derive(Debug, Clone, Default)]
pub(super) struct Tries {
    failures: u32,
    told: Option<(Reason, String)>,
}

impl Tries {
    /// All is well again.
    pub(super) fn good(&mut self) {
        *self = Self::default();
    }

    /// Says something about an object, once for each change of reason: a message that only differs in
    /// how long something has been waited for is not news.
    pub(super) fn tell(
        &mut self,
        about: About,
        severity: Severity,
        reason: Reason,
        kind: &str,
        message: String,
    ) -> Option<Effect> {
        let news = (reason, kind.to_owned());
        if self.told.as_ref() == Some(&news) {
            return None;
        }
        self.told = Some(news);
        Some(Effect::Tell { severity, about, reason, message })
    }

    /// Returns what follows from a failure: words when they are news, and when to come again.
    pub(super) fn failed(
        &mut self,
        about: About,
        reason: Reason,
        trouble: &Trouble,
    ) -> Vec<Effect> {
        let (kind, message, slow) = match trouble {
            // The newer state is on its way here.
            Trouble::Conflict | Trouble::Exists => return vec![Effect::Later(FIRST)],
            // The next leader sees to it.
            Trouble::NotLeading => return Vec::new(),
            Trouble::Cluster(message) => ("Cluster", message.clone(), false),
            Trouble::Array { reason, message, retry } => {
                (*reason, message.clone(), *retry != Retry::Soon)
            }
        };
        let doubled = FIRST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        let wait = if slow { doubled.max(FIRST * 15) } else { doubled };
        self.failures += 1;
        let told = self.tell(about, Severity::Warning, reason, kind, message);
        told.into_iter().chain([Effect::Later(wait)]).collect()
    }
}
