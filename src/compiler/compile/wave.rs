//! The start order of an app, as Argo CD sync waves.
//!
//! A component comes after those that it connects to. A claim is in the wave of its first user: Argo CD considers
//! a claim unhealthy while it waits for its first pod, and would never reach that pod in a later wave.

use std::collections::BTreeMap;

use crate::compiler::blueprint::App;

/// Namespaces, before everything else.
pub(super) const NAMESPACE: i32 = -30;
/// Policies that limit the provisioner's rights, before it receives them.
pub(super) const ADMISSION: i32 = -29;
/// Classes, and objects that the provisioner needs.
pub(super) const PLATFORM: i32 = -28;
/// The provisioner, before quotas, whose namespaces may not exist yet, and before all apps.
pub(super) const PROVISIONER: i32 = -25;
/// Configuration, secrets, access, network policies.
pub(super) const CONFIG: i32 = -20;
/// The step that fills Secrets.
pub(super) const SECRETS: i32 = -19;
/// Jobs, routes, scaling: after the components.
pub(super) const LAST: i32 = 1;

/// The waves of an app's components.
#[derive(Debug)]
pub(super) struct Waves<'a> {
    components: BTreeMap<&'a str, i32>,
}

impl Waves<'_> {
    /// Returns the wave of a component. For other names, it is the wave after the components.
    pub(super) fn of(&self, component: &str) -> i32 {
        self.components.get(component).copied().unwrap_or(LAST)
    }
}

/// Puts components that no other needs into wave 0, and the components that they need into earlier waves.
pub(super) fn waves(app: &App) -> Waves<'_> {
    let mut needs: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, component) in &app.components {
        let talks = app.talks.iter().filter(|talk| talk.waits && talk.from == *name);
        let talks = talks.map(|talk| talk.to.as_str());
        let after = component.serving.after.iter().map(String::as_str);
        needs.insert(name, talks.chain(after).filter(|other| other != name).collect());
    }
    let mut components: BTreeMap<&str, i32> = needs.keys().map(|name| (*name, 0)).collect();
    // Each round moves a component one wave before those that need it. A circle, which is refused, would never end, so
    // the number of rounds is the number of components.
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

/// Returns the sync wave of each component, and that of jobs and routes, for display.
pub fn order(app: &App) -> (BTreeMap<&str, i32>, i32) {
    (waves(app).components, LAST)
}
