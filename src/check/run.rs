//! Rules over all apps of one run: no two make the same object or claim the same host, and together
//! they stay within the quotas of the storage document.
//!
//! Keeps a few dozen bytes for each object, so that a run over ten thousand apps stays small.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::blueprint::App;
use crate::compile::Compiled;
use crate::diagnostic::{Code, Diagnostic, Place};
use crate::manifest::Object;
use crate::spec::{Profile, Quantity, QuotaSpec};
use crate::volume::class_of;

/// What other apps of the run need to know of one: made on the thread that rendered it, so that the
/// app and its objects can go.
#[derive(Debug)]
pub struct Facts {
    name: String,
    name_place: Place,
    host_place: Place,
    volumes_place: Place,
    /// Hash of each object's identity, in the order of `identities`.
    objects: Vec<u64>,
    /// What the identities look like, a line each: needed only when two are the same.
    identities: String,
    hosts: Vec<String>,
    /// Class and bytes of each claim.
    claims: Vec<(String, u64)>,
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
            host_place: app.place("spec.host"),
            volumes_place: app.place("spec.volumes"),
            objects,
            identities,
            hosts: app.exposed.iter().flat_map(|exposed| exposed.hosts.clone()).collect(),
            claims: compiled.objects.iter().filter_map(claim).collect(),
            namespace: app.namespace.clone(),
            own_namespace: app.common.create_namespace,
            profile: compiled.profile,
            holds_data: app.volumes.values().any(|volume| volume.keep),
        }
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

/// What has been seen so far in a run.
#[derive(Debug, Default)]
pub struct Run {
    /// Name, place of the name, place of the host.
    apps: Vec<(String, Place, Place)>,
    objects: HashMap<u64, u32>,
    hosts: HashMap<String, u32>,
    quotas: BTreeMap<(String, String), Sum>,
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
        self.apps.push((app.name.clone(), app.name_place, app.host_place));
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
        for host in &app.hosts {
            match self.hosts.insert(host.clone(), number) {
                Some(other) if other != number => found.push(self.same_host(app, other, host)),
                _ => {}
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
        let name = other.map_or("", |(name, ..)| name);
        let message = format!("`{}` and `{name}` both make {identity}", app.name);
        Diagnostic::new(Code::Collision, app.name_place, message)
            .at("metadata.name")
            .and(other.map(|(_, place, _)| *place), "made here first")
            .fix("rename one of the two, or give it another namespace")
    }

    fn same_host(&self, app: &Facts, other: u32, host: &str) -> Diagnostic {
        let other = self.apps.get(other as usize);
        let name = other.map_or("", |(name, ..)| name);
        let message = format!("`{host}` is claimed by `{}` and by `{name}`", app.name);
        Diagnostic::new(Code::HostCollision, app.host_place, message)
            .at("spec.host")
            .and(other.map(|(_, _, place)| *place), "claimed here first")
            .fix("give each app a host name of its own")
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
