//! Members of protection groups: joining, leaving, and protection from eradication.

use serde_json::{Value as Json, json};

use super::FlashArray;
use super::protection_groups::is_locked;
use crate::simulator::collection::{KEY, Scope, id, is_destroyed, reference, shown, text};
use crate::simulator::names::Parts;
use crate::simulator::rest::{Outcome, Refusal, Request};

/// Parameters for names and for ids.
const GROUPS: (&str, &str) = ("group_names", "group_ids");
const VOLUMES: (&str, &str) = ("member_names", "member_ids");
/// Internal field for the lookup of members: `true` or `false`.
pub(super) const DESTROYED: &str = "_destroyed";

impl FlashArray {
    pub(super) fn members_scope(&self, request: &Request) -> Result<Scope, Refusal> {
        let mut scope = Scope::new();
        self.groups.narrow(&mut scope, "group", request, GROUPS)?;
        let volumes = self.volumes.selected(request, VOLUMES.0, VOLUMES.1)?;
        let Some(destroyed) = request.flag("member_destroyed")? else {
            self.volumes.narrow(&mut scope, "member", request, VOLUMES)?;
            return Ok(scope);
        };
        if let Some(unfit) = volumes.iter().find(|volume| is_destroyed(volume) != destroyed) {
            return Err(Refusal::missing(text(unfit, "name"), "Volume"));
        }
        self.volumes.narrow(&mut scope, "member", request, VOLUMES)?;
        scope.push((DESTROYED, vec![destroyed.to_string()]));
        Ok(scope)
    }

    pub(super) fn add_members(&mut self, request: &Request, now: u64) -> Outcome {
        let pairs = self.group_pairs(request)?;
        for (group, volume) in &pairs {
            self.groups.live(text(group, "name"))?;
            self.volumes.live(text(volume, "name"))?;
            check_pod(group, text(volume, "name"))?;
        }
        for (group, volume) in &pairs {
            self.join(group, volume);
        }
        let members =
            pairs.iter().filter_map(|(group, volume)| self.members.get(&key(group, volume)));
        Ok(json!({"items": members.map(|member| shown(member, now)).collect::<Vec<_>>()}))
    }

    pub(super) fn remove_members(&mut self, request: &Request) -> Outcome {
        let pairs = self.group_pairs(request)?;
        for (group, volume) in &pairs {
            if self.members.get(&key(group, volume)).is_none() {
                return Err(Refusal::missing(text(volume, "name"), "Protection group member"));
            }
            if is_locked(group) {
                let why = "Protection group is in retention lock.";
                return Err(Refusal::of(text(group, "name"), why));
            }
        }
        for (group, volume) in &pairs {
            self.members.remove(&key(group, volume));
            super::count(&mut self.groups, group, "volume_count", -1);
        }
        Ok(json!({}))
    }

    fn group_pairs(&self, request: &Request) -> Result<Vec<(Json, Json)>, Refusal> {
        let groups = self.groups.selected_required(request, GROUPS.0, GROUPS.1)?;
        let volumes = self.volumes.selected_required(request, VOLUMES.0, VOLUMES.1)?;
        let with_each = |group: &&Json| {
            let group = (*group).clone();
            volumes.iter().map(move |volume| (group.clone(), (*volume).clone()))
        };
        Ok(groups.iter().flat_map(with_each).collect())
    }

    /// Adds a volume to a group, unless it is a member already.
    pub(super) fn join(&mut self, group: &Json, volume: &Json) {
        let key = key(group, volume);
        if self.members.get(&key).is_none() {
            let mut member = reference(volume);
            member["destroyed"] = volume["destroyed"].clone();
            let destroyed = volume["destroyed"].to_string();
            self.members.insert(json!({
                KEY: key, "group": reference(group), "member": member, DESTROYED: destroyed,
            }));
            super::count(&mut self.groups, group, "volume_count", 1);
        }
    }

    /// Removes a volume from all groups.
    pub(super) fn leave_all(&mut self, volume: &Json) {
        for member in self.members.remove_of("member", id(volume)) {
            super::count(&mut self.groups, &member["group"], "volume_count", -1);
        }
    }

    /// Records in a volume's memberships whether the volume has been destroyed.
    pub(super) fn mark_members(&mut self, volume: &str, destroyed: bool) {
        self.members.change_of("member", volume, |member| {
            member["member"]["destroyed"] = destroyed.into();
            member[DESTROYED] = destroyed.to_string().into();
        });
    }

    /// Returns the groups that a new volume joins.
    pub(super) fn protection_of_new(
        &self,
        request: &Request,
        volume: &str,
        overwrites: bool,
    ) -> Result<Vec<Json>, Refusal> {
        let mut groups = self.groups_to_join(request, volume)?;
        let default = request.flag("with_default_protection")?;
        if overwrites {
            if default.is_some() || !groups.is_empty() {
                let message = "Protection cannot be given when a volume is overwritten.";
                return Err(Refusal::of(volume, message));
            }
            return Ok(Vec::new());
        }
        // Pods have a separate default protection, which is not simulated.
        let named = self.settings.default_protection.as_ref().filter(|_| default != Some(false));
        if let (Some(name), None) = (named, Parts::of(volume).pod) {
            groups.extend(self.groups.live(name).ok().cloned());
        }
        Ok(groups)
    }

    /// Returns the groups that a volume joins when it moves to another pod.
    pub(super) fn protection_of_moved(
        &self,
        request: &Request,
        old: &Json,
        new: &Json,
    ) -> Result<Vec<Json>, Refusal> {
        let name = text(old, "name");
        let joins = self.groups_to_join(request, text(new, "name"))?;
        let (names, ids) =
            ("remove_from_protection_group_names", "remove_from_protection_group_ids");
        let leaves = self.groups.selected(request, names, ids)?;
        if id(&old["pod"]) == id(&new["pod"]) {
            if joins.is_empty() && leaves.is_empty() {
                return Ok(joins);
            }
            return Err(Refusal::of(name, "Protection changes here only with the pod."));
        }
        for member in self.members.of("member", id(old)) {
            let group = leaves.iter().find(|group| id(group) == id(&member["group"]));
            if group.is_none_or(|group| is_locked(group)) {
                let message =
                    "The volume must leave its protection groups, and may not or does not.";
                return Err(Refusal::of(name, message));
            }
        }
        Ok(joins)
    }

    fn groups_to_join(&self, request: &Request, volume: &str) -> Result<Vec<Json>, Refusal> {
        let (names, ids) = ("add_to_protection_group_names", "add_to_protection_group_ids");
        let groups = self.groups.selected(request, names, ids)?;
        for group in &groups {
            self.groups.live(text(group, "name"))?;
            check_pod(group, volume)?;
        }
        Ok(groups.into_iter().cloned().collect())
    }

    /// Refuses to eradicate a volume that a group protects.
    pub(super) fn check_eradication(&self, volume: &Json) -> Result<(), Refusal> {
        let mut groups = self.members.of("member", id(volume));
        let locked = |member: &Json| self.groups.by_id(id(&member["group"])).is_some_and(is_locked);
        if groups.any(locked) {
            return Err(Refusal::of(text(volume, "name"), "Eradication is disabled."));
        }
        Ok(())
    }
}

/// Refuses a volume outside of a group's pod.
fn check_pod(group: &Json, volume: &str) -> Result<(), Refusal> {
    if Parts::of(text(group, "name")).pod == Parts::of(volume).pod {
        return Ok(());
    }
    Err(Refusal::of(volume, "The volume is not in the pod of the protection group."))
}

fn key(group: &Json, volume: &Json) -> String {
    format!("{} {}", id(group), id(volume))
}
