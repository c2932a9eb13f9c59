//! Queues the start of claims, a few at a time, so that the first of thousands are complete before the last are
//! started, and each decision uses the state at its turn. Only the first write of a claim counts: an array that does
//! not answer blocks no other claim's start. Namespaces take turns, however many claims each has.

use std::collections::HashSet;
use std::sync::Arc;

use super::Key;
use crate::concurrency::FairQueue;
use crate::provisioner::decide::Effect;

/// The maximum number of first writes in flight: a quarter of all requests.
const AT_ONCE: usize = 8;

/// Claims whose first write is in flight, and the queued ones.
#[derive(Debug, Default)]
pub(super) struct StartQueue {
    in_flight: HashSet<Key>,
    waiting: FairQueue<(Key, Effect)>,
}

impl StartQueue {
    /// Queues the first write for a claim of a namespace; returns it if it may start now.
    pub(super) fn admit(&mut self, namespace: &str, key: &Key, effect: Effect) -> Option<Effect> {
        if self.in_flight.len() < AT_ONCE {
            self.in_flight.insert(key.clone());
            return Some(effect);
        }
        self.waiting.push(Arc::from(namespace), (key.clone(), effect));
        None
    }

    /// Records that the write in flight for a claim has ended.
    pub(super) fn ended(&mut self, key: &Key) {
        self.in_flight.remove(key);
    }

    /// Returns the next first write, if it may start now.
    pub(super) fn next(&mut self) -> Option<(Key, Effect)> {
        if self.in_flight.len() < AT_ONCE { self.waiting.pop() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(number: usize) -> Key {
        Key::Claim(number.to_string())
    }

    #[test]
    fn each_that_ends_lets_the_next_begin() {
        let mut start_queue = StartQueue::default();
        let admitted = (0..20)
            .filter(|n| start_queue.admit("files", &claim(*n), Effect::AwaitController).is_some());
        assert_eq!(admitted.count(), AT_ONCE);
        start_queue.ended(&claim(AT_ONCE));
        assert_eq!(start_queue.next(), None, "that one has not begun");
        start_queue.ended(&claim(3));
        let (next, effect) = start_queue.next().expect("one more");
        assert_eq!(next, claim(AT_ONCE));
        assert!(start_queue.admit("files", &next, effect).is_some());
        assert_eq!(start_queue.next(), None, "all turns are taken");
        for number in 0..20 {
            start_queue.ended(&claim(number));
        }
        let rest = std::iter::from_fn(|| start_queue.next()).map(|(key, _)| key);
        assert!(rest.eq((AT_ONCE + 1..20).map(claim)));
    }

    #[test]
    fn thousands_of_one_namespace_keep_no_other_waiting() {
        let mut start_queue = StartQueue::default();
        for number in 0..3000 {
            start_queue.admit("many", &claim(number), Effect::AwaitController);
        }
        assert!(
            start_queue.admit("one", &claim(3000), Effect::AwaitController).is_none(),
            "it waits"
        );
        let mut before = 0;
        loop {
            start_queue.ended(&claim(before));
            let (next, effect) = start_queue.next().expect("one more");
            if next == claim(3000) {
                break;
            }
            assert!(start_queue.admit("many", &next, effect).is_some());
            before += 1;
        }
        assert!(before <= 1, "{before} came first");
    }
}
