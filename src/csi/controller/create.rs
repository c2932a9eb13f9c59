//! CreateVolume: a new volume, or the one that an earlier call of the same name created.

use tonic::{Code, Status};

use super::arrays::{Arrays, ControllerArray};
use super::names::{MAX_VOLUME_SIZE, uid};
use super::parameters;
use super::snapshots;
use crate::arrays::Array as _;
use crate::contract::{
    ArrayKind, CloneSource, Qos, Volume, VolumeName, VolumeOptions, VolumeRequest, name,
};
use crate::csi::error::{invalid, of_array, status};
use crate::csi::message::{self, ContentSource, CreateVolumeRequest, TopologyRequirement};
use crate::csi::request::{Sizes, capability, check_shared, handle, required};
use crate::provisioner::decide::{ArrayNeeds, ArrayState, ClassSetup, Health, select_array};

/// The size of a volume whose request names none: <https://kubernetes.io/docs> claims always name one.
const DEFAULT_SIZE: u64 = 1 << 30;

/// Creates a volume.
pub(super) async fn create(
    arrays: &Arrays,
    request: &CreateVolumeRequest,
) -> Result<message::Volume, Status> {
    let RequestedVolume { uid, name, sizes, class, qos } = RequestedVolume::of(arrays, request)?;
    let source = Source::of(arrays, request).await?;
    let size = size(sizes, source.as_ref())?;
    let (on, size) = match arrays.named(&name).await? {
        Some((on, existing)) => match reuse(&existing, sizes, source.is_some())? {
            _ if !is_from(on, &existing, source.as_ref()).await? => {
                let message = format!("{name} exists, and was created from another source");
                return Err(status(Code::AlreadyExists, &message));
            }
            Reuse::AsItIs if existing.connections > 0 => {
                // Nodes use it: nothing about it may change, and it must be this request's.
                let id = existing.volume_id().ok_or_else(|| invalid("the name is not valid"))?;
                let owner = arrays.owner(&uid, "", "");
                on.array.check_owned(&id, &owner).await.map_err(|error| of_array(&error))?;
                return described(on, &existing, request).await;
            }
            Reuse::AsItIs => (on, existing.size),
            Reuse::Expand => (on, size),
        },
        None => (select(arrays, request, &class, size, source.as_ref()).await?, size),
    };
    if let Some(source) = &source
        && source.array != on.array.name()
    {
        let message =
            format!("{name} exists on {}, and its source is on {}", on.array.name(), source.array);
        return Err(status(Code::AlreadyExists, &message));
    }
    let (namespace, claim) = parameters::claim(&request.parameters, &request.name);
    let wanted = VolumeRequest {
        name,
        owner: arrays.owner(&uid, &namespace, &claim),
        size,
        source: source.map(|source| source.from),
        details: VolumeOptions::Block { default_protection: true, qos },
    };
    arrays.check_registration(on).await?;
    let created = on.array.ensure(&wanted).await.map_err(|error| of_array(&error))?;
    described(on, &created, request).await
}

/// What a request says of a volume by itself.
struct RequestedVolume {
    uid: String,
    name: VolumeName,
    sizes: Sizes,
    class: ClassSetup,
    qos: Qos,
}

impl RequestedVolume {
    fn of(arrays: &Arrays, request: &CreateVolumeRequest) -> Result<Self, Status> {
        required("name", &request.name)?;
        if request.volume_capabilities.is_empty() {
            return Err(invalid("the request has no volume_capabilities"));
        }
        for each in &request.volume_capabilities {
            let (mode, access) = capability(Some(each))?;
            check_shared(&mode, access)?;
        }
        let class = parameters::class(&request.parameters)?;
        let limits = parameters::limits(&request.mutable_parameters)?;
        let qos = Qos {
            bandwidth: limits.bandwidth.or(class.qos.bandwidth),
            iops: limits.iops.or(class.qos.iops),
        };
        let uid = uid(&request.name);
        let name = name::volume(arrays.cluster(), &uid)
            .ok_or_else(|| invalid("`cluster` of the storage document is too long for a name"))?;
        Ok(Self { uid, name, sizes: Sizes::of(request.capacity_range.as_ref())?, class, qos })
    }
}

/// The source of a volume.
struct Source {
    from: CloneSource,
    /// The array that has it, by its name in the storage document.
    array: String,
    /// Its size in bytes.
    size: u64,
}

impl Source {
    async fn of(arrays: &Arrays, request: &CreateVolumeRequest) -> Result<Option<Self>, Status> {
        let Some(source) = &request.volume_content_source else { return Ok(None) };
        Ok(Some(match &source.r#type {
            None => {
                return Err(invalid("volume_content_source names neither a snapshot nor a volume"));
            }
            Some(ContentSource::Volume(source)) => {
                let found = arrays.existing(handle(&source.volume_id)?).await?;
                Self {
                    array: found.on.array.name().to_owned(),
                    size: found.volume.size,
                    from: CloneSource::Volume(found.id),
                }
            }
            Some(ContentSource::Snapshot(source)) => {
                let found = snapshots::existing(arrays, &source.snapshot_id).await?;
                Self {
                    array: found.on.array.name().to_owned(),
                    size: found.snapshot.size.unwrap_or_default(),
                    from: CloneSource::Snapshot(found.snapshot.name),
                }
            }
        }))
    }
}

/// Returns the size of a new volume, in bytes. A clone is at least as large as its source.
fn size(sizes: Sizes, source: Option<&Source>) -> Result<u64, Status> {
    let least = source.map_or(0, |source| source.size);
    let smallest = match sizes.smallest {
        0 if least > 0 => least,
        0 => sizes.largest.map_or(DEFAULT_SIZE, |largest| largest.min(DEFAULT_SIZE)),
        smallest => smallest,
    };
    if smallest < least {
        return Err(status(
            Code::OutOfRange,
            &format!(
                "{smallest} bytes are less than the {least} of the source; ask for at least as many"
            ),
        ));
    }
    let size = ArrayKind::FlashArray.rounded(smallest);
    if size > MAX_VOLUME_SIZE {
        return Err(status(
            Code::OutOfRange,
            &format!("the largest volume has {MAX_VOLUME_SIZE} bytes"),
        ));
    }
    if !sizes.contain(size) {
        return Err(status(
            Code::OutOfRange,
            &format!(
                "the array creates {size} bytes, more than limit_bytes: it rounds up to 1 MiB"
            ),
        ));
    }
    Ok(size)
}

/// Returns whether a volume that exists was created from the source of a request, or empty if it has none.
async fn is_from(
    on: &ControllerArray,
    existing: &Volume,
    source: Option<&Source>,
) -> Result<bool, Status> {
    let id = existing.volume_id().ok_or_else(|| invalid("the name is not valid"))?;
    let from = on.array.is_from(&id, source.map(|source| &source.from)).await;
    from.map_err(|error| of_array(&error))
}

/// What is done with a volume that has the name already.
#[derive(Debug, PartialEq, Eq)]
enum Reuse {
    /// It is what the request asks for.
    AsItIs,
    /// It is a clone, and the call that created it stopped before it expanded it.
    Expand,
}

fn reuse(existing: &Volume, sizes: Sizes, is_clone: bool) -> Result<Reuse, Status> {
    if sizes.contain(existing.size) {
        return Ok(Reuse::AsItIs);
    }
    if is_clone && existing.size < sizes.smallest && existing.connections == 0 {
        return Ok(Reuse::Expand);
    }
    let message =
        format!("{} exists with {} bytes; use another name", existing.name, existing.size);
    Err(status(Code::AlreadyExists, &message))
}

/// Returns the array for a new volume: the first place that the request prefers and that has one.
async fn select<'a>(
    arrays: &'a Arrays,
    request: &CreateVolumeRequest,
    class: &ClassSetup,
    size: u64,
    source: Option<&Source>,
) -> Result<&'a ControllerArray, Status> {
    let states = arrays.states().await;
    let only = source.map(|source| source.array.as_str());
    let select = |node| {
        let need = ArrayNeeds {
            kind: ArrayKind::FlashArray,
            size,
            labels: &class.arrays,
            class: Some(class),
            node,
            only,
            full: None,
        };
        select_array(&states, &need)
            .map(|selected| selected.array.name.clone())
            .map_err(|no| no.why)
    };
    let preferred_topologies = preferred_topologies(request.accessibility_requirements.as_ref());
    let selected = if preferred_topologies.is_empty() {
        select(None)
    } else {
        let tried: Vec<_> =
            preferred_topologies.iter().map(|place| select(Some(&place.segments))).collect();
        let why = tried.first().and_then(|first| first.as_ref().err().cloned());
        tried.into_iter().find_map(Result::ok).ok_or_else(|| why.unwrap_or_default())
    };
    match selected {
        Ok(name) => arrays.of_name(&name).ok_or_else(|| Status::internal("an array is gone")),
        Err(why) => Err(status(no_array(&states), &format!("no FlashArray fits: {why}"))),
    }
}

/// Returns the places where a volume may be, those that are preferred first.
fn preferred_topologies(requirement: Option<&TopologyRequirement>) -> Vec<&message::Topology> {
    let all = requirement.map(|it| it.preferred.iter().chain(&it.requisite));
    all.into_iter().flatten().collect()
}

/// Returns the code for a request that no array fits: with an array that does not answer, a later attempt may succeed.
fn no_array(states: &[ArrayState]) -> Code {
    let is_down = |state: &ArrayState| matches!(state.health, Health::Down(_));
    if states.iter().any(is_down) { Code::Unavailable } else { Code::ResourceExhausted }
}

async fn described(
    on: &ControllerArray,
    volume: &Volume,
    request: &CreateVolumeRequest,
) -> Result<message::Volume, Status> {
    let identity = on.array.identity().await.map_err(|error| of_array(&error))?;
    Ok(on.described(&identity.id, volume, request.volume_content_source.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_rounded_up_within_the_limits() {
        const MIB: u64 = 1 << 20;
        let of = |smallest, largest, least| {
            let source = (least > 0).then(|| Source {
                from: CloneSource::Snapshot("a.b".to_owned()),
                array: "fa1".to_owned(),
                size: least,
            });
            size(Sizes { smallest, largest }, source.as_ref()).map_err(|error| error.code())
        };
        assert_eq!(of(0, None, 0), Ok(DEFAULT_SIZE));
        assert_eq!(of(0, Some(8 * MIB), 0), Ok(8 * MIB));
        assert_eq!(of(MIB + 1, None, 0), Ok(2 * MIB));
        assert_eq!(of(MIB + 1, Some(MIB + 2), 0), Err(Code::OutOfRange));
        assert_eq!(of(0, None, 5 * MIB), Ok(5 * MIB));
        assert_eq!(of(6 * MIB, None, 5 * MIB), Ok(6 * MIB));
        assert_eq!(of(4 * MIB, None, 5 * MIB), Err(Code::OutOfRange));
        assert_eq!(of(0, Some(4 * MIB), 5 * MIB), Err(Code::OutOfRange));
        assert_eq!(of(MAX_VOLUME_SIZE + 1, None, 0), Err(Code::OutOfRange));
    }

    #[test]
    fn a_volume_of_the_name_is_reused_only_if_it_fits() {
        let volume = |size, connections| Volume { size, connections, ..Volume::default() };
        let sizes = Sizes { smallest: 10, largest: Some(20) };
        let reused = |volume: &Volume, is_clone| {
            reuse(volume, sizes, is_clone).map_err(|error| error.code())
        };
        assert_eq!(reused(&volume(10, 1), false), Ok(Reuse::AsItIs));
        assert_eq!(reused(&volume(21, 0), true), Err(Code::AlreadyExists));
        assert_eq!(reused(&volume(9, 0), false), Err(Code::AlreadyExists));
        assert_eq!(reused(&volume(9, 0), true), Ok(Reuse::Expand));
        assert_eq!(reused(&volume(9, 1), true), Err(Code::AlreadyExists));
    }
}
