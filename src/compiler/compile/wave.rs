//! The order in which an app comes up, as Argo CD sync waves.
//!
//! A component comes after those that it talks to. A claim is in the wave of its first user: Argo CD
//! takes a claim that waits for its first pod for unhealthy, and would never get to that pod.

use std::collections::BTreeMap;

use crate::compiler::blueprint::App;

/// Namespaces: before everything.
pub(super) const NAMESPACE: i32 = -30;
/// What limits the provisioner's rights: before it has them.
pub(super) const ADMISSION: i32 = -29;
/// Classes, and what the provisioner needs.
pub(super) const PLATFORM: i32 = -28;
/// The provisioner: before quotas, whose namespaces may not be there yet, and before all apps.
pub(super) const PROVISIONER: i32 = -25;
/// Configuration, secrets, access, network policies.
pub(super) const CONFIG: i32 = -20;
/// The step that fills secrets.
pub(super) const SECRETS: i32 = -19;
/// Jobs, ways in, scaling: after the components.
pub(super) const LAST: i32 = 1;

/// The waves of an app's components.
#[derive(Debug)]
pub(super) struct Waves<'a> {
    components: BTreeMap<&'a str, i32>,
}

impl Waves<'_> {
    /// Returns the wave of a component; of everything else, that after the components.
    pub(super) fn of(&self, component: &str) -> i32 {
        self.components.get(component).copied().unwrap_or(LAST)
    }
}

/// Puts components that nothing waits for into wave 0 and what they need into earlier ones.
pub(super) fn waves(app: &App) -> Waves<'_> {
    let mut needs: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, component) in &app.components {
        let talks = app.talks.iter().filter(|talk| talk.from == *name).map(|talk| talk.to.as_str());
        let after = component.serving.after.iter().map(String::as_str);
        needs.insert(name, talks.chain(after).filter(|other| other != name).collect());
    }
    let mut components: BTreeMap<&str, i32> = needs.keys().map(|name| (*name, 0)).collect();
    // Each round moves what is needed one wave before who needs it. Components that need each other
    // would never end, so there are as many rounds as components.
    for _ in 0..needs.len() {
        for (name, others) in &needs {
            let before = components[name] - 1;
            for other in others {
                if let Some(wave) = components.get_mut(other) {
                    *wave = (*wave).min(before).max(-10);
                }
            }
        }
    }
    Waves { components }
}

/// Returns the sync wave of each component, and that of jobs and ways in, for people.
pub fn order(app: &App) -> (BTreeMap<&str, i32>, i32) {
    (waves(app).components, LAST)
}
