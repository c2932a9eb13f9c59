//! An app after its blueprint: everything decided that does not depend on Kubernetes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use indexmap::IndexMap;
use ipnet::IpNet;
use serde_json::Value as Json;

use super::language::{Component, Job, SecretKeys};
use crate::compiler::diagnostic::Place;
use crate::compiler::spec::Common;
use crate::compiler::yaml::Node;
use crate::contract::storage::{BaseClass, Foreign};
use crate::contract::{
    ClassSnapshots, Quantity, Seconds, SnapshotPolicy, StorageSpec, address, host_and_port,
};

/// An app, ready to be compiled.
#[derive(Debug, Clone)]
pub struct App {
    /// Kind of the blueprint, such as `NextCloud`.
    pub kind: String,
    /// Name, first part of the name of every object.
    pub name: String,
    /// Namespace, unless it is left to whoever applies the manifests.
    pub namespace: Option<String>,
    /// Labels for every object.
    pub labels: BTreeMap<String, String>,
    /// Annotations for every object.
    pub annotations: BTreeMap<String, String>,
    /// Fields that every app has.
    pub common: Common,
    /// Needs for storage, with their class.
    pub volumes: IndexMap<String, AppVolume>,
    /// Secrets by the blueprint's name.
    pub secrets: IndexMap<String, Secret>,
    /// Programs that serve.
    pub components: IndexMap<String, Component>,
    /// Programs that end.
    pub jobs: IndexMap<String, Job>,
    /// Allowed connections.
    pub talks: Vec<Talk>,
    /// Ports reached from outside.
    pub exposed: Vec<Exposed>,
    /// Day on which it ends, `2026-12-24`.
    pub expires: Option<String>,
    /// Objects as they are, with their place.
    pub manifests: Vec<(Json, Place)>,
    /// Image of the step that fills Secrets.
    pub helper: String,
    /// What the run's storage documents say of the cluster's networks.
    pub networks: Networks,
    /// Contents of the blueprint's files that are mounted, by name.
    pub files: BTreeMap<String, Arc<str>>,
    /// The document, for the places of its fields.
    pub document: Node,
}

impl App {
    /// Returns the place of a field of the document, or of the nearest that is written.
    pub fn place(&self, path: &str) -> Place {
        self.document.place_of(path.split('.'))
    }

    /// Returns `app-part`, the name of an object.
    pub fn object_name(&self, part: &str) -> String {
        format!("{}-{part}", self.name)
    }

    /// Returns the volumes that a component or job mounts, with their names.
    pub fn mounted<'a>(
        &'a self,
        program: &'a super::Program,
    ) -> impl Iterator<Item = (&'a str, &'a AppVolume)> {
        program.mounts.iter().filter(|(_, mount)| mount.is_some()).filter_map(|(name, _)| {
            self.volumes.get_key_value(name.as_str()).map(|(name, volume)| (name.as_str(), volume))
        })
    }
}

/// A need for storage.
#[derive(Debug, Clone)]
pub struct AppVolume {
    /// What is stored there.
    pub about: String,
    /// Its class.
    pub class: Class,
    /// Its size.
    pub size: Quantity,
    /// Existing claim to mount instead of a new one.
    pub claim: Option<String>,
    /// User and group that its top folder belongs to.
    pub owner: Option<(u32, u32)>,
    /// Mode of that folder.
    pub mode: String,
    /// Whether the data outlives the app.
    pub keep: bool,
    /// Snapshots by schedule, on top of those of its class.
    pub snapshots: Option<SnapshotPolicy>,
}

/// A secret.
#[derive(Debug, Clone)]
pub struct Secret {
    /// Name of the Kubernetes Secret.
    pub name: String,
    /// Whether it exists already, so that nothing is rendered for it.
    pub existing: bool,
    /// Its keys.
    pub keys: SecretKeys,
}

/// An allowed connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Talk {
    /// Component or job that connects.
    pub from: String,
    /// Component that is reached.
    pub to: String,
    /// Its port, by name.
    pub port: String,
}

/// A port that is reached from outside.
#[derive(Debug, Clone)]
pub struct Exposed {
    /// The component.
    pub component: String,
    /// Its port, by name.
    pub port: String,
    /// Host names.
    pub hosts: Vec<String>,
    /// Largest request body.
    pub max_body: Option<Quantity>,
    /// Longest time that a request may take.
    pub timeout: Option<Seconds>,
}

/// What a class is, as far as an app depends on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Class {
    /// Name of the StorageClass.
    pub name: String,
    /// File or block.
    pub kind: ClassKind,
    /// Whether file locks hold on one node only (`nolock`).
    pub node_local_locks: bool,
    /// Snapshots by schedule of its volumes.
    pub snapshots: Option<ClassSnapshots>,
}

/// The two kinds of class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClassKind {
    /// Shared by any number of pods on any node.
    File,
    /// Attached to one node at a time.
    Block,
}

impl ClassKind {
    /// Returns the word that expressions see.
    pub fn word(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Block => "block",
        }
    }
}

/// Networks that storage documents name, for the policies of apps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks {
    /// Where arrays are. Those whose addresses are given as names are not among them.
    pub arrays: BTreeSet<IpNet>,
    /// Where the servers of the Kubernetes API are; empty when no document says so.
    pub kubernetes_api: BTreeSet<IpNet>,
    /// Ports of these servers; empty when no document says so.
    pub kubernetes_ports: BTreeSet<u16>,
    /// Storage of others that pods may name; none when no document installs the policy that refuses the rest.
    pub foreign: Option<Foreign>,
}

impl Networks {
    fn add(&mut self, storage: &StorageSpec) {
        for array in &storage.arrays {
            let hosts = std::iter::once(&array.management).chain(&array.data);
            let hosts = hosts.filter_map(|host| address(host_and_port(host).0)).map(IpNet::from);
            let networks = array.networks.iter().filter_map(|network| network.0.parse().ok());
            self.arrays.extend(hosts.chain(networks).map(|network: IpNet| network.trunc()));
        }
        let Some(own) = &storage.provisioner else { return };
        let api = &own.network.kubernetes_api;
        let networks = api.networks.iter().filter_map(|network| network.0.parse::<IpNet>().ok());
        self.kubernetes_api.extend(networks.map(|network| network.trunc()));
        self.kubernetes_ports.extend(&api.ports);
        let foreign = self.foreign.get_or_insert_default();
        foreign.servers.extend(own.foreign.servers.iter().cloned());
        foreign.drivers.extend(own.foreign.drivers.iter().cloned());
    }
}

/// What the run's storage documents say to apps: the classes that they may name, and networks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Classes {
    classes: BTreeMap<String, Class>,
    networks: Networks,
}

/// The built-in file class.
pub(crate) const PURE_FILE: &str = "pure-file";
/// The built-in block class.
pub(crate) const PURE_BLOCK: &str = "pure-block";

impl Default for Classes {
    /// Returns the two that are always there.
    fn default() -> Self {
        let class = |name: &str, kind| {
            let name = name.to_owned();
            (name.clone(), Class { name, kind, node_local_locks: false, snapshots: None })
        };
        let classes = [class(PURE_FILE, ClassKind::File), class(PURE_BLOCK, ClassKind::Block)];
        Self { classes: classes.into(), networks: Networks::default() }
    }
}

impl Classes {
    /// Adds those of a storage document.
    pub fn add(&mut self, storage: &StorageSpec) {
        self.networks.add(storage);
        for (name, spec) in &storage.classes {
            let like = match spec.like {
                Some(BaseClass::PureFile) => ClassKind::File,
                Some(BaseClass::PureBlock) => ClassKind::Block,
                None => self.classes.get(name).map_or(ClassKind::File, |class| class.kind),
            };
            let node_local_locks = spec.mount_options.iter().any(|option| option == "nolock");
            let snapshots = spec.snapshots;
            let class = Class { name: name.clone(), kind: like, node_local_locks, snapshots };
            self.classes.insert(name.clone(), class);
        }
    }

    /// Returns the class with a name.
    pub fn get(&self, name: &str) -> Option<&Class> {
        self.classes.get(name)
    }

    /// Returns all names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.classes.keys().map(String::as_str)
    }

    /// Returns the networks that storage documents name.
    pub fn networks(&self) -> &Networks {
        &self.networks
    }
}
