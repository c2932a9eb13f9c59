//! A fair queue: its flows alternate, so that a flow with thousands of items does not delay the others.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

tokio::task_local! {
    /// The flow of the current task: usually a namespace.
    static FLOW: Arc<str>;
}

/// Assigns the requests of a future to a flow, usually a namespace.
pub(crate) async fn with_flow<F: Future>(flow: &str, work: F) -> F::Output {
    FLOW.scope(Arc::from(flow), work).await
}

/// Returns the flow of the current task; empty outside any flow.
pub(crate) fn current_flow() -> Arc<str> {
    FLOW.try_with(Arc::clone).unwrap_or_else(|_| Arc::from(""))
}

/// The waiting items by flow. The cost of adding and taking one does not depend on their number.
#[derive(Debug)]
pub(crate) struct FairQueue<T> {
    waiting: HashMap<Arc<str>, VecDeque<T>>,
    /// Flows with waiting items, in the order in which they are served.
    order: VecDeque<Arc<str>>,
}

impl<T> Default for FairQueue<T> {
    fn default() -> Self {
        Self { waiting: HashMap::new(), order: VecDeque::new() }
    }
}

impl<T> FairQueue<T> {
    /// Adds an item at the end of its flow's queue.
    pub(crate) fn push(&mut self, flow: Arc<str>, item: T) {
        let queue = self.waiting.entry(Arc::clone(&flow)).or_default();
        if queue.is_empty() {
            self.order.push_back(flow);
        }
        queue.push_back(item);
    }

    /// Takes the first item of the flow that is served next.
    pub(crate) fn pop(&mut self) -> Option<T> {
        let flow = self.order.pop_front()?;
        let queue = self.waiting.get_mut(&flow)?;
        let item = queue.pop_front();
        if queue.is_empty() {
            self.waiting.remove(&flow);
        } else {
            self.order.push_back(flow);
        }
        item
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parties_take_turns() {
        let mut queue = FairQueue::default();
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
    async fn a_task_belongs_to_its_flow() {
        assert_eq!(&*current_flow(), "");
        let inside = with_flow("files", async { current_flow() }).await;
        assert_eq!((&*inside, &*current_flow()), ("files", ""));
    }
}
