//! Whose turn it is to send a request, to the API server or to an array: what is done comes before what tells of
//! it, and of several namespaces each comes in turn. Knows nothing of requests.

mod fair;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

pub(crate) use fair::{Fair, on_behalf, party};

/// How many that tell may wait before every [`SHARE`]th turn is theirs.
const UNTOLD: usize = 256;
/// See [`UNTOLD`].
const SHARE: usize = 4;

/// What a turn is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// Something is done.
    Does,
    /// People are told.
    Tells,
}

/// A number of turns, and who waits for one.
#[derive(Debug)]
pub(crate) struct Turns(Arc<Mutex<Waiting>>);

#[derive(Debug)]
struct Waiting {
    free: usize,
    work: Fair<oneshot::Sender<Turn>>,
    tell: Fair<oneshot::Sender<Turn>>,
    /// Turns given out, as far as that matters.
    given: usize,
}

impl Waiting {
    fn next(&mut self) -> Option<oneshot::Sender<Turn>> {
        let Self { work, tell, given, .. } = self;
        *given = given.wrapping_add(1);
        let tells = tell.len() > UNTOLD && given.is_multiple_of(SHARE);
        let order = if tells { [tell, work] } else { [work, tell] };
        order.into_iter().find_map(Fair::pop)
    }
}

fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Turns {
    pub(crate) fn new(free: usize) -> Self {
        let (work, tell) = (Fair::default(), Fair::default());
        Self(Arc::new(Mutex::new(Waiting { free, work, tell, given: 0 })))
    }

    /// Waits for a turn, which ends when what is returned is dropped. Whoever the task works for waits behind
    /// their own alone: see [`on_behalf`].
    pub(crate) async fn take(&self, urgency: Urgency) -> Turn {
        loop {
            let turn = {
                let mut waiting = lock(&self.0);
                if waiting.free > 0 {
                    waiting.free -= 1;
                    return Turn(Some(Arc::clone(&self.0)));
                }
                let (sender, receiver) = oneshot::channel();
                match urgency {
                    Urgency::Does => waiting.work.push(party(), sender),
                    Urgency::Tells => waiting.tell.push(party(), sender),
                }
                receiver
            };
            if let Ok(turn) = turn.await {
                return turn;
            }
        }
    }
}

/// A turn.
#[derive(Debug)]
pub(crate) struct Turn(Option<Arc<Mutex<Waiting>>>);

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(waiting) = self.0.take() else { return };
        loop {
            let mut all = lock(&waiting);
            let Some(next) = all.next() else {
                all.free += 1;
                return;
            };
            drop(all);
            // Whoever waited may have given up.
            match next.send(Self(Some(Arc::clone(&waiting)))) {
                Ok(()) => return,
                Err(mut unwanted) => unwanted.0 = None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Log = Arc<Mutex<Vec<String>>>;

    async fn wait(turns: &Arc<Turns>, log: &Log, urgency: Urgency, count: usize) {
        for number in 0..count {
            let (turns, log) = (Arc::clone(turns), Arc::clone(log));
            tokio::spawn(async move {
                let _turn = turns.take(urgency).await;
                log.lock().expect("not poisoned").push(format!("{urgency:?} {number}"));
            });
            // It is in its queue before the next one.
            tokio::task::yield_now().await;
        }
    }

    async fn all_done() {
        for _ in 0..2000 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn what_is_done_comes_before_what_tells() {
        let (turns, log) = (Arc::new(Turns::new(1)), Log::default());
        let first = turns.take(Urgency::Tells).await;
        for urgency in [Urgency::Tells, Urgency::Does] {
            wait(&turns, &log, urgency, 2).await;
        }
        drop(first);
        all_done().await;
        let order = ["Does 0", "Does 1", "Tells 0", "Tells 1"];
        assert_eq!(*log.lock().expect("not poisoned"), order);
    }

    #[tokio::test]
    async fn what_tells_does_not_wait_for_ever() {
        let (turns, log) = (Arc::new(Turns::new(1)), Log::default());
        let first = turns.take(Urgency::Does).await;
        wait(&turns, &log, Urgency::Tells, UNTOLD + 2).await;
        wait(&turns, &log, Urgency::Does, 6).await;
        drop(first);
        all_done().await;
        let order =
            ["Does 0", "Does 1", "Does 2", "Tells 0", "Does 3", "Does 4", "Does 5", "Tells 1"];
        assert_eq!(log.lock().expect("not poisoned")[..8], order, "one turn in four");
    }

    #[tokio::test]
    async fn thousands_of_one_namespace_keep_no_other_waiting() {
        for urgency in [Urgency::Does, Urgency::Tells] {
            let (turns, log) = (Arc::new(Turns::new(1)), Log::default());
            let first = turns.take(urgency).await;
            for party in std::iter::repeat_n("many", 3000).chain(["one"]) {
                let (turns, log) = (Arc::clone(&turns), Arc::clone(&log));
                tokio::spawn(on_behalf(party, async move {
                    let _turn = turns.take(urgency).await;
                    log.lock().expect("not poisoned").push(party.to_owned());
                }));
            }
            all_done().await;
            drop(first);
            all_done().await;
            let log = log.lock().expect("not poisoned");
            let before = log.iter().position(|party| party == "one");
            assert_eq!((before, log.len()), (Some(1), 3001), "{urgency:?}");
        }
    }

    #[tokio::test]
    async fn a_turn_of_one_that_has_given_up_is_another_s() {
        let turns = Arc::new(Turns::new(2));
        let held = (turns.take(Urgency::Does).await, turns.take(Urgency::Does).await);
        for _ in 0..3 {
            let given_up = turns.take(Urgency::Does);
            assert!(tokio::time::timeout(std::time::Duration::ZERO, given_up).await.is_err());
        }
        let (other, log) = (Arc::clone(&turns), Log::default());
        wait(&other, &log, Urgency::Does, 1).await;
        drop(held);
        all_done().await;
        assert_eq!(*log.lock().expect("not poisoned"), ["Does 0"]);
        assert_eq!(lock(&turns.0).free, 2, "none is lost");
    }
}
