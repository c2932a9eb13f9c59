//! Pods and volume groups: containers of volumes, whose names are part of the volumes' names.

use serde_json::{Value as Json, json};

use super::{FlashArray, tags};
use crate::simulator::collection::{
    Collection, id, is_destroyed, reference, set_destroyed, shown, text,
};
use crate::simulator::fields::{self, Field, Takes};
use crate::simulator::names::{self, Parts, within};
use crate::simulator::rest::{Outcome, Refusal, Request};

/// A kind of container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Container {
    Pod,
    VolumeGroup,
}

const QUOTA: (i64, i64) = (1 << 20, 1 << 52);
const POD_MADE_WITH: &[Field] = &[
    ("failover_preferences", Takes::Handler),
    ("quota_limit", Takes::Number(QUOTA.0, QUOTA.1)),
    ("tags", Takes::Handler),
];
const POD_CHANGED_WITH: &[Field] = &[
    ("destroyed", Takes::Boolean),
    ("failover_preferences", Takes::Handler),
    ("ignore_usage", Takes::Handler),
    ("mediator", Takes::Text),
    ("name", Takes::Text),
    ("quota_limit", Takes::Limit(QUOTA.0, QUOTA.1)),
];
const GROUP_MADE_WITH: &[Field] = &[
    ("priority_adjustment", Takes::Fields(super::PRIORITY_ADJUSTMENT)),
    ("qos", Takes::Fields(super::QOS)),
    ("tags", Takes::Handler),
];
const GROUP_CHANGED_WITH: &[Field] = &[
    ("destroyed", Takes::Boolean),
    ("name", Takes::Text),
    ("priority_adjustment", Takes::Fields(super::PRIORITY_ADJUSTMENT)),
    ("qos", Takes::Fields(super::QOS)),
];

impl Container {
    /// Returns the field that refers to the container.
    fn field(self) -> &'static str {
        match self {
            Self::Pod => "pod",
            Self::VolumeGroup => "volume_group",
        }
    }

    fn changed_with(self) -> &'static [Field] {
        match self {
            Self::Pod => POD_CHANGED_WITH,
            Self::VolumeGroup => GROUP_CHANGED_WITH,
        }
    }

    fn collection(self, array: &FlashArray) -> &Collection {
        match self {
            Self::Pod => &array.pods,
            Self::VolumeGroup => &array.volume_groups,
        }
    }

    pub(super) fn collection_mut(self, array: &mut FlashArray) -> &mut Collection {
        match self {
            Self::Pod => &mut array.pods,
            Self::VolumeGroup => &mut array.volume_groups,
        }
    }
}

impl FlashArray {
    pub(super) fn make_pod(&mut self, request: &Request, now: u64) -> Outcome {
        let name = request.one("names")?;
        names::check(name, true)?;
        request.flag("with_default_protection")?;
        let about = json!({"name": self.settings.name, "id": self.array_id()});
        let mut object = json!({
            "name": name, "array_count": 1, "destroyed": false, "failover_preferences": [],
            "eradication_config": self.eradication(), "footprint": 0, "link_source_count": 0,
            "arrays": [{
                "name": about["name"], "id": about["id"], "mediator_status": "online", "status": "online",
                "member": about, "pre_elected": false, "progress": 1.0,
            }],
            "link_target_count": 0, "mediator": "purestorage", "mediator_version": "1.0",
            "members": [about], "promotion_status": "promoted", "requested_promotion_state": "promoted",
        });
        fields::set(&mut object, &request.body, &[POD_MADE_WITH])?;
        self.prefer(&mut object, &request.body)?;
        self.make_container(Container::Pod, object, request, now)
    }

    pub(super) fn make_volume_group(&mut self, request: &Request, now: u64) -> Outcome {
        let name = request.one("names")?;
        let parts = Parts::of(name);
        names::check(parts.own, false)?;
        if parts.group.is_some() {
            return Err(Refusal::of(name, "Invalid name."));
        }
        let mut object = json!({
            "name": name, "destroyed": false, "qos": {}, "volume_count": 0, "priority_adjustment": {
                "priority_adjustment_operator": "+", "priority_adjustment_value": 0,
            },
        });
        fields::set(&mut object, &request.body, &[GROUP_MADE_WITH])?;
        if let Some(pod) = parts.pod {
            object["pod"] = reference(self.pods.live(pod)?);
        }
        self.make_container(Container::VolumeGroup, object, request, now)
    }

    fn make_container(
        &mut self,
        kind: Container,
        mut object: Json,
        request: &Request,
        now: u64,
    ) -> Outcome {
        tags::read(request.body.get("tags"))?;
        kind.collection(self).free(text(&object, "name"))?;
        object["id"] = self.id().into();
        let items = json!([shown(&object, now)]);
        kind.collection_mut(self).add(object)?;
        Ok(json!({ "items": items }))
    }

    /// Sets the preferred arrays of a pod. There is only this one.
    fn prefer(&self, pod: &mut Json, body: &Json) -> Result<(), Refusal> {
        let Some(arrays) = body.get("failover_preferences") else {
            return Ok(());
        };
        let own = |array: &Json| array["name"] == self.settings.name.as_str();
        if !arrays.as_array().is_some_and(|arrays| arrays.iter().all(own)) {
            return Err(Refusal::missing(text(pod, "name"), "Array"));
        }
        pod["failover_preferences"] = arrays.clone();
        Ok(())
    }

    pub(super) fn change_containers(
        &mut self,
        kind: Container,
        request: &Request,
        now: u64,
    ) -> Outcome {
        let body = &request.body;
        let due = now + self.settings.eradication_delay;
        let destroys_contents = request.flag("destroy_contents")? == Some(true);
        let changed_copies = kind.collection(self).changed_copies(request, |container| {
            let name = text(container, "name").to_owned();
            fields::set(container, body, &[kind.changed_with()])?;
            self.prefer(container, body)?;
            let (old, new) = (Parts::of(&name), Parts::of(text(container, "name")));
            names::check(new.own, kind == Container::Pod)?;
            if (old.pod, old.group) != (new.pod, new.group) {
                return Err(Refusal::of(name, "A new name does not move a volume group."));
            }
            if body["destroyed"] == true {
                self.check_contents(kind, container, destroys_contents)?;
            }
            set_destroyed(container, body, due);
            Ok(())
        })?;
        for (old, new) in &changed_copies {
            kind.collection_mut(self).replace(old, new);
            if old["name"] != new["name"] {
                self.rename_contents(kind, new);
            }
            match body["destroyed"].as_bool() {
                Some(true) => self.destroy_contents(kind, id(new), Some(due)),
                Some(false) => self.destroy_contents(kind, id(new), None),
                None => {}
            }
        }
        Ok(
            json!({"items": changed_copies.iter().map(|(_, new)| shown(new, now)).collect::<Vec<_>>()}),
        )
    }

    /// Refuses to destroy a container because of its contents, or because of objects that use them.
    fn check_contents(
        &self,
        kind: Container,
        container: &Json,
        destroys: bool,
    ) -> Result<(), Refusal> {
        let mut contents = self.contents(kind, id(container));
        contents.retain(|object| !is_destroyed(object));
        if !destroys && !contents.is_empty() {
            return Err(Refusal::of(text(container, "name"), "The container is not empty."));
        }
        for object in contents {
            if object["connection_count"].as_u64().is_some_and(|count| count > 0) {
                let why = "Volume cannot be deleted due to existing connections.";
                return Err(Refusal::of(text(object, "name"), why));
            }
            if super::protection_groups::is_locked(object) {
                let why = "Protection group is in retention lock.";
                return Err(Refusal::of(text(object, "name"), why));
            }
        }
        Ok(())
    }

    /// Returns the contents of a container: volumes, and for a pod volume groups and protection groups too.
    fn contents(&self, kind: Container, container: &str) -> Vec<&Json> {
        let volumes = self.volumes.of(kind.field(), container);
        let mut contents: Vec<&Json> = volumes.collect();
        if kind == Container::Pod {
            contents.extend(self.volume_groups.of("pod", container));
            contents.extend(self.groups.of("pod", container));
        }
        contents
    }

    /// Destroys or recovers the contents together with their container.
    fn destroy_contents(&mut self, kind: Container, container: &str, due: Option<u64>) {
        self.destroy_volumes_of(kind.field(), container, due);
        if kind == Container::VolumeGroup {
            return;
        }
        for collection in [&mut self.volume_groups, &mut self.groups] {
            match due {
                Some(due) => collection.destroy_of("pod", container, due),
                None => collection.recover_of("pod", container),
            }
        }
        let groups: Vec<String> =
            self.groups.of("pod", container).map(|g| id(g).to_owned()).collect();
        for group in groups {
            self.destroy_snapshots_of(&group, due);
        }
    }

    /// Renames the contents after their container.
    fn rename_contents(&mut self, kind: Container, container: &Json) {
        let name = text(container, "name");
        let renamed = |object: &Json| {
            let mut new = object.clone();
            new[kind.field()]["name"] = name.into();
            let parts = Parts::of(text(object, "name"));
            new["name"] = match (kind, parts.group) {
                (Container::VolumeGroup, _) => format!("{name}/{}", parts.own).into(),
                (Container::Pod, Some(group)) => format!("{name}::{group}/{}", parts.own).into(),
                (Container::Pod, None) => within(Some(name), parts.own).into(),
            };
            new
        };
        if kind == Container::Pod {
            let groups: Vec<Json> = self.volume_groups.of("pod", id(container)).cloned().collect();
            for group in groups {
                self.volume_groups.replace(&group, &renamed(&group));
                self.name_group(&renamed(&group));
            }
            let groups: Vec<Json> = self.groups.of("pod", id(container)).cloned().collect();
            for group in groups {
                let mut new = renamed(&group);
                new["source"]["name"] = name.into();
                self.put_group(&group, &new);
            }
        }
        let volumes: Vec<Json> = self.volumes.of(kind.field(), id(container)).cloned().collect();
        for volume in volumes {
            self.put_volume(&volume, &renamed(&volume));
        }
    }

    /// Renames a volume group, and updates its volumes' references. Their names depend only on the pod.
    fn name_group(&mut self, group: &Json) {
        self.volumes.change_of("volume_group", id(group), |volume| {
            volume["volume_group"]["name"] = group["name"].clone();
        });
    }

    pub(super) fn eradicate_containers(&mut self, kind: Container, request: &Request) -> Outcome {
        let with_contents = request.flag("eradicate_contents")? == Some(true);
        for container in kind.collection(self).required(request)? {
            let contents = self.contents(kind, id(container));
            if !with_contents && !contents.is_empty() {
                return Err(Refusal::of(text(container, "name"), "The container is not empty."));
            }
            contents.iter().try_for_each(|object| self.check_eradication(object))?;
        }
        let safe_mode = self.settings.safe_mode;
        for container in kind.collection_mut(self).eradicate(request, safe_mode)? {
            self.forget_contents(kind, &container);
        }
        Ok(json!({}))
    }

    /// Removes the contents of a container.
    pub(super) fn forget_contents(&mut self, kind: Container, container: &Json) {
        for volume in self.volumes.remove_of(kind.field(), id(container)) {
            self.forget_volume(&volume);
        }
        if kind == Container::Pod {
            self.volume_groups.remove_of("pod", id(container));
            for group in self.groups.remove_of("pod", id(container)) {
                self.forget_group(&group);
            }
        }
    }
}
