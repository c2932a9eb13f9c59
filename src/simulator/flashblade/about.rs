//! Resources about the array itself: identity, capacity, performance.

use serde_json::{Value as Json, json};

use super::{FlashBlade, file_systems};
use crate::simulator::collection::{Page, Sums};
use crate::simulator::names;
use crate::simulator::rest::{Outcome, Refusal, Request};

fn check_protocol(request: &Request) -> Result<(), Refusal> {
    const PROTOCOLS: [&str; 5] = ["all", "HTTP", "SMB", "NFS", "S3"];
    let asked = request.parameter("protocol").unwrap_or("all");
    if PROTOCOLS.iter().any(|protocol| protocol.eq_ignore_ascii_case(asked)) {
        Ok(())
    } else {
        Err(Refusal::of(asked, "Invalid protocol."))
    }
}

/// Returns the performance of an object that no client uses.
fn idle(of: &Json, now: u64) -> Json {
    json!({
        "name": of["name"], "id": of["id"], "time": now, "bytes_per_op": 0.0,
        "bytes_per_read": 0.0, "bytes_per_write": 0.0, "others_per_sec": 0.0,
        "read_bytes_per_sec": 0.0, "reads_per_sec": 0.0, "usec_per_other_op": 0.0,
        "usec_per_read_op": 0.0, "usec_per_write_op": 0.0, "write_bytes_per_sec": 0.0,
        "writes_per_sec": 0.0,
    })
}

impl FlashBlade {
    pub(super) fn performance(&self, request: &Request, now: u64) -> Outcome {
        check_protocol(request)?;
        Ok(idle(&self.location(), now))
    }

    /// Returns the performance of the requested file systems, or of all.
    pub(super) fn performances(&self, request: &Request, now: u64) -> Result<Page, Refusal> {
        check_protocol(request)?;
        let only_total = request.flag("total_only")? == Some(true);
        let mut items = self.file_systems.selected(request, "names", "ids")?;
        if items.is_empty() {
            items = self.file_systems.iter().collect();
        }
        let items: Vec<Json> = items.into_iter().map(|system| idle(system, now)).collect();
        let count = Some(items.len());
        // There is no load, so the sum equals a single value.
        let mut total = items.first().filter(|_| only_total).cloned();
        if let Some(fields) = total.as_mut().and_then(Json::as_object_mut) {
            fields.retain(|field, _| !["name", "id"].contains(&field.as_str()));
        }
        let items = if only_total { Vec::new() } else { items };
        Ok(Page { items, more: false, token: None, count, total })
    }

    /// Returns a reference to the array.
    pub(super) fn location(&self) -> Json {
        json!({"name": self.settings.name, "id": names::id(self.settings.number, 0)})
    }

    pub(super) fn array(&self, now: u64) -> Json {
        json!({
            "name": self.settings.name, "id": names::id(self.settings.number, 0), "_as_of": now,
            "os": "Purity//FB", "version": "4.6.5", "idle_timeout": self.sessions.idle_timeout(),
            "time_zone": "UTC",
            "eradication_config": {
                "eradication_delay": self.settings.eradication_delay,
                "manual_eradication": if self.settings.safe_mode { "all-disabled" } else { "all-enabled" },
            },
        })
    }

    pub(super) fn space(&self, request: &Request, now: u64) -> Outcome {
        let sums = match request.parameter("type") {
            None | Some("array" | "file-system") => self.file_systems.sums(),
            Some("object-store") => Sums::default(),
            Some(other) => return Err(Refusal::of(other, "Invalid type.")),
        };
        Ok(json!({
            "name": self.settings.name, "id": self.location()["id"], "time": now,
            "capacity": self.settings.capacity, "parity": 1.0,
            "space": file_systems::space_of(sums),
        }))
    }
}
