//! Lists of all objects of a kind, page by page, trimmed to the fields that the provisioner reads.

use kube::api::ListParams;
use kube::{Api, Client};

use super::trim::{Trim, Trimmed};

/// How many objects a list brings at once: more of them take more memory at the start than ever after. Fewer when
/// they are large: see `pages`.
pub(super) const PAGE: u32 = 100;
/// How often a page is asked for that does not come, or is too large.
const TRIES: usize = 5;

/// Looks at all objects of a kind, page by page, until `read` has seen enough and returns `false`.
pub(super) async fn for_each<K>(
    client: &Client,
    fields: &str,
    mut read: impl FnMut(K) -> bool,
) -> Result<(), kube::Error>
where
    K: kube::Resource<DynamicType = ()> + Trim + Clone + std::fmt::Debug,
    K: serde::de::DeserializeOwned,
{
    let api = Api::<Trimmed<K>>::all(client.clone());
    let mut params = ListParams::default().limit(PAGE);
    if !fields.is_empty() {
        params = params.fields(fields);
    }
    loop {
        let mut tries = 1;
        let page = loop {
            match api.list(&params).await {
                // The client has learnt by then to request fewer objects: see `pagination`.
                Err(kube::Error::Service(_)) if tries < TRIES => tries += 1,
                page => break page?,
            }
        };
        for object in page.items {
            if !read(object.0) {
                return Ok(());
            }
        }
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(()),
        }
    }
}
