//! Rules over all apps of one run: no two make the same object or claim the same host, and together
//! they stay within the quotas of the storage document.
//!
//! Keeps a few dozen bytes for each object, so that a run over ten thousand apps stays small.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::blueprint::App;
use crate::compile::Compiled;
use crate::diagnostic::{Code, Diagnostic, Place};
use crate::manifest::{Identity, Object};
use crate::spec::{Quantity, QuotaSpec};

/// What has been seen so far in a run.
#[derive(Debug, Default)]
pub struct Run {
    apps: Vec<(String, Place)>,
    objects: HashMap<u64, u32>,
    hosts: HashMap<String, u32>,
    quotas: BTreeMap<(String, String), Sum>,
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
    pub fn add(&mut self, app: &App, compiled: &Compiled) -> Vec<Diagnostic> {
        let number = u32::try_from(self.apps.len()).unwrap_or(u32::MAX);
        self.apps.push((app.name.clone(), app.place("metadata.name")));
        let mut found = Vec::new();
        let mut met = Vec::new();
        for object in &compiled.objects {
            let identity = object.identity();
            if let Some(&other) = self.objects.get(&hash(&identity)) {
                if !met.contains(&other) {
                    met.push(other);
                    found.push(self.collision(app, other, &identity));
                }
            }
            self.objects.insert(hash(&identity), number);
            if let Object::PersistentVolumeClaim(claim) = object {
                self.ask(app, claim);
            }
        }
        for host in app.exposed.iter().flat_map(|exposed| &exposed.hosts) {
            match self.hosts.insert(host.clone(), number) {
                Some(other) if other != number => found.push(self.same_host(app, other, host)),
                _ => {}
            }
        }
        found
    }

    fn collision(&self, app: &App, other: u32, identity: &Identity) -> Diagnostic {
        let path = "metadata.name";
        let (name, place) = self.other(other);
        let message = format!("`{}` and `{name}` both make {identity}", app.name);
        Diagnostic::new(Code::Collision, app.place(path), message)
            .at(path)
            .and(place, "made here first")
            .fix("rename one of the two, or give it another namespace")
    }

    fn same_host(&self, app: &App, other: u32, host: &str) -> Diagnostic {
        let path = "spec.host";
        let (name, place) = self.other(other);
        let message = format!("`{host}` is claimed by `{}` and by `{name}`", app.name);
        Diagnostic::new(Code::HostCollision, app.place(path), message)
            .at(path)
            .and(place, "claimed here first")
            .fix("give each app a host name of its own")
    }

    fn other(&self, number: u32) -> (&str, Option<Place>) {
        let other = self.apps.get(number as usize);
        (other.map_or("", |(name, _)| name), other.map(|(_, place)| *place))
    }

    fn ask(&mut self, app: &App, claim: &k8s_openapi::api::core::v1::PersistentVolumeClaim) {
        let Some(spec) = &claim.spec else { return };
        let class = spec.storage_class_name.clone().unwrap_or_default();
        let namespace = app.namespace.clone().unwrap_or_default();
        let Some(sum) = self.quotas.get_mut(&(namespace, class)) else { return };
        let requests = spec.resources.as_ref().and_then(|resources| resources.requests.as_ref());
        let size = requests.and_then(|requests| requests.get("storage"));
        let bytes = size.and_then(|size| Quantity::parse(&size.0)).map_or(0, |size| size.bytes());
        sum.asked_claims += 1;
        sum.asked_bytes = sum.asked_bytes.saturating_add(bytes);
        sum.last = Some(app.place("spec.volumes"));
    }

    /// Returns the quotas that all apps together exceed.
    pub fn finish(&self) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        for ((namespace, class), sum) in &self.quotas {
            let mut tell = |asked: String, allowed: String| {
                let message = format!("namespace `{namespace}` asks for {asked} of `{class}`, its quota is {allowed}");
                found.push(
                    Diagnostic::new(Code::Quota, sum.last, message)
                        .fix("make volumes smaller, or raise the quota in the Storage document"),
                );
            };
            if let Some(claims) = sum.claims.filter(|claims| sum.asked_claims > *claims) {
                tell(format!("{} claims", sum.asked_claims), claims.to_string());
            }
            if let Some(capacity) = sum.capacity.as_ref().filter(|c| sum.asked_bytes > c.bytes()) {
                tell(Quantity::of_bytes(sum.asked_bytes).to_string(), capacity.to_string());
            }
        }
        found
    }
}

fn hash(identity: &Identity) -> u64 {
    let mut hasher = DefaultHasher::new();
    identity.hash(&mut hasher);
    hasher.finish()
}
