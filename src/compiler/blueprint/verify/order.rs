//! Checks the start order of components: a circle of components that wait for each other has none.

use std::collections::{BTreeMap, BTreeSet};

use super::Verifier;
use crate::compiler::blueprint::app::App;

/// The section of the blueprint that makes a component wait for another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    Talks,
    After,
}

/// The components that each component waits for.
type Needs<'a> = BTreeMap<&'a str, Vec<(&'a str, Cause)>>;

impl Verifier<'_> {
    /// Reports a circle of components that wait for each other, and connections and waits of a component to itself that
    /// have no meaning.
    pub(super) fn order(&mut self) {
        let app = self.app;
        for talk in app.talks.iter().filter(|talk| talk.from == talk.to) {
            let Some(component) = app.components.get(&talk.from) else { continue };
            if component.serving.pods.most() < 2 && !app.scaled_by.contains_key(&talk.from) {
                let message =
                    format!("`{}` has one pod, so there is no other pod to connect to", talk.from);
                self.report("talks", &[&talk.from], &message).fix =
                    Some("remove it: a pod can always connect to itself".to_owned());
            }
        }
        for (name, component) in &app.components {
            let after = component.serving.after.iter().position(|other| other == name);
            if let Some(index) = after {
                self.report(name, &["after", &index.to_string()], "it waits for itself").fix =
                    Some("remove it".to_owned());
            }
        }
        let Some(circle) = circle(needs(app)) else { return };
        let mut names: Vec<&str> = circle.iter().map(|(name, _)| *name).collect();
        let first = names.first().copied().unwrap_or_default();
        names.push(first);
        let message = format!("the components wait for each other: `{}`", names.join("` -> `"));
        // A connection can be without an order; `after` is nothing but an order.
        let talks = circle.iter().find(|(_, cause)| *cause == Cause::Talks);
        if let Some((from, _)) = talks {
            let to =
                names.iter().skip_while(|name| *name != from).nth(1).copied().unwrap_or_default();
            let port = app.talks.iter().find(|talk| talk.from == *from && talk.to == to);
            let port = port.map_or("", |talk| talk.port.as_str());
            let at = [*from];
            self.report("talks", &at, &message).fix = Some(format!(
                "let one of them start without the other: `{from}: [{{to: {to}.{port}, waits: false}}]`"
            ));
        } else {
            self.report(first, &["after"], &message).fix =
                Some("remove one of them from `after`".to_owned());
        }
    }
}

/// Returns the components that each component waits for, without itself.
fn needs(app: &App) -> Needs<'_> {
    let mut needs = Needs::new();
    for (name, component) in &app.components {
        let talks = app.talks.iter().filter(|talk| talk.waits && talk.from == *name);
        let talks = talks.map(|talk| (talk.to.as_str(), Cause::Talks));
        let after = component.serving.after.iter().map(|other| (other.as_str(), Cause::After));
        let others = talks.chain(after).filter(|(other, _)| other != name);
        needs.insert(name, others.collect());
    }
    needs
}

/// Returns one circle, each component with the reason why it waits for the next one.
fn circle(mut needs: Needs<'_>) -> Option<Vec<(&str, Cause)>> {
    // What waits for nothing can start. What is left at the end is a circle, or waits for one.
    loop {
        let left: BTreeSet<&str> = needs.keys().copied().collect();
        for others in needs.values_mut() {
            others.retain(|(other, _)| left.contains(other));
        }
        needs.retain(|_, others| !others.is_empty());
        if needs.len() == left.len() {
            break;
        }
    }
    let mut way: Vec<(&str, Cause)> = Vec::new();
    let mut at = *needs.keys().next()?;
    loop {
        if let Some(start) = way.iter().position(|(name, _)| *name == at) {
            return Some(way.split_off(start));
        }
        let (next, cause) = *needs.get(at)?.first()?;
        way.push((at, cause));
        at = next;
    }
}
