//! Rules over all apps of one run: no two make the same object or claim the same host, and together
//! they stay within the quotas of the storage document.
//!
//! Keeps a few dozen bytes for each object, so that a run over ten thousand apps stays small.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::claims::{self, Claims, Use};
use crate::blueprint::App;
use crate::compile::Compiled;
use crate::diagnostic::{Code, Diagnostic, Place};
use crate::manifest::Object;
use crate::spec::{Profile, Quantity, QuotaSpec};
use crate::yaml::Node;

/// What other apps of the run need to know of one: made on the thread that rendered it, so that the
/// app and its objects can go.
#[derive(Debug)]
pub struct Facts {
    name: String,
    name_place: Place,
    volumes_place: Place,
    /// Hash of each object's identity, in the order of `identities`.
    objects: Vec<u64>,
    /// What the identities look like, a line each: needed only when two are the same.
    identities: String,
    /// Each host and where it is written.
    hosts: Vec<(String, Place)>,
    node_ports: Vec<NodePort>,
    node_port_place: Place,
    /// Class and bytes of each claim.
    claims: Vec<(String, u64)>,
    uses: Vec<Use>,
    namespace: Option<String>,
    own_namespace: bool,
    profile: Profile,
    holds_data: bool,
}

impl Facts {
    /// Returns an app's.
    pub fn of(app: &App, compiled: &Compiled) -> Self {
        let mut objects = Vec::with_capacity(compiled.objects.len());
        let mut identities = String::new();
        for object in &compiled.objects {
            let before = identities.len();
            object.describe(&mut identities);
            let mut hasher = DefaultHasher::new();
            identities[before..].hash(&mut hasher);
            objects.push(hasher.finish());
            identities.push('\n');
        }
        Self {
            name: app.name.clone(),
            name_place: app.place("metadata.name"),
            volumes_place: app.place("spec.volumes"),
            objects,
            identities,
            hosts: hosts(app),
            node_ports: compiled.objects.iter().flat_map(NodePort::of).collect(),
            node_port_place: app.place("spec.expose.nodePort"),
            claims: compiled.objects.iter().filter_map(claim).collect(),
            uses: claims::uses(app, compiled),
            namespace: app.namespace.clone(),
            own_namespace: app.common.create_namespace,
            profile: compiled.profile,
            holds_data: app.volumes.values().any(|volume| volume.keep),
        }
    }
}

/// Returns the hosts of an app, each with the place where it is written.
fn hosts(app: &App) -> Vec<(String, Place)> {
    let spec = app.document.get("spec");
    let lists = spec.and_then(Node::entries).unwrap_or_default().iter().flat_map(|entry| {
        entry.value.items().map_or_else(|| std::slice::from_ref(&entry.value), |items| items)
    });
    let written: Vec<(&str, Place)> =
        lists.filter_map(|node| Some((node.text()?, node.place))).collect();
    let mut found: Vec<(String, Place)> = Vec::new();
    for host in app.exposed.iter().flat_map(|exposed| &exposed.hosts) {
        let before = found.iter().filter(|(other, _)| other == host).count();
        let mut places = written.iter().filter(|(text, _)| text == host).map(|(_, place)| *place);
        let place = places.clone().nth(before).or_else(|| places.next());
        found.push((host.clone(), place.unwrap_or_else(|| app.place("spec.host"))));
    }
    found
}

/// A port that a Service takes on every node of the cluster.
#[derive(Debug, Clone)]
pub(super) struct NodePort {
    pub(super) service: String,
    pub(super) number: i32,
    pub(super) protocol: String,
}

impl NodePort {
    /// Returns those that an object names; others are chosen by Kubernetes.
    pub(super) fn of(object: &Object) -> Vec<Self> {
        let Object::Service(service) = object else { return Vec::new() };
        let ports = service.spec.iter().flat_map(|spec| spec.ports.iter().flatten());
        let numbered = ports.filter_map(|port| {
            let protocol = port.protocol.clone().unwrap_or_else(|| "TCP".to_owned());
            Some(Self { service: object.name().to_owned(), number: port.node_port?, protocol })
        });
        numbered.collect()
    }
}

fn claim(object: &Object) -> Option<(String, u64)> {
    let Object::PersistentVolumeClaim(claim) = object else {
        return None;
    };
    let spec = claim.spec.as_ref()?;
    let size = spec.resources.as_ref()?.requests.as_ref()?.get("storage")?;
    let bytes = Quantity::parse(&size.0).map_or(0, |size| size.bytes());
    Some((spec.storage_class_name.clone()?, bytes))
}

/// A Namespace that apps share: the weakest profile of them all, and whether any has data to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedNamespace {
    /// Its name.
    pub name: String,
    /// The strictest profile that all its apps meet.
    pub profile: Profile,
    /// Whether it holds data that outlives an app.
    pub holds_data: bool,
}

/// What has been seen so far in a run.
#[derive(Debug, Default)]
pub struct Run {
    /// Name, place of the name.
    apps: Vec<(String, Place)>,
    objects: HashMap<u64, u32>,
    hosts: HashMap<String, (u32, Place)>,
    node_ports: HashMap<(i32, String), (u32, Place)>,
    quotas: BTreeMap<(String, String), Sum>,
    claims: Claims,
    namespaces: BTreeMap<String, (Profile, bool)>,
}

/// What a quota allows, and what is asked for.
#[derive(Debug, Default)]
struct Sum {
    claims: Option<u64>,
    capacity: Option<Quantity>,
    asked_claims: u64,
    asked_bytes: u64,
    last: Option<Place>,
}

impl Run {
    /// Returns a run within these quotas.
    pub fn new<'q>(quotas: impl IntoIterator<Item = &'q QuotaSpec>) -> Self {
        let mut run = Self::default();
        for quota in quotas {
            let key = (quota.namespace.clone(), quota.class.clone());
            let sum = run.quotas.entry(key).or_default();
            sum.claims = quota.claims.map(u64::from).or(sum.claims);
            sum.capacity = quota.capacity.clone().or(sum.capacity.take());
        }
        run
    }

    /// Adds an app; returns what it and an earlier one cannot both have.
    pub fn add(&mut self, app: &Facts) -> Vec<Diagnostic> {
        let number = u32::try_from(self.apps.len()).unwrap_or(u32::MAX);
        self.apps.push((app.name.clone(), app.name_place));
        let mut found = Vec::new();
        let mut met = Vec::new();
        for (hash, identity) in app.objects.iter().zip(app.identities.lines()) {
            if let Some(other) = self.objects.insert(*hash, number)
                && other != number
                && !met.contains(&other)
            {
                met.push(other);
                found.push(self.collision(app, other, identity));
            }
        }
        for (host, place) in &app.hosts {
            if let Some((other, first)) = self.hosts.insert(host.clone(), (number, *place)) {
                found.push(self.same_host(app, (host, *place), other, first));
            }
        }
        for port in &app.node_ports {
            let key = (port.number, port.protocol.clone());
            let place = app.node_port_place;
            // Those of one app have been checked with its objects.
            if let Some((other, first)) = self.node_ports.insert(key, (number, place))
                && other != number
            {
                found.push(self.same_port(app, port, other, first));
            }
        }
        for (class, bytes) in &app.claims {
            let key = (app.namespace.clone().unwrap_or_default(), class.clone());
            if let Some(sum) = self.quotas.get_mut(&key) {
                sum.asked_claims += 1;
                sum.asked_bytes = sum.asked_bytes.saturating_add(*bytes);
                sum.last = Some(app.volumes_place);
            }
        }
        let name =
            |number: u32| self.apps.get(number as usize).map_or("", |(name, ..)| name.as_str());
        found.extend(self.claims.add(number, app.namespace.as_deref(), &app.uses, name));
        self.namespace(app);
        found
    }

    /// Notes the app's namespace, unless it belongs to the cluster or somebody else makes it.
    fn namespace(&mut self, app: &Facts) {
        let Some(name) = app.namespace.as_ref().filter(|_| app.own_namespace) else {
            return;
        };
        if name == "default" || name.starts_with("kube-") {
            return;
        }
        let new = (app.profile, app.holds_data);
        let (profile, holds_data) = self.namespaces.entry(name.clone()).or_insert(new);
        *profile = (*profile).min(app.profile);
        *holds_data |= app.holds_data;
    }

    /// Returns the namespaces of all apps.
    pub fn namespaces(&self) -> impl Iterator<Item = SharedNamespace> {
        self.namespaces.iter().map(|(name, (profile, holds_data))| SharedNamespace {
            name: name.clone(),
            profile: *profile,
            holds_data: *holds_data,
        })
    }

    fn collision(&self, app: &Facts, other: u32, identity: &str) -> Diagnostic {
        let other = self.apps.get(other as usize);
        let name = other.map_or("", |(name, _)| name);
        let message = format!("`{}` and `{name}` both make {identity}", app.name);
        Diagnostic::new(Code::Collision, app.name_place, message)
            .at("metadata.name")
            .and(other.map(|(_, place)| *place), "made here first")
            .fix("rename one of the two, or give it another namespace")
    }

    fn name(&self, app: u32) -> &str {
        self.apps.get(app as usize).map_or("", |(name, _)| name)
    }

    fn same_host(
        &self,
        app: &Facts,
        (host, place): (&str, Place),
        other: u32,
        first: Place,
    ) -> Diagnostic {
        let is_same = other as usize + 1 == self.apps.len();
        let (message, fix) = if is_same {
            (format!("`{}` claims `{host}` twice", app.name), "remove one of the two")
        } else {
            let message =
                format!("`{host}` is claimed by `{}` and by `{}`", app.name, self.name(other));
            (message, "give each app a host name of its own")
        };
        Diagnostic::new(Code::HostCollision, place, message)
            .at("spec.host")
            .and(Some(first), "claimed here first")
            .fix(fix)
    }

    fn same_port(&self, app: &Facts, port: &NodePort, other: u32, first: Place) -> Diagnostic {
        let message = format!(
            "the API server refuses the node port {}: `{}` and `{}` both take it",
            port.number,
            app.name,
            self.name(other),
        );
        Diagnostic::new(Code::Refused, app.node_port_place, message)
            .at("spec.expose.nodePort")
            .and(Some(first), "taken here first")
            .fix("write another port, or leave it out so that Kubernetes picks one")
    }

    /// Returns the quotas that all apps together exceed.
    pub fn finish(&self) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        for ((namespace, class), sum) in &self.quotas {
            let mut tell = |asked: String, allowed: String| {
                let message = format!(
                    "namespace `{namespace}` asks for {asked} of `{class}`, its quota is {allowed}"
                );
                found.push(
                    Diagnostic::new(Code::Quota, sum.last, message)
                        .fix("make volumes smaller, or raise the quota in the Storage document"),
                );
            };
            if let Some(claims) = sum.claims.filter(|claims| sum.asked_claims > *claims) {
                tell(format!("{} claims", sum.asked_claims), claims.to_string());
            }
            if let Some(capacity) = sum.capacity.as_ref().filter(|c| sum.asked_bytes > c.bytes()) {
                tell(Quantity::about(sum.asked_bytes), capacity.to_string());
            }
        }
        found
    }
}
