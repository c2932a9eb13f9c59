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

impl Shut {
    /// Stays shut for longer; `chance` is between 0 and 1.
    fn extend(&mut self, pace: &Pace, now: Instant, asked: Option<Duration>, chance: f64) {
        let doubled = pace.first_wait.saturating_mul(1 << self.times.min(10));
        let wait = asked.unwrap_or(doubled).min(pace.longest_wait).mul_f64(1.0 + chance / 4.0);
        self.times = self.times.saturating_add(1);
        let until = now + wait;
        self.until = Some(self.until.map_or(until, |earlier| earlier.max(until)));
    }
}

impl Gate {
    pub(super) fn new(pace: Pace) -> Self {
        Self { pace, turns: Turns::new(pace.concurrency.max(1)), shut: Mutex::default() }
    }

    pub(super) fn pace(&self) -> &Pace {
        &self.pace
    }

    /// Waits for a place, and until the array wants to be asked again; none when that is after the
    /// deadline, or that has passed. No namespace takes the places of others: see [`Turns`].
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
        shut.extend(&self.pace, Instant::now(), asked, fastrand::f64());
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

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

    /// How long the array is left alone, each time as soon as it may be asked again.
    fn waits(shut: &mut Shut, asked: Option<Duration>, chance: f64) -> Duration {
        let now = shut.until.unwrap_or_else(Instant::now);
        shut.extend(gate().pace(), now, asked, chance);
        shut.until.expect("shut") - now
    }

    #[test]
    fn a_busy_array_is_left_alone_for_longer_each_time() {
        let mut shut = Shut::default();
        for wait in [10, 20, 40, 80, 80] {
            assert_eq!(waits(&mut shut, None, 0.0), Duration::from_millis(wait));
        }
        shut.times = 0;
        assert_eq!(waits(&mut shut, None, 0.0), Duration::from_millis(10), "it starts again");
        assert_eq!(waits(&mut shut, None, 1.0), Duration::from_millis(25), "a quarter is chance");
    }

    #[test]
    fn what_the_array_says_counts() {
        let (mut shut, now) = (Shut::default(), Instant::now());
        let millis = Duration::from_millis;
        shut.extend(gate().pace(), now, Some(millis(50)), 0.0);
        assert_eq!(shut.until, Some(now + millis(50)), "not the ten of our own");
        shut.extend(gate().pace(), now, Some(millis(1)), 0.0);
        assert_eq!(shut.until, Some(now + millis(50)), "a shorter word does not undo a longer");
        shut.extend(gate().pace(), now, Some(millis(5000)), 0.0);
        assert_eq!(shut.until, Some(now + millis(80)), "nobody is left alone for ever");
    }

    #[tokio::test]
    async fn who_cannot_get_in_before_the_deadline_does_not_wait() {
        let gate = Gate::new(Pace { longest_wait: Duration::from_secs(3600), ..Pace::default() });
        gate.shut(Some(Duration::from_secs(3600)));
        assert!(gate.enter(far()).now_or_never().expect("at once").is_none());
        let later = Instant::now() + Duration::from_secs(7200);
        assert!(gate.enter(later).now_or_never().is_none(), "it waits for the array");
    }

    #[tokio::test]
    async fn a_good_answer_ends_the_doubling() {
        let gate = gate();
        gate.shut(None);
        gate.good();
        assert_eq!(gate.shut.lock().expect("unharmed").times, 0);
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
        assert!(gate.enter(far()).now_or_never().is_none(), "taken");
        assert!(gate.enter(Instant::now()).await.is_none(), "taken until the deadline");
        drop(first);
        assert!(gate.enter(far()).await.is_some());
    }
}
