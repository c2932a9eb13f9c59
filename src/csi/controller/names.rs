//! Names of volumes and snapshots for the names in requests, which may have any length and characters.

use sha2::{Digest as _, Sha256};

use crate::contract::name;

/// The largest volume of a FlashArray, in bytes.
pub(super) const MAX_VOLUME_SIZE: u64 = 1 << 52;

/// Returns the UID in the name of the volume for a request. Kubernetes' provisioner calls it `pvc-UID`, so that it gets
/// the name that pso-gen's own provisioner would give it. Every other name is hashed: it may have any length.
pub(super) fn uid(name: &str) -> String {
    let is_uid = |uid: &&str| {
        uid.len() == 36
            && uid.chars().all(|c| c == '-' || c.is_ascii_digit() || ('a'..='f').contains(&c))
    };
    match name::made_for(name).filter(is_uid) {
        Some(uid) => uid.to_owned(),
        None => format!("csi{}", digest(name)),
    }
}

/// Returns 32 hexadecimal digits that stand for a text.
pub(super) fn digest(text: &str) -> String {
    let digest = Sha256::digest(text);
    digest.iter().take(16).fold(String::new(), |digits, byte| format!("{digits}{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_has_the_name_that_the_provisioner_would_give_it() {
        let claim = "0f8fad5b-d9cb-469f-a165-70867728950e";
        assert_eq!(uid(&format!("pvc-{claim}")), claim);
        let mut seen = std::collections::BTreeSet::new();
        for other in ["pvc-1", "pvc-0F8FAD5B-D9CB-469F-A165-70867728950E", "a", &"a".repeat(128)] {
            let uid = uid(other);
            assert!(
                uid.starts_with("csi") && name::volume(&"c".repeat(22), &uid).is_some(),
                "{uid}"
            );
            assert!(seen.insert(uid), "{other}");
        }
    }
}
