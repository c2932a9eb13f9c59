//! Which parameter of a blueprint sets the number of pods of a component. Fixes and places of diagnostics name it.

use std::collections::{BTreeMap, BTreeSet};

use super::parameter::Declared;
use super::template::Template;

/// Returns the parameter that sets the number of pods of each component.
pub(super) fn scaled_by(
    components: &[(String, Template)],
    lets: &[(String, Template)],
    parameters: &[Declared],
) -> BTreeMap<String, String> {
    let of = |template: &Template| {
        let mut names = BTreeSet::new();
        names_in(template, &mut names);
        // A computed value stands for the parameters that it is computed from. Each uses only those before it.
        for (name, value) in lets.iter().rev() {
            if names.contains(name) {
                names_in(value, &mut names);
            }
        }
        let mut used = parameters.iter().filter(|parameter| names.contains(&parameter.name));
        let counts = |parameter: &&Declared| parameter.is_number_of_pods();
        used.clone().find(counts).or_else(|| used.next()).map(|parameter| parameter.name.clone())
    };
    let pods = components
        .iter()
        .filter_map(|(name, template)| Some((name.clone(), of(template.field("pods")?)?)));
    pods.collect()
}

fn names_in(template: &Template, names: &mut BTreeSet<String>) {
    template.expressions(&mut Vec::new(), &mut |expression, _| names.extend(expression.names()));
}
