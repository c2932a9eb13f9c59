//! How hard an array may be asked: how many requests at once, and how long to stay away from one that
//! has too much to do.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::concurrency::{Turn, Turns, Urgency};

/// How hard and how long an array is asked.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Requests at once.
    pub concurrency: usize,
    /// How long a connection may take to come about.
    pub connect: Duration,
    /// How long an answer may take.
    pub request: Duration,
    /// How long one operation may take, with all its requests and waiting.
    pub patience: Duration,
    /// The same of one that lists all volumes.
    pub list: Duration,
    /// How long to stay away from an array that is busy and does not say how long; doubled each time.
    pub first_wait: Duration,
    /// Longest time to stay away.
    pub longest_wait: Duration,
    /// How often the token and the file of authorities are looked at for a change.
    pub look: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            concurrency: 8,
            connect: Duration::from_secs(5),
            request: Duration::from_secs(30),
            patience: Duration::from_secs(90),
            list: Duration::from_secs(300),
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_secs(30),
            look: Duration::from_secs(10),
        }
    }
}

/// The one door to an array, through which all requests go.
#[derive(Debug)]
pub(super) struct Gate {
    pace: Pace,
    turns: Turns,
    shut: Mutex<Shut>,
}

#[derive(Debug, Default)]
struct Shut {
    until: Option<Instant>,
    /// How often in a row the array was busy.
    times: u32,
}

impl Gate {
    pub(super) fn new(pace: Pace) -> Self {
        Self { pace, turns: Turns::new(pace.concurrency.max(1)), shut: Mutex::default() }
    }

    pub(super) fn pace(&self) -> &Pace {
        &self.pace
    }

    /// Waits for a place, and until the array wants to be asked again; none when that is after the
    /// deadline, or that has passed. Places go to each namespace in turn.
    pub(super) async fn enter(&self, deadline: Instant) -> Option<Turn> {
        let place = self.turns.take(Urgency::Does);
        let place = tokio::time::timeout_at(deadline, place).await.ok()?;
        loop {
            let until = self.shut.lock().unwrap_or_else(PoisonError::into_inner).until;
            match until.filter(|until| *until > Instant::now()) {
                None if deadline <= Instant::now() => return None,
                None => return Some(place),
                Some(until) if until > deadline => return None,
                Some(until) => sleep_until(until).await,
            }
        }
    }

    /// The array has answered as it should.
    pub(super) fn good(&self) {
        self.shut.lock().unwrap_or_else(PoisonError::into_inner).times = 0;
    }

    /// The array wants to be left alone for a while, which it may have said itself. A part of the time
    /// is left to chance, so that not all come back at once.
    pub(super) fn shut(&self, asked: Option<Duration>) {
        let mut shut = self.shut.lock().unwrap_or_else(PoisonError::into_inner);
        let doubled = self.pace.first_wait.saturating_mul(1 << shut.times.min(10));
        let wait = asked.unwrap_or(doubled).min(self.pace.longest_wait);
        let wait = wait.mul_f64(1.0 + fastrand::f64() / 4.0);
        shut.times = shut.times.saturating_add(1);
        let until = Instant::now() + wait;
        shut.until = Some(shut.until.map_or(until, |earlier| earlier.max(until)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate() -> Gate {
        Gate::new(Pace {
            concurrency: 1,
            first_wait: Duration::from_millis(10),
            longest_wait: Duration::from_millis(80),
            ..Pace::default()
        })
    }

    fn far() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    /// How long somebody waits for a place.
    async fn waits(gate: &Gate) -> Duration {
        let before = Instant::now();
        drop(gate.enter(far()).await.expect("a place"));
        before.elapsed()
    }

    #[tokio::test]
    async fn a_busy_array_is_left_alone_for_longer_each_time() {
        let gate = gate();
        for wait in [10, 20, 40, 80, 80] {
            gate.shut(None);
            assert!(waits(&gate).await >= Duration::from_millis(wait), "{wait}");
        }
        gate.good();
        gate.shut(None);
        let until = gate.shut.lock().expect("unharmed").until.expect("shut");
        let wait = until - Instant::now();
        assert!(
            wait <= Duration::from_micros(12_500),
            "it starts again after a good answer: {wait:?}"
        );
    }

    #[tokio::test]
    async fn what_the_array_says_counts() {
        let gate = gate();
        gate.shut(Some(Duration::from_millis(50)));
        let soon = Instant::now() + Duration::from_millis(10);
        assert!(gate.enter(soon).await.is_none(), "not before the deadline");
        gate.shut(Some(Duration::from_millis(1)));
        assert!(
            waits(&gate).await >= Duration::from_millis(35),
            "a shorter word does not undo a longer"
        );
    }

    #[tokio::test]
    async fn each_namespace_gets_its_turn() {
        let gate = std::sync::Arc::new(gate());
        let first = gate.enter(far()).await.expect("a place");
        let order = std::sync::Arc::new(Mutex::new(Vec::new()));
        for party in ["many"; 100].into_iter().chain(["one"]) {
            let (gate, order) = (std::sync::Arc::clone(&gate), std::sync::Arc::clone(&order));
            tokio::spawn(crate::concurrency::on_behalf(party, async move {
                let _place = gate.enter(far()).await.expect("a place");
                order.lock().expect("unharmed").push(party);
            }));
        }
        for _ in 0..500 {
            tokio::task::yield_now().await;
        }
        drop(first);
        for _ in 0..500 {
            tokio::task::yield_now().await;
        }
        let order = order.lock().expect("unharmed");
        assert_eq!((order.len(), order.iter().position(|party| *party == "one")), (101, Some(1)));
    }

    #[tokio::test]
    async fn no_more_at_once_than_there_are_places() {
        let gate = gate();
        let first = gate.enter(far()).await.expect("a place");
        let soon = Instant::now() + Duration::from_millis(10);
        assert!(gate.enter(soon).await.is_none(), "taken until the deadline");
        drop(first);
        assert!(gate.enter(far()).await.is_some());
    }
}
