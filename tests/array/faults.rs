//! Sequences of operations against arrays that lose answers, repeat requests, end sessions and have too
//! much to do: in the end there is what would be there without all that.

use std::sync::Arc;

use proptest::prelude::*;
use pso_gen::arrays::{Array, Attached, BlockArray as _, Error, FlashArray};
use pso_gen::contract::{Retry, Snapshot, SnapshotSuffix, VolumeId};
use pso_gen::simulator::Settings;
use serde_json::{Value as Json, json};

use super::attach::{node, request};
use super::bench::{Bench, block, file, owner};

/// How often an operation is tried that says "come again": the provisioner does so without end.
const TRIES: usize = 60;

#[derive(Debug, Clone, Copy)]
enum Operation {
    Ensure { volume: u8, mebibytes: u16 },
    Grow { volume: u8, mebibytes: u16 },
    Destroy { volume: u8 },
    Snapshot { volume: u8, suffix: u8 },
    DestroySnapshots { volume: u8 },
    Connect { volume: u8, host: u8 },
    Disconnect { volume: u8, host: u8 },
}

fn operation() -> impl Strategy<Value = Operation> {
    let (volume, host, suffix, mebibytes) = (0..4_u8, 0..2_u8, 0..2_u8, 1..2000_u16);
    prop_oneof![
        4 => (volume.clone(), mebibytes.clone())
            .prop_map(|(volume, mebibytes)| Operation::Ensure { volume, mebibytes }),
        2 => (volume.clone(), mebibytes)
            .prop_map(|(volume, mebibytes)| Operation::Grow { volume, mebibytes }),
        1 => volume.clone().prop_map(|volume| Operation::Destroy { volume }),
        2 => (volume.clone(), suffix)
            .prop_map(|(volume, suffix)| Operation::Snapshot { volume, suffix }),
        1 => volume.clone().prop_map(|volume| Operation::DestroySnapshots { volume }),
        2 => (volume.clone(), host.clone())
            .prop_map(|(volume, host)| Operation::Connect { volume, host }),
        1 => (volume, host).prop_map(|(volume, host)| Operation::Disconnect { volume, host }),
    ]
}

/// Everything that may go wrong and leave the state as it is, or as it should be afterwards.
fn faults(late: bool) -> Json {
    let mut faults = json!([
        {"fault": "answerLost", "probability": 0.12},
        {"fault": "refused", "probability": 0.06},
        {"fault": "twice", "probability": 0.08},
        {"fault": "sessionCut", "probability": 0.05},
        {"fault": "busy", "probability": 0.05},
        {"fault": "unavailable", "probability": 0.05},
        {"fault": {"throttled": {}}, "probability": 0.05},
        {"fault": {"slow": {"delay": 5}}, "probability": 0.05},
    ]);
    if let (true, Some(list)) = (late, faults.as_array_mut()) {
        list.insert(0, json!({"fault": {"late": {"delay": 20}}, "probability": 0.08}));
    }
    faults
}

/// Somebody who does operations one after the other, as the provisioner does for each claim.
struct Actor {
    array: Arc<dyn Array>,
    /// The same one, when it is a FlashArray.
    block: Option<Arc<FlashArray>>,
    volumes: [Option<VolumeId>; 4],
}

impl Actor {
    fn new(bench: &Bench) -> Self {
        let block = (!bench.is_flashblade()).then(|| bench.flasharray_client());
        let array = match &block {
            Some(block) => Arc::clone(block) as Arc<dyn Array>,
            None => bench.client(),
        };
        Self { array, block, volumes: [const { None }; 4] }
    }

    async fn once(&mut self, operation: Operation) -> Result<(), Error> {
        let size = |mebibytes: u16| u64::from(mebibytes) << 20;
        let host = |host: u8| node(&format!("n{host}"));
        if let Operation::Ensure { volume, mebibytes } = operation {
            let name = format!("prod-pvc-{volume}");
            let size = size(mebibytes);
            let wanted = if self.block.is_some() { block(&name, size) } else { file(&name, size) };
            let made = self.array.ensure(&wanted).await?;
            assert!(made.size >= size && !made.destroyed, "{made:?}");
            self.volumes[usize::from(volume)] = made.volume_id();
            return Ok(());
        }
        let (Operation::Grow { volume, .. }
        | Operation::Destroy { volume }
        | Operation::Snapshot { volume, .. }
        | Operation::DestroySnapshots { volume }
        | Operation::Connect { volume, .. }
        | Operation::Disconnect { volume, .. }
        | Operation::Ensure { volume, .. }) = operation;
        let Some(volume) = self.volumes[usize::from(volume)].clone() else { return Ok(()) };
        match operation {
            Operation::Ensure { .. } => {}
            Operation::Grow { mebibytes, .. } => {
                let grown = self.array.expand(&volume, size(mebibytes)).await?;
                assert!(grown.size >= size(mebibytes), "{grown:?}");
            }
            Operation::Destroy { .. } => self.array.destroy(&volume, &owner()).await?,
            Operation::Snapshot { suffix, .. } => {
                let suffix = SnapshotSuffix::new(format!("s{suffix}")).expect("a suffix");
                let taken = self.array.snapshot(&volume, &suffix).await?;
                assert!(!taken.destroyed, "{taken:?}");
            }
            Operation::DestroySnapshots { .. } => {
                let all: Vec<Snapshot> = self.array.snapshots(&volume).await?;
                for snapshot in all {
                    self.array.destroy_snapshot(&snapshot).await?;
                }
            }
            Operation::Connect { host: number, .. } => {
                if let Some(block) = &self.block {
                    let mut wanted = request(&volume, host(number));
                    wanted.exclusive = volume.name.as_str().ends_with(['0', '2']);
                    let attached = block.attach(&wanted).await?;
                    let hosts = block.hosts(&volume).await?;
                    let others = hosts.iter().any(|host| !wanted.host.is(host));
                    // What was answered is what is there.
                    assert_eq!(
                        matches!(attached, Attached::Elsewhere(_)),
                        wanted.exclusive && others
                    );
                }
            }
            Operation::Disconnect { host: number, .. } => {
                if let Some(block) = &self.block {
                    block.record_formatted(&volume).await?;
                    block.detach(&volume, &host(number)).await?;
                    let hosts = block.hosts(&volume).await?;
                    assert!(!hosts.iter().any(|there| host(number).is(there)), "{hosts:?}");
                }
            }
        }
        Ok(())
    }

    /// Does an operation as often as it says that it may be tried again. Returns what came of it.
    async fn at_last(&mut self, operation: Operation) -> &'static str {
        for _ in 0..TRIES {
            match self.once(operation).await {
                Ok(()) => return "done",
                // A volume that is in use stays so, however often one asks.
                Err(error) if error.retry() == Retry::Soon && error.reason() != "InUse" => {}
                Err(error) => return error.reason(),
            }
        }
        panic!("{operation:?} does not come to an end");
    }
}

/// What is on an array, without what differs from run to run.
async fn state(bench: &Bench) -> Json {
    let mut kinds = bench.contents().await;
    for object in kinds.iter_mut().filter_map(|kind| kind["objects"].as_array_mut()).flatten() {
        let Some(fields) = object.as_object_mut() else { continue };
        // A LUN follows from the volume's id.
        for field in ["id", "serial", "created", "time_remaining", "space", "lun"] {
            fields.remove(field);
        }
        for field in ["owner", "source", "volume", "member"] {
            if let Some(reference) = fields.get_mut(field).and_then(Json::as_object_mut) {
                reference.remove("id");
            }
        }
    }
    Json::from(kinds)
}

async fn bench(flashblade: bool) -> Bench {
    // Snapshots and volumes of a seed are few: pages are small, so that lists have several.
    let settings = Settings { page: 2, ..Settings::default() };
    if flashblade {
        Bench::flashblade_with(settings).await
    } else {
        Bench::flasharray_with(settings).await
    }
}

async fn without_faults(flashblade: bool, operations: &[Operation]) -> (Vec<&'static str>, Json) {
    let bench = bench(flashblade).await;
    let mut actor = Actor::new(&bench);
    let mut outcomes = Vec::new();
    for operation in operations {
        outcomes.push(actor.at_last(*operation).await);
    }
    (outcomes, state(&bench).await)
}

/// `PROPTEST_CASES` asks for more than the everyday number.
fn cases() -> u32 {
    let wanted = std::env::var("PROPTEST_CASES").ok();
    wanted.and_then(|word| word.parse().ok()).unwrap_or(24)
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), max_shrink_iters: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn faults_change_nothing_in_the_end(
        flashblade in any::<bool>(),
        seed in any::<u64>(),
        operations in prop::collection::vec(operation(), 1..14),
    ) {
        run(async {
            let (expected, there) = without_faults(flashblade, &operations).await;
            let bench = bench(flashblade).await.with_seed(seed).await;
            bench.control("PUT", "/faults", faults(false)).await;
            let mut actor = Actor::new(&bench);
            for (operation, expected) in operations.iter().zip(&expected) {
                let outcome = actor.at_last(*operation).await;
                prop_assert_eq!(outcome, *expected, "{:?}", operation);
            }
            bench.control("PUT", "/faults", json!([])).await;
            prop_assert_eq!(state(&bench).await, there);
            Ok(())
        })?;
    }

    #[test]
    fn two_at_once_and_late_requests_end_in_the_same_place(
        flashblade in any::<bool>(),
        seed in any::<u64>(),
        sizes in prop::collection::vec(1..2000_u16, 4),
    ) {
        run(async {
            let operations: Vec<Operation> = (0..4_u8)
                .zip(&sizes)
                .map(|(volume, mebibytes)| Operation::Ensure { volume, mebibytes: *mebibytes })
                .collect();
            let (_, there) = without_faults(flashblade, &operations).await;
            let bench = bench(flashblade).await.with_seed(seed).await;
            bench.control("PUT", "/faults", faults(true)).await;
            let work = |mut actor: Actor| {
                let operations = operations.clone();
                async move {
                    for operation in operations {
                        assert_eq!(actor.at_last(operation).await, "done");
                    }
                }
            };
            tokio::join!(work(Actor::new(&bench)), work(Actor::new(&bench)));
            bench.control("PUT", "/faults", json!([])).await;
            bench.nothing_is_late().await;
            prop_assert_eq!(state(&bench).await, there);
            Ok(())
        })?;
    }
}
