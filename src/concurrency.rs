//! Limits the number of concurrent requests to the API server or to an array. Work and events have separate permits,
//! and namespaces share them fairly. The requests themselves are unknown here.

mod fair;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub(crate) use fair::{FairQueue, current_flow, with_flow};

/// The purpose of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// It changes or reads an object.
    Work,
    /// It records an event.
    Event,
}

/// A limit of concurrent requests, with separate permits for work and for events.
#[derive(Debug)]
pub(crate) struct RequestLimit {
    work: Permits,
    events: Permits,
}

impl RequestLimit {
    /// Returns a limit of `work` concurrent requests. Events have an eighth as many permits of their own, so that they
    /// neither wait for the work of a burst nor delay it.
    pub(crate) fn new(work: usize) -> Self {
        Self { work: Permits::new(work), events: Permits::new(work.div_ceil(8)) }
    }

    /// Waits for a permit, which lasts until the returned value is dropped. A request waits for the earlier ones of its
    /// own flow, and for a few of each other flow: see [`with_flow`].
    pub(crate) async fn take(&self, urgency: Purpose) -> Permit {
        let permits = match urgency {
            Purpose::Work => &self.work,
            Purpose::Event => &self.events,
        };
        permits.take(current_flow()).await
    }
}

/// Permits for one purpose. Semaphores are fair: the first that waits is served first.
#[derive(Debug)]
struct Permits {
    count: usize,
    all: Arc<Semaphore>,
    /// A semaphore of the same size for each flow, held while a permit is used or waited for: of the thousands of
    /// requests that a flow may have, no more than `count` are in the common queue.
    of: Mutex<HashMap<Arc<str>, Arc<Semaphore>>>,
}

impl Permits {
    fn new(count: usize) -> Self {
        Self { count, all: Arc::new(Semaphore::new(count)), of: Mutex::default() }
    }

    async fn take(&self, namespace: Arc<str>) -> Permit {
        let own = self.own(namespace).acquire_owned().await;
        let place = Arc::clone(&self.all).acquire_owned().await;
        Permit { _place: place.ok(), _own: own.ok() }
    }

    fn own(&self, namespace: Arc<str>) -> Arc<Semaphore> {
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = of.get(&namespace) {
            return Arc::clone(own);
        }
        // Unused semaphores are removed when the map is full, so that the cost of a new one does not depend on their number.
        if of.len() == of.capacity() {
            of.retain(|_, own| Arc::strong_count(own) > 1);
        }
        let own = Arc::new(Semaphore::new(self.count));
        of.insert(namespace, Arc::clone(&own));
        own
    }
}

/// The permission to send one request.
#[derive(Debug)]
pub(crate) struct Permit {
    // The common permit is dropped first and goes to the next request in the common queue. Then the next request of this
    // flow joins that queue. The semaphores are never closed.
    _place: Option<OwnedSemaphorePermit>,
    _own: Option<OwnedSemaphorePermit>,
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    type Log = Arc<Mutex<Vec<String>>>;

    /// Starts a number of tasks of one flow that wait for a permit.
    async fn wait(
        limit: &Arc<RequestLimit>,
        log: &Log,
        (flow, count): (&'static str, usize),
        urgency: Purpose,
    ) {
        for _ in 0..count {
            let (limit, log) = (Arc::clone(limit), Arc::clone(log));
            tokio::spawn(with_flow(flow, async move {
                let _turn = limit.take(urgency).await;
                log.lock().expect("not poisoned").push(flow.to_owned());
                tokio::task::yield_now().await;
            }));
        }
        all_done().await;
    }

    async fn all_done() {
        for _ in 0..20_000 {
            tokio::task::yield_now().await;
        }
    }

    fn at_once(limit: &RequestLimit, urgency: Purpose) -> Option<Permit> {
        limit.take(urgency).now_or_never()
    }

    fn many(limit: &RequestLimit, urgency: Purpose) -> Vec<Permit> {
        std::iter::from_fn(|| at_once(limit, urgency)).collect()
    }

    #[tokio::test]
    async fn events_take_no_place_of_work_and_have_an_eighth_beside_it() {
        let limit = RequestLimit::new(32);
        let events = many(&limit, Purpose::Event);
        let work = many(&limit, Purpose::Work);
        assert_eq!((events.len(), work.len()), (4, 32));
        drop(work);
        assert!(at_once(&limit, Purpose::Event).is_none(), "a place of work is none of theirs");
        assert!(at_once(&limit, Purpose::Work).is_some());
        drop(events);
        assert!(at_once(&limit, Purpose::Event).is_some(), "they wait for no work");
        assert_eq!(many(&RequestLimit::new(1), Purpose::Event).len(), 1, "never none");
    }

    #[tokio::test]
    async fn thousands_of_one_namespace_keep_no_other_waiting() {
        for urgency in [Purpose::Work, Purpose::Event] {
            for permits in [1, 8] {
                let work = if urgency == Purpose::Work { permits } else { permits * 8 };
                let (limit, log) = (Arc::new(RequestLimit::new(work)), Log::default());
                let permits_held = many(&limit, urgency);
                assert_eq!(permits_held.len(), permits);
                wait(&limit, &log, ("many", 3000), urgency).await;
                wait(&limit, &log, ("one", 1), urgency).await;
                drop(permits_held);
                all_done().await;
                let log = log.lock().expect("not poisoned");
                let before = log.iter().position(|flow| flow == "one");
                assert_eq!((before, log.len()), (Some(permits), 3001), "{urgency:?}");
            }
        }
    }

    #[tokio::test]
    async fn of_several_namespaces_each_has_as_many_before_a_new_one_as_there_are_places() {
        let (limit, log) = (Arc::new(RequestLimit::new(4)), Log::default());
        let permits_held = many(&limit, Purpose::Work);
        for flow in ["a", "b", "c"] {
            wait(&limit, &log, (flow, 100), Purpose::Work).await;
        }
        wait(&limit, &log, ("new", 1), Purpose::Work).await;
        drop(permits_held);
        all_done().await;
        let log = log.lock().expect("not poisoned");
        assert_eq!((log.iter().position(|flow| flow == "new"), log.len()), (Some(12), 301));
        for flow in ["a", "b", "c"] {
            let mine = |part: &[String]| part.iter().filter(|other| *other == flow).count();
            assert!((25..=45).contains(&mine(&log[..100])), "{flow} has its share: {log:?}");
        }
    }

    #[tokio::test]
    async fn a_turn_of_one_that_has_given_up_is_another_s() {
        let limit = RequestLimit::new(2);
        let permits_held = many(&limit, Purpose::Work);
        for _ in 0..3 {
            assert!(at_once(&limit, Purpose::Work).is_none());
        }
        drop(permits_held);
        assert_eq!(many(&limit, Purpose::Work).len(), 2, "none is lost");
    }

    #[tokio::test]
    async fn a_namespace_that_has_nothing_under_way_is_forgotten() {
        let limit = RequestLimit::new(2);
        for number in 0..10_000 {
            let permit = with_flow(&number.to_string(), limit.take(Purpose::Work)).await;
            drop(permit);
        }
        assert!(limit.work.of.lock().expect("unharmed").len() < 10);
    }
}
