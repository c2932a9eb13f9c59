//! Rules over all apps of one run: no two make the same object or claim the same host, and together
//! they stay within the quotas of the storage document.
//!
//! Keeps a few dozen bytes for each object, so that a run over ten thousand apps stays small.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::claims::{self, Claims, Use};
use super::storage::written;
use crate::compiler::blueprint::App;
use crate::compiler::compile::Compiled;
use crate::compiler::diagnostic::{Code, Diagnostic, Place, Severity, misspelling};
use crate::compiler::manifest::Object;
use crate::compiler::spec::Profile;
use crate::compiler::yaml::Node;
use crate::contract::class_of;
use crate::contract::storage::{ImportSpec, QuotaSpec};
use crate::contract::{Quantity, StorageSpec};

/// What other apps of the run need to know of one: made on the thread that rendered it, so that the
/// app and its objects can go.
#[derive(Debug)]
pub struct Facts {
    name: String,
    name_place: Place,
    volumes_place: Place,
    /// Hash of each object's identity, in the order of `identities`.
    objects: Vec<u64>,
    /// The identities as texts, one line each: needed only if two are equal.
    identities: String,
    /// Each host and where it is written.
    hosts: Vec<(String, Place)>,
    node_ports: Vec<NodePort>,
    node_port_place: Place,
    /// Class and bytes of each claim.
    claims: Vec<(String, u64)>,
    uses: Vec<Use>,
    /// Secrets and claims that it makes.
    made: Vec<(Referent, String)>,
    references: Vec<Reference>,
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
        let made = compiled.objects.iter().filter_map(|object| match object {
            Object::Secret(_) => Some((Referent::Secret, object.name().to_owned())),
            Object::PersistentVolumeClaim(_) => Some((Referent::Claim, object.name().to_owned())),
            _ => None,
        });
        Self {
            made: made.collect(),
            references: Reference::of_app(app),
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
        entry.value.items().unwrap_or_else(|| std::slice::from_ref(&entry.value))
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
    let bytes = Quantity::bytes_of(&size.0).unwrap_or_default();
    Some((class_of(claim)?.to_owned(), bytes))
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

/// The kind of object that a name refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Referent {
    Namespace,
    Secret,
    Claim,
}

impl Referent {
    fn word(self) -> &'static str {
        match self {
            Self::Namespace => "namespace",
            Self::Secret => "Secret",
            Self::Claim => "claim",
        }
    }
}

/// A name by which a document refers to something that may be in the run or outside of it.
#[derive(Debug, Clone)]
pub struct Reference {
    to: Referent,
    /// Where the object is; empty for a namespace.
    namespace: String,
    name: String,
    path: String,
    place: Place,
}

impl Reference {
    /// Returns the names that a storage document refers to.
    pub fn of_storage(spec: &StorageSpec, node: &Node) -> Vec<Self> {
        let refer = |to, namespace: &str, name: &str, list: &str, index: usize, field: &str| Self {
            to,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            path: format!("spec.{list}[{index}].{field}"),
            place: node.place_of(["spec", list, &index.to_string(), field]),
        };
        let mut all = Vec::new();
        for (index, quota) in spec.quotas.iter().enumerate() {
            all.push(refer(
                Referent::Namespace,
                "",
                &quota.namespace,
                "quotas",
                index,
                "namespace",
            ));
        }
        for (index, import) in spec.imports.iter().enumerate() {
            let ImportSpec { namespace, claim, .. } = import;
            all.push(refer(Referent::Namespace, "", namespace, "imports", index, "namespace"));
            all.push(refer(Referent::Claim, namespace, claim, "imports", index, "claim"));
        }
        all
    }

    fn of_app(app: &App) -> Vec<Self> {
        let own = app.namespace.clone().unwrap_or_default();
        let refer = |to, namespace: &str, name: &str, path: Vec<String>| Self {
            to,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            place: app.document.place_of(path.iter().map(String::as_str)),
            path: written(&path.iter().map(String::as_str).collect::<Vec<_>>()),
        };
        let path = |steps: &[&str]| steps.iter().map(|step| (*step).to_owned()).collect();
        let common = &app.common;
        let mut all = Vec::new();
        for (part, name) in &common.secrets {
            all.push(refer(Referent::Secret, &own, name, path(&["spec", "secrets", part])));
        }
        for (index, name) in common.pull_secrets.iter().enumerate() {
            let index = index.to_string();
            all.push(refer(Referent::Secret, &own, name, path(&["spec", "pullSecrets", &index])));
        }
        for (index, name) in common.network.from.iter().enumerate() {
            let path = path(&["spec", "network", "from", &index.to_string()]);
            all.push(refer(Referent::Namespace, "", name, path));
        }
        for (volume, written) in &common.volumes {
            if let Some(claim) = &written.claim {
                let path = path(&["spec", "volumes", volume, "claim"]);
                all.push(refer(Referent::Claim, &own, claim, path));
            }
        }
        all
    }
}

/// The facts from the documents of a run so far.
#[derive(Debug, Default)]
pub struct AcrossApps {
    /// Name, place of the name.
    apps: Vec<(String, Place)>,
    objects: HashMap<u64, u32>,
    hosts: HashMap<String, (u32, Place)>,
    node_ports: HashMap<(i32, String), (u32, Place)>,
    quotas: BTreeMap<(String, String), Sum>,
    claims: Claims,
    namespaces: BTreeMap<String, (Profile, bool)>,
    /// Names that may be referred to, by kind and namespace.
    made: BTreeMap<(Referent, String), BTreeSet<String>>,
    references: Vec<Reference>,
}

/// The limit of a quota, and the requested amount.
#[derive(Debug, Default)]
struct Sum {
    claims: Option<u64>,
    capacity: Option<Quantity>,
    asked_claims: u64,
    asked_bytes: u64,
    last: Option<Place>,
}

impl AcrossApps {
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

    /// Adds an app; returns its conflicts with earlier apps.
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
        self.refer(app.references.iter().cloned());
        let own = app.namespace.clone().unwrap_or_default();
        for (what, name) in &app.made {
            self.made.entry((*what, own.clone())).or_default().insert(name.clone());
        }
        if !own.is_empty() {
            self.made.entry((Referent::Namespace, String::new())).or_default().insert(own);
        }
        found
    }

    /// Adds names that a document refers to.
    pub fn refer(&mut self, references: impl IntoIterator<Item = Reference>) {
        self.references.extend(references);
    }

    /// Returns the references to names that the run has in a similar spelling.
    fn misspelled_references(&self) -> impl Iterator<Item = Diagnostic> {
        self.references.iter().filter_map(|reference| {
            let names = self.made.get(&(reference.to, reference.namespace.clone()))?;
            if names.contains(&reference.name) {
                return None;
            }
            let near = misspelling(&reference.name, names.iter().map(String::as_str))?;
            let message =
                format!("no app of this run has the {} `{}`", reference.to.word(), reference.name);
            let mut diagnostic = Diagnostic::new(Code::UnknownName, reference.place, message)
                .at(reference.path.clone())
                .fix(format!("did you mean `{near}`?"));
            diagnostic.severity = Severity::Warning;
            Some(diagnostic)
        })
    }

    /// Notes the app's namespace, unless it belongs to the cluster or is created elsewhere.
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

    /// Returns the quotas that all apps together exceed, and names that are most likely misspelled.
    pub fn finish(&self) -> Vec<Diagnostic> {
        let mut found: Vec<_> = self.misspelled_references().collect();
        for ((namespace, class), sum) in &self.quotas {
            let mut report = |requested: String, allowed: String| {
                let message = format!(
                    "namespace `{namespace}` requests {requested} of `{class}`, and its quota is {allowed}"
                );
                found.push(Diagnostic::new(Code::Quota, sum.last, message).fix(
                    "reduce the sizes of volumes, or raise the quota in the storage document",
                ));
            };
            if let Some(claims) = sum.claims.filter(|claims| sum.asked_claims > *claims) {
                report(format!("{} claims", sum.asked_claims), claims.to_string());
            }
            if let Some(capacity) = sum.capacity.as_ref().filter(|c| sum.asked_bytes > c.bytes()) {
                report(Quantity::about(sum.asked_bytes), capacity.to_string());
            }
        }
        found
    }
}
