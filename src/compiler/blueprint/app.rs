//! An app after its blueprint is applied: every decision that does not depend on Kubernetes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use indexmap::IndexMap;
use ipnet::IpNet;
use serde_json::Value as Json;

use super::language::{Component, Job, Program, SecretKeys};
use crate::compiler::diagnostic::Place;
use crate::compiler::spec::{Additions, Common};
use crate::compiler::yaml::Node;
use crate::contract::storage::{BaseClass, Foreign, NoNodeService};
use crate::contract::{
    ClassSnapshots, Quantity, Seconds, SnapshotPolicy, StorageSpec, address, host_and_port,
};

/// An app, ready to compile.
#[derive(Debug, Clone)]
pub struct App {
    /// Kind of the blueprint, such as `NextCloud`.
    pub kind: String,
    /// Name: the first part of the name of every object.
    pub name: String,
    /// Namespace. If none, the tool that applies the manifests decides.
    pub namespace: Option<String>,
    /// Labels for every object.
    pub labels: BTreeMap<String, String>,
    /// Annotations for every object.
    pub annotations: BTreeMap<String, String>,
    /// Fields that every app has.
    pub common: Common,
    /// Volumes with their classes.
    pub volumes: IndexMap<String, AppVolume>,
    /// Volumes that a condition of the blueprint leaves out, with the parameters of the condition, such as `database.host`.
    pub left_out: BTreeMap<String, BTreeSet<String>>,
    /// Secrets, by their name in the blueprint.
    pub secrets: IndexMap<String, Secret>,
    /// Programs that serve.
    pub components: IndexMap<String, Component>,
    /// Programs that run and end.
    pub jobs: IndexMap<String, Job>,
    /// What the app file adds to components and jobs, by their names: a job has those of the component that it is like.
    pub additions: BTreeMap<String, Additions>,
    /// Parameter that sets the number of pods, by component. A component whose number the blueprint fixes is missing.
    pub scaled_by: BTreeMap<String, String>,
    /// Allowed connections.
    pub talks: Vec<Talk>,
    /// Allowed connections to servers outside the app.
    pub servers: Vec<Server>,
    /// Ports that are reachable from outside.
    pub exposed: Vec<Exposed>,
    /// Last day of the app, `2026-12-24`.
    pub expires: Option<String>,
    /// Objects that are rendered as written, with their places.
    pub manifests: Vec<(Json, Place)>,
    /// Image of the step that fills Secrets.
    pub helper: String,
    /// Networks of the cluster, from the run's storage documents.
    pub networks: Networks,
    /// Contents of the blueprint's mounted files, by name.
    pub files: BTreeMap<String, Arc<str>>,
    /// The document, to look up places of its fields.
    pub document: Node,
}

impl App {
    /// Returns the place of a field of the document, or of its nearest written parent.
    pub fn place(&self, path: &str) -> Place {
        self.document.place_of(path.split('.'))
    }

    /// Returns the components that mount one of the program's block volumes, on whose node the program has to run.
    pub fn neighbours<'a>(&'a self, program: &'a Program) -> impl Iterator<Item = &'a str> {
        let block: Vec<&str> = self
            .mounted(program)
            .filter(|(_, volume)| volume.class.kind == ClassKind::Block)
            .map(|(name, _)| name)
            .collect();
        self.components.iter().filter_map(move |(name, component)| {
            let mounts =
                self.mounted(&component.program).any(|(volume, _)| block.contains(&volume));
            mounts.then_some(name.as_str())
        })
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

/// A volume of an app.
#[derive(Debug, Clone)]
pub struct AppVolume {
    /// Description of the data.
    pub about: String,
    /// Its class.
    pub class: Class,
    /// Its size.
    pub size: Quantity,
    /// Existing claim to mount instead of a new one.
    pub claim: Option<String>,
    /// Folder inside the claim, `.` for its top. If none, the layout follows from the class.
    pub path: Option<String>,
    /// Files or folders of which the app's data has one at its top.
    pub holds: Vec<String>,
    /// User and group ID of its top folder.
    pub owner: Option<(u32, u32)>,
    /// Mode of that folder.
    pub mode: String,
    /// Whether the data outlives the app.
    pub keep: bool,
    /// Scheduled snapshots, in addition to those of its class.
    pub snapshots: Option<SnapshotPolicy>,
}

impl AppVolume {
    /// Returns the folder inside the claim that pods mount as the volume `name`; none for the top. On block storage,
    /// the app gets a folder, so that it sees the owner and mode that it wants, and no `lost+found`.
    pub fn folder<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        match self.path.as_deref() {
            Some(".") => None,
            None if self.class.kind == ClassKind::Block && self.owner.is_some() => Some(name),
            written => written,
        }
    }
}

/// A secret.
#[derive(Debug, Clone)]
pub struct Secret {
    /// Name of the Kubernetes Secret.
    pub name: String,
    /// Whether the Secret exists already, so that none is rendered.
    pub existing: bool,
    /// Its keys.
    pub keys: SecretKeys,
}

impl Secret {
    /// Returns whether it is rendered and filled in the cluster: it does not exist, and the app does not choose its
    /// values.
    pub fn is_filled(&self) -> bool {
        !self.existing && !self.keys.values().all(|key| key.given)
    }
}

/// An allowed connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Talk {
    /// Component or job that connects.
    pub from: String,
    /// Component that accepts the connection.
    pub to: String,
    /// Its port, by name.
    pub port: String,
    /// Whether it starts only after the other component.
    pub waits: bool,
}

/// An allowed connection to a server outside the app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Component or job that connects.
    pub from: String,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Parameter that the blueprint takes the host from, such as `database.host`; none if it writes or computes the host.
    pub field: Option<String>,
}

/// A port that is reachable from outside.
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

/// The properties of a class that affect an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Class {
    /// Name of the StorageClass.
    pub name: String,
    /// File or block.
    pub kind: ClassKind,
    /// Whether file locks apply to one node only (`nolock`).
    pub node_local_locks: bool,
    /// Scheduled snapshots of its volumes.
    pub snapshots: Option<ClassSnapshots>,
    /// For a block class: why the run's storage documents install no node service that could mount its volumes; none if
    /// one of them does, or if none of them has an array for block volumes.
    pub no_node_service: Option<NoNodeService>,
}

/// The two types of class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClassKind {
    /// Shared by any number of pods on any node.
    File,
    /// Attached to one node at a time.
    Block,
}

impl ClassKind {
    /// Returns the word used in expressions.
    pub fn word(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Block => "block",
        }
    }
}

/// Networks in storage documents, for the NetworkPolicies of apps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks {
    /// Networks of arrays. Arrays whose addresses are host names are missing.
    pub arrays: BTreeSet<IpNet>,
    /// Networks of the Kubernetes API servers; empty if no document sets them.
    pub kubernetes_api: BTreeSet<IpNet>,
    /// Ports of these servers; empty if no document sets them.
    pub kubernetes_ports: BTreeSet<u16>,
    /// Storage of other systems that pods may name; none if no document installs the policy that refuses the
    /// rest.
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

/// The parts of the run's storage documents that concern apps: classes and networks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Classes {
    by_name: BTreeMap<String, Class>,
    networks: Networks,
    /// Whether a storage document installs the node service.
    has_node_service: bool,
    /// Why a storage document with an array for block volumes does not.
    no_node_service: Option<NoNodeService>,
}

/// The built-in file class.
pub(crate) const PURE_FILE: &str = "pure-file";
/// The built-in block class.
pub(crate) const PURE_BLOCK: &str = "pure-block";

impl Default for Classes {
    /// Returns the two built-in classes.
    fn default() -> Self {
        let class = |name: &str, kind| {
            let name = name.to_owned();
            let class = Class {
                name: name.clone(),
                kind,
                node_local_locks: false,
                snapshots: None,
                no_node_service: None,
            };
            (name, class)
        };
        let classes = [class(PURE_FILE, ClassKind::File), class(PURE_BLOCK, ClassKind::Block)];
        Self {
            by_name: classes.into(),
            networks: Networks::default(),
            has_node_service: false,
            no_node_service: None,
        }
    }
}

impl Classes {
    /// Adds the classes and networks of a storage document.
    pub fn add(&mut self, storage: &StorageSpec) {
        self.networks.add(storage);
        for (name, spec) in &storage.classes {
            let like = match spec.like {
                Some(BaseClass::PureFile) => ClassKind::File,
                Some(BaseClass::PureBlock) => ClassKind::Block,
                None => self.by_name.get(name).map_or(ClassKind::File, |class| class.kind),
            };
            let node_local_locks = spec.mount_options.iter().any(|option| option == "nolock");
            let snapshots = spec.snapshots;
            let class = Class {
                name: name.clone(),
                kind: like,
                node_local_locks,
                snapshots,
                no_node_service: None,
            };
            self.by_name.insert(name.clone(), class);
        }
        match storage.node_service_or_reason() {
            Some(Ok(_)) => self.has_node_service = true,
            Some(Err(reason)) => self.no_node_service = Some(reason),
            None => {}
        }
        let missing = self.no_node_service.filter(|_| !self.has_node_service);
        for class in self.by_name.values_mut().filter(|class| class.kind == ClassKind::Block) {
            class.no_node_service = missing;
        }
    }

    /// Returns the class with a name.
    pub fn get(&self, name: &str) -> Option<&Class> {
        self.by_name.get(name)
    }

    /// Returns the names of all classes.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// Returns the networks of the storage documents.
    pub fn networks(&self) -> &Networks {
        &self.networks
    }
}
