//! The simulated arrays against the official documents, and against what is known of the real ones.

#[path = "simulator/array_client.rs"]
mod array_client;
#[path = "simulator/containers.rs"]
mod containers;
#[path = "simulator/document.rs"]
mod document;
#[path = "simulator/export_policies.rs"]
mod export_policies;
#[path = "simulator/exports.rs"]
mod exports;
#[path = "simulator/file_systems.rs"]
mod file_systems;
#[path = "simulator/hosts.rs"]
mod hosts;
#[path = "simulator/lists.rs"]
mod lists;
#[path = "simulator/odd.rs"]
mod odd;
#[path = "simulator/policies.rs"]
mod policies;
#[path = "simulator/protection.rs"]
mod protection;
#[path = "simulator/sessions.rs"]
mod sessions;
#[path = "simulator/space.rs"]
mod space;
#[path = "simulator/tags.rs"]
mod tags;
#[path = "simulator/versions.rs"]
mod versions;
#[path = "simulator/volumes.rs"]
mod volumes;

const DAY: u64 = 24 * 60 * 60 * 1000;
