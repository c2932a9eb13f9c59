//! Keeps objects in little memory, as JSON text. The cache has thousands and reads few of them per second, and a typed
//! PersistentVolume has several kilobytes of absent fields. The kind of an object is unknown here.

use std::marker::PhantomData;

use kube::Resource;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// An object as text.
#[derive(Debug)]
pub(super) struct Serialized<K> {
    json: Box<[u8]>,
    of: PhantomData<fn() -> K>,
}

impl<K: Resource + Serialize + DeserializeOwned> Serialized<K> {
    /// Serializes an object without its large unused parts.
    pub(super) fn new(mut object: K) -> Self {
        object.meta_mut().managed_fields = None;
        let json = serde_json::to_vec(&object).unwrap_or_default();
        Self { json: json.into(), of: PhantomData }
    }

    /// Returns the object. None if it cannot be serialized or parsed, which happens with no known object of the API
    /// server; it counts as not seen.
    pub(super) fn open(&self) -> Option<K> {
        #[cfg(test)]
        OPENED.with(|opened| opened.set(opened.get() + 1));
        serde_json::from_slice(&self.json).ok()
    }
}

#[cfg(test)]
thread_local! {
    static OPENED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Returns how many objects this thread has parsed: the cost of a decision.
#[cfg(test)]
pub(super) fn opened() -> usize {
    OPENED.with(std::cell::Cell::get)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::PersistentVolume;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;

    use super::*;

    #[test]
    fn an_object_comes_out_as_it_went_in() {
        let mut volume = crate::provisioner::decide::barrier("zz");
        let without = volume.clone();
        volume.metadata.managed_fields = Some(vec![ManagedFieldsEntry::default()]);
        let stored = Serialized::new(volume);
        assert_eq!(stored.open().as_ref(), Some(&without));
        assert!(stored.json.len() * 4 < size_of::<PersistentVolume>(), "{}", stored.json.len());
    }
}
