//! Checks that two volumes, of one app or of two apps, never use the same claim, whether the apps are in one run
//! or one of them is in the baseline.
//!
//! Several apps may share an existing claim that no app of the run creates, if all of them only mount it and keep
//! no data of their own there: scratch spaces on one data set. Volumes of one app may share an existing claim if each
//! has a folder of its own in it.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::Owner;
use crate::compiler::blueprint::App;
use crate::compiler::compile::Compiled;
use crate::compiler::diagnostic::{Code, Diagnostic, Place};
use crate::compiler::manifest::{Earlier, Object};
use crate::contract::label;

/// How an app uses a claim.
#[derive(Debug, Clone)]
pub(super) struct Use {
    claim: String,
    /// Whether the app creates the claim or keeps data of its own there.
    own: bool,
    place: Place,
    path: String,
}

/// Returns the claims of an app, each with its first use.
pub(super) fn uses(app: &App, compiled: &Compiled) -> Vec<Use> {
    let mut uses: BTreeMap<String, Use> = BTreeMap::new();
    for (name, volume) in &app.volumes {
        let claim = claim_of(app, name);
        let path = format!("spec.volumes.{name}");
        let own = volume.claim.is_none() || volume.keep;
        let new = Use { claim: claim.clone(), own, place: app.place(&path), path };
        uses.entry(claim).and_modify(|known| known.own |= own).or_insert(new);
    }
    // Patches and blueprints may mount or create additional claims.
    for object in &compiled.objects {
        let created = match object {
            Object::PersistentVolumeClaim(_) => Some(object.name().to_owned()),
            _ => None,
        };
        let pod = match object {
            Object::Pod(pod) => pod.spec.as_ref(),
            other => other.pod_template().and_then(|template| template.spec.as_ref()),
        };
        let mounted = pod.into_iter().flat_map(|pod| pod.volumes.iter().flatten());
        let mounted = mounted.filter_map(|volume| volume.persistent_volume_claim.as_ref());
        for claim in created.iter().chain(mounted.map(|claim| &claim.claim_name)) {
            let new = || Use {
                claim: claim.clone(),
                own: created.is_some(),
                place: app.place("spec.volumes"),
                path: "spec.volumes".to_owned(),
            };
            uses.entry(claim.clone()).or_insert_with(new).own |= created.is_some();
        }
    }
    uses.into_values().collect()
}

/// Returns the name of a volume's claim.
fn claim_of(app: &App, volume: &str) -> String {
    let existing = app.volumes.get(volume).and_then(|volume| volume.claim.clone());
    existing.unwrap_or_else(|| app.object_name(volume))
}

/// Returns the volumes of an app that share a claim.
pub(super) fn within(app: &App) -> Vec<Diagnostic> {
    let mut seen: HashMap<String, Vec<&str>> = HashMap::new();
    let mut found = Vec::new();
    for name in app.volumes.keys() {
        let claim = claim_of(app, name);
        let others = seen.entry(claim.clone()).or_default();
        let same = others.iter().copied().find(|other| !are_apart(app, name, other));
        others.push(name);
        let Some(other) = same else { continue };
        // The volume that names the claim is the one to change.
        let names = |volume: &str| app.volumes.get(volume).is_some_and(|it| it.claim.is_some());
        let (volume, other) =
            if names(name) { (name.as_str(), other) } else { (other, name.as_str()) };
        let path = format!("spec.volumes.{volume}");
        let first = format!("spec.volumes.{other}");
        let message = format!("volumes `{other}` and `{volume}` both use claim `{claim}`");
        found.push(
            Diagnostic::new(Code::ClaimShared, app.place(&path), message)
                .at(path)
                .and(Some(app.place(&first)), "the other volume")
                .fix("give each volume a claim of its own, or name a folder of the claim for each with `path`"),
        );
    }
    found
}

/// Whether two volumes of one existing claim are in folders of which neither contains the other.
fn are_apart(app: &App, one: &str, other: &str) -> bool {
    let folder = |name: &str| {
        let volume = app.volumes.get(name)?;
        volume.path.as_ref().filter(|_| volume.claim.is_some())?;
        volume.folder(name).map(|folder| format!("{folder}/"))
    };
    match (folder(one), folder(other)) {
        (Some(one), Some(other)) => !one.starts_with(&other) && !other.starts_with(&one),
        _ => false,
    }
}

/// The claims of all apps of a run, by hash of namespace and name: the number of the first app that uses it,
/// whether the claim is the app's own, and the place.
#[derive(Debug, Default)]
pub(super) struct Claims {
    seen: HashMap<u64, (u32, bool, Place)>,
}

impl Claims {
    /// Adds an app by its number and returns its conflicts with earlier apps. `name` returns the name of a
    /// number.
    pub(super) fn add<'n>(
        &mut self,
        app: u32,
        namespace: Option<&str>,
        uses: &[Use],
        name: impl Fn(u32) -> &'n str,
    ) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        for new in uses {
            let mut hasher = DefaultHasher::new();
            (namespace, &new.claim).hash(&mut hasher);
            let first = self.seen.entry(hasher.finish()).or_insert((app, new.own, new.place));
            let (other, own, place) = *first;
            // Two apps of the same name collide as a whole.
            let differ = other != app && name(other) != name(app);
            if differ && (new.own || own) {
                let (claim, app, other) = (&new.claim, name(app), name(other));
                let message = format!("claim `{claim}` is used by both `{app}` and `{other}`");
                found.push(
                    Diagnostic::new(Code::ClaimShared, new.place, message)
                        .at(new.path.clone())
                        .and(Some(place), "also used here")
                        .fix("give each app a claim of its own"),
                );
            }
        }
        found
    }
}

/// Returns the claims of the current apps that another app of the baseline uses.
pub fn claims_since<'a>(
    before: &[Earlier],
    today: impl IntoIterator<Item = (&'a Owner, &'a [Earlier])>,
) -> Vec<Diagnostic> {
    let mut had: HashMap<(&str, &str), (&str, bool)> = HashMap::new();
    for object in before {
        let Some(app) = object.label(label::INSTANCE) else { continue };
        let namespace = object.identity.namespace.as_str();
        let creates = object.identity.kind == "PersistentVolumeClaim";
        let created = creates.then_some(object.identity.name.as_str());
        for claim in created.into_iter().chain(object.claims()) {
            let known = had.entry((namespace, claim)).or_insert((app, creates));
            // The app that creates the claim owns it.
            if creates {
                *known = (app, true);
            }
        }
    }
    let mut found = Vec::new();
    for (owner, objects) in today {
        let Some(app) = owner.app() else { continue };
        let namespace = app.namespace.as_deref().unwrap_or_default();
        let mut claims: BTreeMap<String, (String, bool)> = BTreeMap::new();
        for (name, volume) in &app.volumes {
            let path = format!("spec.volumes.{name}");
            claims.insert(claim_of(app, name), (path, volume.claim.is_none() || volume.keep));
        }
        for claim in objects.iter().flat_map(Earlier::claims) {
            claims.entry(claim.to_owned()).or_insert(("spec.volumes".to_owned(), false));
        }
        for (claim, (path, own)) in claims {
            let Some((other, created)) = had.get(&(namespace, claim.as_str())) else { continue };
            if *other == app.name || !(own || *created) {
                continue;
            }
            let message = format!(
                "claim `{claim}` is used by `{}` and, in the baseline, by `{other}`",
                app.name
            );
            found.push(
                Diagnostic::new(Code::ClaimShared, app.place(&path), message).at(path).fix(format!(
                    "give `{}` a claim of its own; to take over the data of `{other}`, remove `{other}` first and name its claim in a later change",
                    app.name
                )),
            );
        }
    }
    found
}
