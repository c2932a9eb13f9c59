//! Resources about the array itself: identity, capacity, performance.

use serde_json::{Value as Json, json};

use super::FlashArray;
use crate::simulator::collection::bytes;
use crate::simulator::rest::{Outcome, Refusal, Request};

impl FlashArray {
    pub(super) fn array(&self, now: u64) -> Json {
        let delay = self.settings.eradication_delay;
        let mut eradication = self.eradication();
        for field in ["disabled_delay", "enabled_delay", "eradication_delay"] {
            eradication[field] = delay.into();
        }
        json!({
            "name": self.settings.name, "id": self.array_id(), "_as_of": now, "os": "Purity//FA",
            "version": "6.9.2", "capacity": self.settings.capacity, "parity": 1.0,
            "idle_timeout": self.sessions.idle_timeout(), "time_zone": "UTC",
            "eradication_config": eradication,
        })
    }

    /// Returns whether destroyed objects can be eradicated immediately.
    pub(super) fn eradication(&self) -> Json {
        let manual = if self.settings.safe_mode { "all-disabled" } else { "all-enabled" };
        json!({ "manual_eradication": manual })
    }

    pub(super) fn performance(&self, request: &Request, now: u64) -> Outcome {
        for (parameter, known) in [
            ("protocol", ["all", "nfs", "s3", "smb"]),
            ("protocol_group", ["all", "block", "file", "object-store"]),
        ] {
            let asked = request.parameter(parameter).unwrap_or("all");
            if !known.contains(&asked) {
                return Err(Refusal::of(
                    asked,
                    format!("Invalid value of parameter '{parameter}'."),
                ));
            }
        }
        // No client reads or writes here.
        Ok(json!({
            "name": self.settings.name, "id": self.array_id(), "time": now, "bytes_per_op": 0,
            "bytes_per_read": 0, "bytes_per_write": 0, "others_per_sec": 0, "queue_depth": 0,
            "read_bytes_per_sec": 0, "reads_per_sec": 0, "usec_per_other_op": 0, "usec_per_read_op": 0,
            "usec_per_write_op": 0, "write_bytes_per_sec": 0, "writes_per_sec": 0,
        }))
    }

    pub(super) fn space(&self, now: u64) -> Json {
        let sums = self.volumes.sums();
        let used = bytes(sums.live.used + sums.destroyed.used);
        json!({
            "name": self.settings.name, "id": self.array_id(), "time": now,
            "capacity": self.settings.capacity, "parity": 1.0,
            "space": {
                "data_reduction": 1.0, "shared": 0, "snapshots": 0, "system": 0, "total_physical": used,
                "total_provisioned": sums.provisioned(), "total_reduction": 1.0, "total_used": used,
                "unique": bytes(sums.live.used), "used_provisioned": bytes(sums.live.provisioned),
                "virtual": bytes(sums.live.used),
            },
        })
    }
}
