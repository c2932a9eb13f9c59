//! A queue of several parties: each in turn, one at a time, so that whoever has thousands keeps nobody waiting.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

tokio::task_local! {
    /// For whom the task works.
    static PARTY: Arc<str>;
}

/// Has what a future waits for counted as a party's: a namespace, mostly.
pub(crate) async fn on_behalf<F: Future>(party: &str, work: F) -> F::Output {
    PARTY.scope(Arc::from(party), work).await
}

/// Returns for whom the task works; the empty name is that of nobody in particular.
pub(crate) fn party() -> Arc<str> {
    PARTY.try_with(Arc::clone).unwrap_or_else(|_| Arc::from(""))
}

/// What waits, by party. Adding and taking cost the same, however many wait.
#[derive(Debug)]
pub(crate) struct Fair<T> {
    waiting: HashMap<Arc<str>, VecDeque<T>>,
    /// Parties that wait for something, in the order of their turns.
    order: VecDeque<Arc<str>>,
}

impl<T> Default for Fair<T> {
    fn default() -> Self {
        Self { waiting: HashMap::new(), order: VecDeque::new() }
    }
}

impl<T> Fair<T> {
    /// Adds one at the end of its party's queue.
    pub(crate) fn push(&mut self, party: Arc<str>, what: T) {
        let queue = self.waiting.entry(Arc::clone(&party)).or_default();
        if queue.is_empty() {
            self.order.push_back(party);
        }
        queue.push_back(what);
    }

    /// Takes the first of the party whose turn it is.
    pub(crate) fn pop(&mut self) -> Option<T> {
        let party = self.order.pop_front()?;
        let queue = self.waiting.get_mut(&party)?;
        let what = queue.pop_front();
        if queue.is_empty() {
            self.waiting.remove(&party);
        } else {
            self.order.push_back(party);
        }
        what
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parties_take_turns() {
        let mut queue = Fair::default();
        for number in 0..1000 {
            queue.push(Arc::from("many"), ("many", number));
        }
        queue.push(Arc::from("one"), ("one", 0));
        queue.push(Arc::from("two"), ("two", 0));
        queue.push(Arc::from("two"), ("two", 1));
        let first: Vec<_> = (0..5).filter_map(|_| queue.pop()).collect();
        assert_eq!(first, [("many", 0), ("one", 0), ("two", 0), ("many", 1), ("two", 1)]);
        let rest: Vec<_> = std::iter::from_fn(|| queue.pop()).map(|(_, number)| number).collect();
        assert!(rest.into_iter().eq(2..1000), "and each keeps its order");
        assert!(queue.waiting.is_empty() && queue.order.is_empty());
    }

    #[tokio::test]
    async fn a_task_works_for_whom_it_says() {
        assert_eq!(&*party(), "");
        let inside = on_behalf("files", async { party() }).await;
        assert_eq!((&*inside, &*party()), ("files", ""));
    }
}
