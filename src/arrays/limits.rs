//! Limits the load on an array: the number of concurrent requests, and the pause after an array has reported overload.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::concurrency::{Permit, Purpose, RequestLimit};

/// Limits and timeouts of requests to an array.
#[derive(Debug, Clone, Copy)]
pub struct RequestLimits {
    /// Concurrent requests.
    pub concurrency: usize,
    /// Timeout for a connection.
    pub connect_timeout: Duration,
    /// Timeout for one response.
    pub request_timeout: Duration,
    /// Timeout for one operation, with all its requests and waiting.
    pub operation_timeout: Duration,
    /// Timeout for an operation that lists all volumes.
    pub list_timeout: Duration,
    /// Pause after an array reports overload without a duration. It doubles each time.
    pub first_backoff: Duration,
    /// Longest pause.
    pub longest_backoff: Duration,
    /// Interval at which the files with token and authorities are checked for changes.
    pub credential_check: Duration,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            concurrency: 8,
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(30),
            operation_timeout: Duration::from_secs(90),
            list_timeout: Duration::from_secs(300),
            first_backoff: Duration::from_secs(1),
            longest_backoff: Duration::from_secs(30),
            credential_check: Duration::from_secs(10),
        }
    }
}

/// Limits the requests to one array. All requests pass through it.
#[derive(Debug)]
pub(super) struct RequestLimiter {
    limits: RequestLimits,
    slots: RequestLimit,
    backoff: Mutex<Backoff>,
}

#[derive(Debug, Default)]
struct Backoff {
    until: Option<Instant>,
    /// Number of consecutive overload responses.
    times: u32,
}

impl Backoff {
    /// Stays shut for longer; `chance` is between 0 and 1.
    fn extend(
        &mut self,
        limits: &RequestLimits,
        now: Instant,
        asked: Option<Duration>,
        chance: f64,
    ) {
        let doubled = limits.first_backoff.saturating_mul(1 << self.times.min(10));
        let wait = asked.unwrap_or(doubled).min(limits.longest_backoff).mul_f64(1.0 + chance / 4.0);
        self.times = self.times.saturating_add(1);
        let until = now + wait;
        self.until = Some(self.until.map_or(until, |earlier| earlier.max(until)));
    }
}

impl RequestLimiter {
    pub(super) fn new(limits: RequestLimits) -> Self {
        Self {
            limits,
            slots: RequestLimit::new(limits.concurrency.max(1)),
            backoff: Mutex::default(),
        }
    }

    pub(super) fn limits(&self) -> &RequestLimits {
        &self.limits
    }

    /// Waits for a slot, and until the array wants to be asked again; none when that is after the
    /// deadline, or that has passed. No namespace takes the places of others: see [`RequestLimit`].
    pub(super) async fn acquire(&self, deadline: Instant) -> Option<Permit> {
        let slot = self.slots.take(Purpose::Work);
        let slot = tokio::time::timeout_at(deadline, slot).await.ok()?;
        loop {
            let until = self.backoff.lock().unwrap_or_else(PoisonError::into_inner).until;
            match until.filter(|until| *until > Instant::now()) {
                None if deadline <= Instant::now() => return None,
                None => return Some(slot),
                Some(until) if until > deadline => return None,
                Some(until) => sleep_until(until).await,
            }
        }
    }

    /// Records a successful response, which resets the pause.
    pub(super) fn reset(&self) {
        self.backoff.lock().unwrap_or_else(PoisonError::into_inner).times = 0;
    }

    /// The array wants to be left alone for a while, which it may have said itself. A part of the time
    /// is left to chance, so that not all come back at once.
    pub(super) fn back_off(&self, asked: Option<Duration>) {
        let mut backoff = self.backoff.lock().unwrap_or_else(PoisonError::into_inner);
        backoff.extend(&self.limits, Instant::now(), asked, fastrand::f64());
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn limiter() -> RequestLimiter {
        RequestLimiter::new(RequestLimits {
            concurrency: 1,
            first_backoff: Duration::from_millis(10),
            longest_backoff: Duration::from_millis(80),
            ..RequestLimits::default()
        })
    }

    fn far() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    /// How long the array is left alone, each time as soon as it may be asked again.
    fn waits(backoff: &mut Backoff, asked: Option<Duration>, chance: f64) -> Duration {
        let now = backoff.until.unwrap_or_else(Instant::now);
        backoff.extend(limiter().limits(), now, asked, chance);
        backoff.until.expect("shut") - now
    }

    #[test]
    fn a_busy_array_is_left_alone_for_longer_each_time() {
        let mut backoff = Backoff::default();
        for wait in [10, 20, 40, 80, 80] {
            assert_eq!(waits(&mut backoff, None, 0.0), Duration::from_millis(wait));
        }
        backoff.times = 0;
        assert_eq!(waits(&mut backoff, None, 0.0), Duration::from_millis(10), "it starts again");
        assert_eq!(
            waits(&mut backoff, None, 1.0),
            Duration::from_millis(25),
            "a quarter is chance"
        );
    }

    #[test]
    fn what_the_array_says_counts() {
        let (mut backoff, now) = (Backoff::default(), Instant::now());
        let millis = Duration::from_millis;
        backoff.extend(limiter().limits(), now, Some(millis(50)), 0.0);
        assert_eq!(backoff.until, Some(now + millis(50)), "not the ten of our own");
        backoff.extend(limiter().limits(), now, Some(millis(1)), 0.0);
        assert_eq!(backoff.until, Some(now + millis(50)), "a shorter word does not undo a longer");
        backoff.extend(limiter().limits(), now, Some(millis(5000)), 0.0);
        assert_eq!(backoff.until, Some(now + millis(80)), "every pause ends");
    }

    #[tokio::test]
    async fn who_cannot_get_in_before_the_deadline_does_not_wait() {
        let limiter = RequestLimiter::new(RequestLimits {
            longest_backoff: Duration::from_secs(3600),
            ..RequestLimits::default()
        });
        limiter.back_off(Some(Duration::from_secs(3600)));
        assert!(limiter.acquire(far()).now_or_never().expect("at once").is_none());
        let later = Instant::now() + Duration::from_secs(7200);
        assert!(limiter.acquire(later).now_or_never().is_none(), "it waits for the array");
    }

    #[tokio::test]
    async fn a_good_answer_ends_the_doubling() {
        let limiter = limiter();
        limiter.back_off(None);
        limiter.reset();
        assert_eq!(limiter.backoff.lock().expect("unharmed").times, 0);
    }

    #[tokio::test]
    async fn each_namespace_gets_its_turn() {
        let limiter = std::sync::Arc::new(limiter());
        let first = limiter.acquire(far()).await.expect("a slot");
        let order = std::sync::Arc::new(Mutex::new(Vec::new()));
        for flow in ["many"; 100].into_iter().chain(["one"]) {
            let (limiter, order) = (std::sync::Arc::clone(&limiter), std::sync::Arc::clone(&order));
            tokio::spawn(crate::concurrency::with_flow(flow, async move {
                let _slot = limiter.acquire(far()).await.expect("a slot");
                order.lock().expect("unharmed").push(flow);
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
        assert_eq!((order.len(), order.iter().position(|flow| *flow == "one")), (101, Some(1)));
    }

    #[tokio::test]
    async fn no_more_at_once_than_there_are_places() {
        let limiter = limiter();
        let first = limiter.acquire(far()).await.expect("a slot");
        assert!(limiter.acquire(far()).now_or_never().is_none(), "taken");
        assert!(limiter.acquire(Instant::now()).await.is_none(), "taken until the deadline");
        drop(first);
        assert!(limiter.acquire(far()).await.is_some());
    }
}
