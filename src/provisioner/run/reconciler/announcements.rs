//! Publishes events, and holds the event `Provisioning` back: a claim that is bound within seconds has one event instead of
//! two, which matters when hundreds of claims arrive at once. Which event is due is decided in
//! [`decide`](crate::provisioner::decide).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::Reconciler;
use crate::concurrency::with_flow;
use crate::provisioner::decide::{Reason, Severity};
use crate::provisioner::run::cache::Subject;
use crate::provisioner::run::{Key, Message, log};

/// The time for which `Provisioning` is held back. Hundreds of claims at once are bound within it, and it is shorter than the
/// time after which a person looks for an event.
const ANNOUNCEMENT_DELAY: Duration = Duration::from_secs(5);

/// An event that is not published yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Announcement {
    /// The subject, for the log.
    pub(super) subject: Option<Subject>,
    pub(super) severity: Severity,
    pub(super) reason: Reason,
    pub(super) message: String,
}

/// The events that are held back, one for each subject.
#[derive(Debug, Default)]
pub(super) struct Announcements {
    pending: HashMap<Key, Announcement>,
}

/// What happens to an event now.
#[derive(Debug, PartialEq, Eq)]
enum Publication {
    Publish(Announcement),
    /// Call [`Announcements::due`] after [`ANNOUNCEMENT_DELAY`].
    Hold,
}

impl Announcements {
    /// Adds an event about a subject.
    fn add(&mut self, key: &Key, announcement: Announcement) -> Publication {
        match announcement.reason {
            Reason::Provisioning => {
                self.pending.insert(key.clone(), announcement);
                return Publication::Hold;
            }
            // It says more than the held event, which must not follow it: `status` reports the newest one.
            Reason::ProvisioningSucceeded | Reason::ProvisioningFailed => {
                drop(self.pending.remove(key));
            }
            _ => {}
        }
        Publication::Publish(announcement)
    }

    /// Returns the event that was held back for a subject; none if a later event has replaced it.
    pub(super) fn due(&mut self, key: &Key) -> Option<Announcement> {
        self.pending.remove(key)
    }
}

impl Reconciler {
    /// Publishes an event about a subject, or holds it back.
    pub(super) fn announce(&mut self, key: &Key, announcement: Announcement) {
        match self.announcements.add(key, announcement) {
            Publication::Publish(announcement) => self.publish(key, announcement),
            Publication::Hold => {
                let (key, sender) = (key.clone(), self.sender.clone());
                tokio::spawn(async move {
                    tokio::time::sleep(ANNOUNCEMENT_DELAY).await;
                    let _ = sender.send(Message::Announce(key));
                });
            }
        }
    }

    /// Publishes an event. A subject that is gone has none.
    pub(super) fn publish(&mut self, key: &Key, announcement: Announcement) {
        let Some(object) = self.cache.reference(key) else { return };
        let Announcement { subject, severity, reason, message } = announcement;
        log::event(subject.as_ref(), severity, reason, &message);
        self.effect_metrics.event_published(severity, reason);
        let namespace = subject.map(|subject| subject.namespace().to_owned()).unwrap_or_default();
        let executor = Arc::clone(&self.executor);
        tokio::spawn(async move {
            with_flow(&namespace, executor.record_event(object, severity, reason, message)).await;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(reason: Reason) -> Announcement {
        let (severity, message) = (Severity::Normal, reason.as_str().to_owned());
        Announcement { subject: None, severity, reason, message }
    }

    #[test]
    fn a_claim_that_is_bound_soon_has_one_event() {
        let (mut events, claim) = (Announcements::default(), Key::Claim("1".to_owned()));
        assert_eq!(events.add(&claim, event(Reason::Provisioning)), Publication::Hold);
        let bound = event(Reason::ProvisioningSucceeded);
        assert_eq!(events.add(&claim, bound.clone()), Publication::Publish(bound));
        assert_eq!(events.due(&claim), None);
    }

    #[test]
    fn a_claim_that_takes_longer_has_both() {
        let (mut events, claim) = (Announcements::default(), Key::Claim("1".to_owned()));
        let other = Key::Claim("2".to_owned());
        assert_eq!(events.add(&claim, event(Reason::Provisioning)), Publication::Hold);
        let bound = event(Reason::ProvisioningSucceeded);
        assert_eq!(events.add(&other, bound.clone()), Publication::Publish(bound.clone()));
        assert_eq!(events.due(&claim), Some(event(Reason::Provisioning)));
        assert_eq!(events.add(&claim, bound.clone()), Publication::Publish(bound));
    }

    #[test]
    fn a_failure_is_the_newest_event() {
        let (mut events, claim) = (Announcements::default(), Key::Claim("1".to_owned()));
        assert_eq!(events.add(&claim, event(Reason::Provisioning)), Publication::Hold);
        let failed = event(Reason::ProvisioningFailed);
        assert_eq!(events.add(&claim, failed.clone()), Publication::Publish(failed));
        assert_eq!(events.due(&claim), None);
    }
}
