//! Parameters of StorageClasses and VolumeAttributesClasses, as Kubernetes' sidecars pass them.

use std::collections::BTreeMap;

use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use tonic::Status;

use crate::contract::{ArrayKind, PROVISIONER, Qos, Quantity, parameter};
use crate::csi::error::invalid;
use crate::csi::message::StringMap;
use crate::provisioner::decide::ClassSetup;
use crate::sanitize::quoted;

/// Prefix of the parameters that are meant for the sidecars, or come from them.
const SIDECARS: &str = "csi.storage.k8s.io/";
const CLAIM_NAMESPACE: &str = "csi.storage.k8s.io/pvc/namespace";
const CLAIM_NAME: &str = "csi.storage.k8s.io/pvc/name";

/// The limits of the array: <https://support.purestorage.com/> REST 2.56, `Qos`.
const BANDWIDTH: std::ops::RangeInclusive<u64> = 1 << 20..=512 << 30;
const IOPS: std::ops::RangeInclusive<u64> = 100..=100_000_000;

/// Reads the parameters of a StorageClass by the rules of pso-gen's own classes.
pub(super) fn class(parameters: &StringMap) -> Result<ClassSetup, Status> {
    let mut own: BTreeMap<String, String> =
        parameters.iter().filter(|(key, _)| !key.starts_with(SIDECARS)).map(pair).collect();
    own.entry(parameter::BACKEND.to_owned()).or_insert_with(|| parameter::BLOCK.to_owned());
    let class = StorageClass {
        metadata: ObjectMeta { name: Some("of the request".to_owned()), ..ObjectMeta::default() },
        provisioner: PROVISIONER.to_owned(),
        parameters: Some(own),
        ..StorageClass::default()
    };
    let read = ClassSetup::read(&class).unwrap_or_else(|| Err("it is not pso-gen's".to_owned()));
    let read = read.map_err(|why| invalid(&why))?;
    if read.kind != ArrayKind::FlashArray {
        return Err(invalid(
            "this service creates block volumes only; claims of a class with `backend: file` are served by `pso-gen provisioner`",
        ));
    }
    Ok(read)
}

/// Returns the claim's namespace and name, where the sidecar runs with `--extra-create-metadata`. Otherwise the name of
/// the volume stands for both.
pub(super) fn claim(parameters: &StringMap, name: &str) -> (String, String) {
    let of = |key: &str| parameters.get(key).filter(|value| !value.is_empty()).cloned();
    let short = || name.chars().take(63).collect::<String>();
    (of(CLAIM_NAMESPACE).unwrap_or_else(|| "csi".to_owned()), of(CLAIM_NAME).unwrap_or_else(short))
}

/// Reads the limits of a VolumeAttributesClass. Every other parameter is an error: the admin would believe that it has
/// an effect.
pub(super) fn limits(mutable: &StringMap) -> Result<Qos, Status> {
    let mut qos = Qos::default();
    for (key, value) in mutable {
        let wrong = |what: &str| {
            let value = quoted(value);
            invalid(&format!("the parameter {key} is {value}; write {what}"))
        };
        match key.as_str() {
            parameter::BANDWIDTH => {
                let limit = Quantity::bytes_of(value).filter(|limit| BANDWIDTH.contains(limit));
                let limit = limit.ok_or_else(|| wrong("bytes per second from 1Mi to 512Gi"))?;
                qos.bandwidth = Some(limit);
            }
            parameter::IOPS => {
                let limit = value.parse().ok().filter(|limit| IOPS.contains(limit));
                qos.iops = Some(limit.ok_or_else(|| wrong("a number from 100 to 100000000"))?);
            }
            key => {
                let key = quoted(key);
                return Err(invalid(&format!(
                    "a VolumeAttributesClass has no parameter {key}; it has `{}` and `{}`",
                    parameter::BANDWIDTH,
                    parameter::IOPS
                )));
            }
        }
    }
    Ok(qos)
}

fn pair((key, value): (&String, &String)) -> (String, String) {
    (key.clone(), value.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(pairs: &[(&str, &str)]) -> StringMap {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_class_is_read_as_the_provisioner_reads_it() {
        let read = class(&words(&[("iops", "100"), (CLAIM_NAME, "data")])).expect("right");
        assert_eq!((read.kind, read.qos.iops), (ArrayKind::FlashArray, Some(100)));
        for wrong in [[("backend", "file")], [("backend", "tape")], [("iops", "many")]] {
            assert_eq!(
                class(&words(&wrong)).expect_err("wrong").code(),
                tonic::Code::InvalidArgument
            );
        }
    }

    #[test]
    fn limits_are_in_the_arrays_range() {
        let read = limits(&words(&[("bandwidth", "100Mi"), ("iops", "5000")])).expect("right");
        assert_eq!(read, Qos { bandwidth: Some(100 << 20), iops: Some(5000) });
        assert_eq!(limits(&StringMap::new()).expect("none"), Qos::default());
        for wrong in [
            ("bandwidth", "1023Ki"),
            ("bandwidth", "513Gi"),
            ("bandwidth", "fast"),
            ("iops", "99"),
            ("iops", "100000001"),
            ("iops", "-1"),
            ("Iops", "100"),
        ] {
            let error = limits(&words(&[wrong])).expect_err("wrong");
            assert_eq!(error.code(), tonic::Code::InvalidArgument, "{wrong:?}");
        }
    }

    #[test]
    fn the_claim_is_known_where_the_sidecar_passes_it() {
        let given = words(&[(CLAIM_NAMESPACE, "files"), (CLAIM_NAME, "data")]);
        assert_eq!(claim(&given, "pvc-1"), ("files".to_owned(), "data".to_owned()));
        assert_eq!(claim(&StringMap::new(), "pvc-1"), ("csi".to_owned(), "pvc-1".to_owned()));
    }
}
