//! Servers, on which file systems are exported. One exists initially.

use serde_json::{Value as Json, json};

use super::FlashBlade;
use crate::simulator::collection::{id, shown, text};
use crate::simulator::fields::{self, Field, Takes};
use crate::simulator::names;
use crate::simulator::rest::{Outcome, Refusal, Request};

/// The initial server, which cannot be deleted.
pub(super) const DEFAULT_SERVER: &str = "_array_server";

const FIELDS: &[Field] = &[("dns", Takes::Handler)];

impl FlashBlade {
    pub(super) fn make_server(&mut self, request: &Request, now: u64) -> Outcome {
        let name = request.one("names")?;
        names::check(name, true)?;
        let directory = request.one("create_ds")?;
        if directory != format!("{name}_nfs") {
            let message = "The directory service must have the server's name followed by '_nfs'.";
            return Err(Refusal::of(directory, message));
        }
        let mut object = server(name, now);
        fields::set(&mut object, &request.body, &[FIELDS])?;
        if request.body["dns"].as_array().is_some_and(|dns| !dns.is_empty()) {
            return Err(Refusal::missing(name, "DNS configuration"));
        }
        object["directory_services"] = json!([{ "name": directory }]);
        self.servers.free(name)?;
        object["id"] = self.id().into();
        let items = json!([shown(&object, now)]);
        self.servers.add(object)?;
        Ok(json!({ "items": items }))
    }

    pub(super) fn delete_servers(&mut self, request: &Request) -> Outcome {
        if request.one("cascade_delete")? != "directory-services" {
            return Err(Refusal::whole(400, "Invalid value of parameter 'cascade_delete'."));
        }
        let exports = &self.exports;
        self.servers.delete(request, |server| {
            let name = text(server, "name");
            if name == DEFAULT_SERVER {
                return Err(Refusal::of(name, "The default server cannot be deleted."));
            }
            if exports.has("server", id(server)) {
                return Err(Refusal::of(name, "Server has exports."));
            }
            Ok(())
        })?;
        Ok(json!({}))
    }
}

/// Returns a server without an id.
pub(super) fn server(name: &str, now: u64) -> Json {
    json!({"name": name, "created": now, "dns": [], "directory_services": [], "realms": []})
}
