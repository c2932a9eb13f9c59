//! Stores the objects of one kind as a watch shows them.

use std::collections::{HashMap, HashSet};

use kube::runtime::watcher::Event;

/// Objects of one kind, by a unique name.
#[derive(Debug)]
pub(in super::super) struct Store<K> {
    pub(in super::super) objects: HashMap<String, K>,
    /// The objects that a list in progress has shown.
    listed: HashSet<String>,
    /// Whether all objects were seen once.
    pub(in super::super) complete: bool,
}

impl<K> Default for Store<K> {
    fn default() -> Self {
        Self::new(false)
    }
}

impl<K> Store<K> {
    /// Returns an empty store. `complete` is whether no list will follow.
    pub(in super::super) fn new(complete: bool) -> Self {
        Self { objects: HashMap::new(), listed: HashSet::new(), complete }
    }

    /// Processes a watch event; `O` becomes the stored form of the object. Returns the names of the changed objects.
    pub(in super::super) fn apply_event<O>(
        &mut self,
        event: Event<O>,
        key: impl Fn(&O) -> String,
        convert: impl Fn(O) -> K,
    ) -> Vec<String> {
        match event {
            Event::Init => {
                self.listed.clear();
                Vec::new()
            }
            Event::InitApply(object) => {
                let key = key(&object);
                self.listed.insert(key.clone());
                self.objects.insert(key.clone(), convert(object));
                vec![key]
            }
            Event::InitDone => {
                self.complete = true;
                let listed = std::mem::take(&mut self.listed);
                let gone = self.objects.keys().filter(|key| !listed.contains(*key));
                let gone: Vec<String> = gone.cloned().collect();
                for key in &gone {
                    self.objects.remove(key);
                }
                gone
            }
            Event::Apply(object) => {
                let key = key(&object);
                self.objects.insert(key.clone(), convert(object));
                vec![key]
            }
            Event::Delete(object) => {
                let key = key(&object);
                self.objects.remove(&key);
                vec![key]
            }
        }
    }
}
