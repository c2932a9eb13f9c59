//! Rules of the storage document that its shape alone does not tell.

use crate::array::Trust;
use crate::diagnostic::{Code, Diagnostic};
use crate::spec::{ArraySpec, Kept, StorageSpec};
use crate::yaml::Node;

/// Longest name of a cluster: `CLUSTER-pvc-UID` is a volume's name of at most 63 characters.
const LONGEST_CLUSTER: usize = 22;

/// Returns what is wrong in a storage document that has the right shape.
pub fn storage(spec: &StorageSpec, node: &Node) -> Vec<Diagnostic> {
    let mut wrong = quotas(spec, node);
    wrong.extend(cluster(spec, node));
    for (index, array) in spec.arrays.iter().enumerate() {
        wrong.extend(reached(array, index, node));
    }
    wrong
}

/// Returns the tokens that stand in the document itself: it belongs in Git, and they do not.
pub fn tokens(node: &Node) -> Vec<Diagnostic> {
    let arrays = node.get("spec").and_then(|spec| spec.get("arrays"));
    let arrays = arrays.and_then(Node::items).unwrap_or_default().iter().enumerate();
    let mut found = Vec::new();
    for (index, array) in arrays {
        for entry in array.entries().unwrap_or_default() {
            let Some(text) = entry.value.text() else {
                continue;
            };
            // Both arrays give out tokens that look like this.
            let looks_like_one = text.len() > 30 && text.starts_with("T-");
            if entry.key == "token" || looks_like_one {
                let message = "an API token does not belong into a file that goes to Git";
                found.push(
                    Diagnostic::new(Code::SecretInFile, entry.value.place, message)
                        .at(format!("spec.arrays[{index}].{}", entry.key))
                        .fix("put it into a Secret and write `token: {secret: NAME, key: KEY}`; then have the array revoke this one"),
                );
            }
        }
    }
    found
}

fn cluster(spec: &StorageSpec, node: &Node) -> Option<Diagnostic> {
    let length = spec.cluster.len();
    (length > LONGEST_CLUSTER).then(|| {
        let message = format!(
            "{length} characters; at most {LONGEST_CLUSTER}, since `CLUSTER-pvc-UID` is a volume's name of at most 63"
        );
        let place = node.place_of(["spec", "cluster"]);
        Diagnostic::new(Code::NameTooLong, place, message).at("spec.cluster")
    })
}

fn quotas(spec: &StorageSpec, node: &Node) -> Vec<Diagnostic> {
    let empty = spec.quotas.iter().enumerate();
    let empty = empty.filter(|(_, quota)| quota.claims.is_none() && quota.capacity.is_none());
    empty
        .map(|(index, _)| {
            let place = node.place_of(["spec", "quotas", &index.to_string()]);
            let message = "a quota limits `claims`, `capacity` or both";
            Diagnostic::new(Code::MissingField, place, message)
                .at(format!("spec.quotas[{index}]"))
                .fix("write `claims: 100` or `capacity: 100Ti`")
        })
        .collect()
}

/// How an array is reached and known.
fn reached(array: &ArraySpec, index: usize, node: &Node) -> Vec<Diagnostic> {
    let wrong = |field: &str, code, message: &str, fix: &str| {
        let place = node.place_of(["spec", "arrays", &index.to_string(), field]);
        let path = format!("spec.arrays[{index}].{field}");
        Diagnostic::new(code, place, message).at(path).fix(fix)
    };
    let mut found = Vec::new();
    let kept = [("token", Some(&array.token)), ("ca", array.ca.as_ref())];
    for (field, kept) in kept {
        if kept.is_some_and(|kept| !is_one_place(kept)) {
            let message = "say one place: a key of a Secret, or a file";
            let fix =
                format!("write `{field}: {{secret: NAME, key: KEY}}` or `{field}: {{file: PATH}}`");
            found.push(wrong(field, Code::BadValue, message, &fix));
        }
    }
    if let Some(pin) = &array.pin {
        if Trust::pin(pin).is_none() {
            let message = format!("{pin:?} is no digest of a key");
            let fix = "write `sha256:` and 64 hexadecimal digits";
            found.push(wrong("pin", Code::BadValue, &message, fix));
        }
        if array.ca.is_some() {
            let message =
                "`ca` and `pin` are two ways to know the array; the key alone would count";
            found.push(wrong("pin", Code::BadValue, message, "leave one of them out"));
        }
    }
    let address = &array.management;
    if !crate::array::is_address(address) {
        let message = format!("{address:?} is no host name or address");
        let fix = "write a host name or an address, and `:port` when it is not 443";
        found.push(wrong("management", Code::BadValue, &message, fix));
    }
    found
}

fn is_one_place(kept: &Kept) -> bool {
    matches!(
        (&kept.secret, &kept.key, &kept.file),
        (Some(_), Some(_), None) | (None, None, Some(_))
    )
}
