//! Publishes events, and holds the event `Provisioning` back: a claim that is bound within seconds has one event instead of
//! two, which matters when hundreds of claims arrive at once. Which event is due is decided in
//! [`decide`](crate::provisioner::decide).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::Reconciler;
use crate::concurrency::on_behalf;
use crate::provisioner::decide::{Reason, Severity};
use crate::provisioner::run::cache::Subject;
use crate::provisioner::run::{Key, Message, log};

/// The time for which `Provisioning` is held back. Hundreds of claims at once are bound within it, and it is shorter than the
/// time after which a person looks for an event.
const HELD: Duration = Duration::from_secs(5);

/// An event that is not published yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Announcement {
    /// What is known of the subject, for the log.
    pub(super) subject: Option<Subject>,
    pub(super) severity: Severity,
    pub(super) reason: Reason,
    pub(super) message: String,
}

/// The events that are held back, one for each subject.
#[derive(Debug, Default)]
pub(super) struct Announcements {
    held: HashMap<Key, Announcement>,
}

/// What happens to an event now.
#[derive(Debug, PartialEq, Eq)]
enum Turn {
    Publish(Announcement),
    /// Call [`Announcements::due`] after [`HELD`].
    Hold,
}

impl Announcements {
    /// Adds an event about a subject.
    fn add(&mut self, key: &Key, announcement: Announcement) -> Turn {
        match announcement.reason {
            Reason::Provisioning => {
                self.held.insert(key.clone(), announcement);
                return Turn::Hold;
            }
            // It says more than the held event, which must not follow it: `status` reports the newest one.
            Reason::ProvisioningSucceeded | Reason::ProvisioningFailed => {
                drop(self.held.remove(key));
            }
            _ => {}
        }
        Turn::Publish(announcement)
    }

    /// Returns the event that was held back for a subject; none if a later event has replaced it.
    pub(super) fn due(&mut self, key: &Key) -> Option<Announcement> {
        self.held.remove(key)
    }
}

impl Reconciler {
    /// Publishes an event about a subject, or holds it back.
    pub(super) fn announce(&mut self, key: &Key, announcement: Announcement) {
        match self.announcements.add(key, announcement) {
            Turn::Publish(announcement) => self.publish(key, announcement),
            Turn::Hold => {
                let (key, sender) = (key.clone(), self.sender.clone());
                tokio::spawn(async move {
                    tokio::time::sleep(HELD).await;
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
        self.tally.publishes(severity, reason);
        let namespace = subject.map(|subject| subject.namespace().to_owned()).unwrap_or_default();
        let executor = Arc::clone(&self.executor);
        tokio::spawn(async move {
            on_behalf(&namespace, executor.tell(object, severity, reason, message)).await;
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
        assert_eq!(events.add(&claim, event(Reason::Provisioning)), Turn::Hold);
        let bound = event(Reason::ProvisioningSucceeded);
        assert_eq!(events.add(&claim, bound.clone()), Turn::Publish(bound));
        assert_eq!(events.due(&claim), None);
    }

    #[test]
    fn a_claim_that_takes_longer_has_both() {
        let (mut events, claim) = (Announcements::default(), Key::Claim("1".to_owned()));
        let other = Key::Claim("2".to_owned());
        assert_eq!(events.add(&claim, event(Reason::Provisioning)), Turn::Hold);
        let bound = event(Reason::ProvisioningSucceeded);
        assert_eq!(events.add(&other, bound.clone()), Turn::Publish(bound.clone()));
        assert_eq!(events.due(&claim), Some(event(Reason::Provisioning)));
        assert_eq!(events.add(&claim, bound.clone()), Turn::Publish(bound));
    }

    #[test]
    fn a_failure_is_the_newest_event() {
        let (mut events, claim) = (Announcements::default(), Key::Claim("1".to_owned()));
        assert_eq!(events.add(&claim, event(Reason::Provisioning)), Turn::Hold);
        let failed = event(Reason::ProvisioningFailed);
        assert_eq!(events.add(&claim, failed.clone()), Turn::Publish(failed));
        assert_eq!(events.due(&claim), None);
    }
}
