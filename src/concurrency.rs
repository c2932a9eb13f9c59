//! How many requests are under way at once, to the API server or to an array: work and events have places of
//! their own, and no namespace takes those of another. Knows nothing of requests.

mod fair;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub(crate) use fair::{Fair, on_behalf, party};

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// Something is done.
    Does,
    /// People are told.
    Tells,
}

/// A limit of requests under way: so many that do something, and beside them so many that tell of it.
#[derive(Debug)]
pub(crate) struct Turns {
    work: Places,
    events: Places,
}

impl Turns {
    /// Returns a limit of `work` requests at once. Events have an eighth as many places: they neither wait for
    /// the last work of a flood nor take its places.
    pub(crate) fn new(work: usize) -> Self {
        Self { work: Places::new(work), events: Places::new(work.div_ceil(8)) }
    }

    /// Waits for a turn, which ends when what is returned is dropped. Whoever the task works for waits behind
    /// their own, and behind a few of each other one: see [`on_behalf`].
    pub(crate) async fn take(&self, urgency: Urgency) -> Turn {
        let places = match urgency {
            Urgency::Does => &self.work,
            Urgency::Tells => &self.events,
        };
        places.take(party()).await
    }
}

/// A number of places. Semaphores are fair: who comes first is served first.
#[derive(Debug)]
struct Places {
    count: usize,
    all: Arc<Semaphore>,
    /// For each namespace as many again, held for as long as a turn lasts or is waited for: of thousands that
    /// wait, no more than `count` stand in the queue for all.
    of: Mutex<HashMap<Arc<str>, Arc<Semaphore>>>,
}

impl Places {
    fn new(count: usize) -> Self {
        Self { count, all: Arc::new(Semaphore::new(count)), of: Mutex::default() }
    }

    async fn take(&self, namespace: Arc<str>) -> Turn {
        let own = self.own(namespace).acquire_owned().await;
        let place = Arc::clone(&self.all).acquire_owned().await;
        Turn { _place: place.ok(), _own: own.ok() }
    }

    fn own(&self, namespace: Arc<str>) -> Arc<Semaphore> {
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = of.get(&namespace) {
            return Arc::clone(own);
        }
        // As often as it is full, so that a new one costs the same however many there are.
        if of.len() == of.capacity() {
            of.retain(|_, own| Arc::strong_count(own) > 1);
        }
        let own = Arc::new(Semaphore::new(self.count));
        of.insert(namespace, Arc::clone(&own));
        own
    }
}

/// A turn.
#[derive(Debug)]
pub(crate) struct Turn {
    // The place goes first, to who waits for it already; then comes the next one of this namespace, behind them. The
    // semaphores are never closed.
    _place: Option<OwnedSemaphorePermit>,
    _own: Option<OwnedSemaphorePermit>,
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    type Log = Arc<Mutex<Vec<String>>>;

    /// Lets so many of a namespace wait for a turn, one behind the other.
    async fn wait(
        turns: &Arc<Turns>,
        log: &Log,
        (party, count): (&'static str, usize),
        urgency: Urgency,
    ) {
        for _ in 0..count {
            let (turns, log) = (Arc::clone(turns), Arc::clone(log));
            tokio::spawn(on_behalf(party, async move {
                let _turn = turns.take(urgency).await;
                log.lock().expect("not poisoned").push(party.to_owned());
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

    fn at_once(turns: &Turns, urgency: Urgency) -> Option<Turn> {
        turns.take(urgency).now_or_never()
    }

    fn many(turns: &Turns, urgency: Urgency) -> Vec<Turn> {
        std::iter::from_fn(|| at_once(turns, urgency)).collect()
    }

    #[tokio::test]
    async fn events_take_no_place_of_work_and_have_an_eighth_beside_it() {
        let turns = Turns::new(32);
        let events = many(&turns, Urgency::Tells);
        let work = many(&turns, Urgency::Does);
        assert_eq!((events.len(), work.len()), (4, 32));
        drop(work);
        assert!(at_once(&turns, Urgency::Tells).is_none(), "a place of work is none of theirs");
        assert!(at_once(&turns, Urgency::Does).is_some());
        drop(events);
        assert!(at_once(&turns, Urgency::Tells).is_some(), "they wait for no work");
        assert_eq!(many(&Turns::new(1), Urgency::Tells).len(), 1, "never none");
    }

    #[tokio::test]
    async fn thousands_of_one_namespace_keep_no_other_waiting() {
        for urgency in [Urgency::Does, Urgency::Tells] {
            for places in [1, 8] {
                let work = if urgency == Urgency::Does { places } else { places * 8 };
                let (turns, log) = (Arc::new(Turns::new(work)), Log::default());
                let held = many(&turns, urgency);
                assert_eq!(held.len(), places);
                wait(&turns, &log, ("many", 3000), urgency).await;
                wait(&turns, &log, ("one", 1), urgency).await;
                drop(held);
                all_done().await;
                let log = log.lock().expect("not poisoned");
                let before = log.iter().position(|party| party == "one");
                assert_eq!((before, log.len()), (Some(places), 3001), "{urgency:?}");
            }
        }
    }

    #[tokio::test]
    async fn of_several_namespaces_each_has_as_many_before_a_new_one_as_there_are_places() {
        let (turns, log) = (Arc::new(Turns::new(4)), Log::default());
        let held = many(&turns, Urgency::Does);
        for party in ["a", "b", "c"] {
            wait(&turns, &log, (party, 100), Urgency::Does).await;
        }
        wait(&turns, &log, ("new", 1), Urgency::Does).await;
        drop(held);
        all_done().await;
        let log = log.lock().expect("not poisoned");
        assert_eq!((log.iter().position(|party| party == "new"), log.len()), (Some(12), 301));
        for party in ["a", "b", "c"] {
            let mine = |part: &[String]| part.iter().filter(|other| *other == party).count();
            assert!((25..=45).contains(&mine(&log[..100])), "{party} has its share: {log:?}");
        }
    }

    #[tokio::test]
    async fn a_turn_of_one_that_has_given_up_is_another_s() {
        let turns = Turns::new(2);
        let held = many(&turns, Urgency::Does);
        for _ in 0..3 {
            assert!(at_once(&turns, Urgency::Does).is_none());
        }
        drop(held);
        assert_eq!(many(&turns, Urgency::Does).len(), 2, "none is lost");
    }

    #[tokio::test]
    async fn a_namespace_that_has_nothing_under_way_is_forgotten() {
        let turns = Turns::new(2);
        for number in 0..10_000 {
            let turn = on_behalf(&number.to_string(), turns.take(Urgency::Does)).await;
            drop(turn);
        }
        assert!(turns.work.of.lock().expect("unharmed").len() < 10);
    }
}
