//! The connections of an app: between its components, to servers outside, and from clients outside. How they become
//! NetworkPolicies and routes is unknown here.

use indexmap::IndexMap;

use super::{Instantiation, read};
use crate::compiler::blueprint::app::{Exposed, Server, Talk};
use crate::compiler::blueprint::language::{Component, Connection, Exposure, Job};
use crate::compiler::blueprint::scope::Variables;
use crate::compiler::yaml::ReadError;

impl Instantiation<'_> {
    /// Returns the connections to components, without those from or to a disabled one, and those to servers.
    pub(super) fn talks(
        &self,
        scope: &Variables,
        components: &IndexMap<String, Component>,
        jobs: &IndexMap<String, Job>,
    ) -> Result<(Vec<Talk>, Vec<Server>), ReadError> {
        let mut written: IndexMap<String, Vec<Connection>> =
            read(self.blueprint.talks.as_ref(), scope)?.unwrap_or_default();
        for (job, like) in &self.blueprint.likes {
            if let (Some(same), false) = (written.get(like).cloned(), written.contains_key(job)) {
                written.insert(job.clone(), same);
            }
        }
        let (mut talks, mut servers) = (Vec::new(), Vec::new());
        // An undeclared name is a mistake, which `verify` reports.
        let is_component = |name: &str| self.blueprint.components.iter().any(|(n, _)| n == name);
        let is_job = |name: &str| self.blueprint.jobs.iter().any(|(n, _)| n == name);
        for (from, targets) in written {
            let is_there = components.contains_key(&from) || jobs.contains_key(&from);
            let from_is_off = !is_there && (is_component(&from) || is_job(&from));
            for connection in targets {
                let (target, waits) = match connection {
                    Connection::Component { to, waits } => (to, waits),
                    Connection::Server { host, port } => {
                        if !from_is_off {
                            servers.push(Server { from: from.clone(), host, port });
                        }
                        continue;
                    }
                };
                let (to, port) = target.split_once('.').unwrap_or((target.as_str(), ""));
                let to_is_off = !components.contains_key(to) && is_component(to);
                if !from_is_off && !to_is_off {
                    talks.push(Talk {
                        from: from.clone(),
                        to: to.to_owned(),
                        port: port.to_owned(),
                        waits,
                    });
                }
            }
        }
        Ok((talks, servers))
    }

    pub(super) fn exposed(
        &self,
        scope: &Variables,
        components: &IndexMap<String, Component>,
    ) -> Result<Vec<Exposed>, ReadError> {
        let written: IndexMap<String, Exposure> =
            read(self.blueprint.expose.as_ref(), scope)?.unwrap_or_default();
        let exposed = written.into_iter().filter_map(|(target, exposure)| {
            let (component, port) = target.split_once('.').unwrap_or((target.as_str(), ""));
            let declared = self.blueprint.components.iter().any(|(name, _)| name == component);
            let Exposure { hosts, max_body, timeout } = exposure;
            (components.contains_key(component) || !declared).then(|| Exposed {
                component: component.to_owned(),
                port: port.to_owned(),
                hosts,
                max_body,
                timeout,
            })
        });
        Ok(exposed.collect())
    }
}
