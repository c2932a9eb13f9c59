//! What the app file adds to each component and job. What an addition becomes in a pod is unknown here.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use crate::compiler::blueprint::language::{Component, Job};
use crate::compiler::spec::{Additions, Common};

/// Returns the additions of each component and job. A job has the variables, files and nodes of the component that it is
/// like, under its own. It has neither the component's arguments, since it runs another command, nor its labels and
/// annotations, by which others find the component's pods.
pub(super) fn of(
    common: &Common,
    components: &IndexMap<String, Component>,
    jobs: &IndexMap<String, Job>,
    likes: &IndexMap<String, String>,
) -> BTreeMap<String, Additions> {
    let written = |name: &String| common.components.get(name).cloned();
    let has = |name: &String| components.contains_key(name) || jobs.contains_key(name);
    let names = components.keys().chain(jobs.keys());
    let own = names.filter_map(|name| Some((name.clone(), written(name)?)));
    let mut all: BTreeMap<String, Additions> = own.collect();
    for (job, component) in likes.iter().filter(|(job, _)| has(job)) {
        let Some(like) = written(component) else { continue };
        let own = all.remove(job).unwrap_or_default();
        let Additions { mut env, mut files, mut mounts, place, .. } = like;
        env.extend(own.env);
        files.extend(own.files);
        mounts.extend(own.mounts);
        let place = own.place.or(place);
        all.insert(job.clone(), Additions { env, files, mounts, place, ..own });
    }
    all
}
