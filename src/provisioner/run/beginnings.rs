//! Which claims are begun with: a few at a time, so that of thousands the first are done before the last are
//! begun, and what is decided is decided upon what is known when its turn has come. Only the first write
//! counts: an array that does not answer holds up nobody's beginning. Each namespace has its turn, however many
//! claims another one has.

use std::collections::HashSet;
use std::sync::Arc;

use super::Key;
use crate::concurrency::Fair;
use crate::provisioner::decide::Effect;

/// How many first writes are under way at once. They are a quarter of all requests.
const AT_ONCE: usize = 8;

/// Claims whose first write is under way, and those that wait for it.
#[derive(Debug, Default)]
pub(super) struct Beginnings {
    under_way: HashSet<Key>,
    waiting: Fair<(Key, Effect)>,
}

impl Beginnings {
    /// Takes a first write for a claim of a namespace; gives it back when it may be done now.
    pub(super) fn admit(&mut self, namespace: &str, key: &Key, effect: Effect) -> Option<Effect> {
        if self.under_way.len() < AT_ONCE {
            self.under_way.insert(key.clone());
            return Some(effect);
        }
        self.waiting.push(Arc::from(namespace), (key.clone(), effect));
        None
    }

    /// Takes note that what was under way for a claim has ended.
    pub(super) fn ended(&mut self, key: &Key) {
        self.under_way.remove(key);
    }

    /// Returns the next first write, if it may be done now.
    pub(super) fn next(&mut self) -> Option<(Key, Effect)> {
        if self.under_way.len() < AT_ONCE { self.waiting.pop() } else { None }
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
        let mut beginnings = Beginnings::default();
        let admitted =
            (0..20).filter(|n| beginnings.admit("files", &claim(*n), Effect::Mark).is_some());
        assert_eq!(admitted.count(), AT_ONCE);
        beginnings.ended(&claim(AT_ONCE));
        assert_eq!(beginnings.next(), None, "that one has not begun");
        beginnings.ended(&claim(3));
        let (next, effect) = beginnings.next().expect("one more");
        assert_eq!(next, claim(AT_ONCE));
        assert!(beginnings.admit("files", &next, effect).is_some());
        assert_eq!(beginnings.next(), None, "all turns are taken");
        for number in 0..20 {
            beginnings.ended(&claim(number));
        }
        let rest = std::iter::from_fn(|| beginnings.next()).map(|(key, _)| key);
        assert!(rest.eq((AT_ONCE + 1..20).map(claim)));
    }

    #[test]
    fn thousands_of_one_namespace_keep_no_other_waiting() {
        let mut beginnings = Beginnings::default();
        for number in 0..3000 {
            beginnings.admit("many", &claim(number), Effect::Mark);
        }
        assert!(beginnings.admit("one", &claim(3000), Effect::Mark).is_none(), "it waits");
        let mut before = 0;
        loop {
            beginnings.ended(&claim(before));
            let (next, effect) = beginnings.next().expect("one more");
            if next == claim(3000) {
                break;
            }
            assert!(beginnings.admit("many", &next, effect).is_some());
            before += 1;
        }
        assert!(before <= 1, "{before} came first");
    }
}
