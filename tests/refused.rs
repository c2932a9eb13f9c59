//! What the API server refuses is refused before it is asked, at the field that the API server names.

use pso_gen::compiler::manifest::Object;
use pso_gen::compiler::manifest::refused::refused;

#[path = "refused/table.rs"]
mod table;

#[test]
fn what_the_api_server_refuses_is_refused_at_its_field() {
    let mut wrong = Vec::new();
    for change in table::changes() {
        let shown = format!("{} {:?}", change.kind, change.set);
        let object =
            Object::from_json(&change.object()).unwrap_or_else(|e| panic!("{shown:.200}: {e:?}"));
        let fields: Vec<String> =
            refused(&object).into_iter().map(|refusal| refusal.field).collect();
        let is_right = match change.field {
            Some(field) => fields.iter().any(|found| found == field),
            None => fields.is_empty(),
        };
        if !is_right {
            wrong.push(format!("{shown:.200}: expected {:?}, found {fields:?}", change.field));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_good_object_is_not_refused() {
    let kinds: std::collections::BTreeSet<&str> =
        table::changes().iter().map(|change| change.kind).collect();
    for kind in kinds {
        let object = Object::from_json(&table::good(kind)).expect("an object");
        assert_eq!(refused(&object), Vec::new(), "{kind}");
    }
}
