//! Limits the load on an array: the number of concurrent requests, and the pause after an array has reported overload.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::concurrency::{Turn, Turns, Urgency};

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
    slots: Turns,
    backoff: Mutex<Backoff>,
}

#[derive(Debug, Default)]
struct Backoff {
    until: Option<Instant>,
    /// Number of consecutive overload responses.
    times: u32,
}

impl RequestLimiter {
    pub(super) fn new(limits: RequestLimits) -> Self {
        Self { limits, slots: Turns::new(limits.concurrency.max(1)), backoff: Mutex::default() }
    }

    pub(super) fn limits(&self) -> &RequestLimits {
        &self.limits
    }

    /// Waits for a slot and for the end of a pause. Returns `None` when that is after the deadline. Slots go to each
    /// namespace in turn.
    pub(super) async fn acquire(&self, deadline: Instant) -> Option<Turn> {
        let slot = self.slots.take(Urgency::Does);
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

    /// Starts a pause, whose duration the array may have requested. It is jittered, so that clients do not return all
    /// at once.
    pub(super) fn back_off(&self, asked: Option<Duration>) {
        let mut backoff = self.backoff.lock().unwrap_or_else(PoisonError::into_inner);
        let doubled = self.limits.first_backoff.saturating_mul(1 << backoff.times.min(10));
        let wait = asked.unwrap_or(doubled).min(self.limits.longest_backoff);
        let wait = wait.mul_f64(1.0 + fastrand::f64() / 4.0);
        backoff.times = backoff.times.saturating_add(1);
        let until = Instant::now() + wait;
        backoff.until = Some(backoff.until.map_or(until, |earlier| earlier.max(until)));
    }
}

#[cfg(test)]
mod tests {
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

    /// Returns the time that a request waits for a slot.
    async fn waiting_time(limiter: &RequestLimiter) -> Duration {
        let before = Instant::now();
        drop(limiter.acquire(far()).await.expect("a slot"));
        before.elapsed()
    }

    #[tokio::test]
    async fn a_busy_array_is_left_alone_for_longer_each_time() {
        let limiter = limiter();
        for wait in [10, 20, 40, 80, 80] {
            limiter.back_off(None);
            assert!(waiting_time(&limiter).await >= Duration::from_millis(wait), "{wait}");
        }
        limiter.reset();
        limiter.back_off(None);
        let until = limiter.backoff.lock().expect("unharmed").until.expect("set");
        let wait = until - Instant::now();
        assert!(
            wait <= Duration::from_micros(12_500),
            "a successful response resets the pause: {wait:?}"
        );
    }

    #[tokio::test]
    async fn what_the_array_says_counts() {
        let limiter = limiter();
        limiter.back_off(Some(Duration::from_millis(50)));
        let soon = Instant::now() + Duration::from_millis(10);
        assert!(limiter.acquire(soon).await.is_none(), "not before the deadline");
        limiter.back_off(Some(Duration::from_millis(1)));
        assert!(
            waiting_time(&limiter).await >= Duration::from_millis(35),
            "a shorter pause does not end a longer one"
        );
    }

    #[tokio::test]
    async fn each_namespace_gets_its_turn() {
        let limiter = std::sync::Arc::new(limiter());
        let first = limiter.acquire(far()).await.expect("a slot");
        let order = std::sync::Arc::new(Mutex::new(Vec::new()));
        for party in ["many"; 100].into_iter().chain(["one"]) {
            let (limiter, order) = (std::sync::Arc::clone(&limiter), std::sync::Arc::clone(&order));
            tokio::spawn(crate::concurrency::on_behalf(party, async move {
                let _slot = limiter.acquire(far()).await.expect("a slot");
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
        let limiter = limiter();
        let first = limiter.acquire(far()).await.expect("a slot");
        let soon = Instant::now() + Duration::from_millis(10);
        assert!(limiter.acquire(soon).await.is_none(), "taken until the deadline");
        drop(first);
        assert!(limiter.acquire(far()).await.is_some());
    }
}
