//! The connections of an app: between its components, to servers outside, and from clients outside. How they become
//! NetworkPolicies and routes is unknown here.

use std::collections::BTreeSet;

use indexmap::IndexMap;

use super::{Instantiation, read};
use crate::compiler::blueprint::app::{Exposed, Server, Talk};
use crate::compiler::blueprint::language::{Component, Connection, Exposure, Job};
use crate::compiler::blueprint::scope::Variables;
use crate::compiler::blueprint::template::Template;
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
                            servers.push(Server {
                                from: from.clone(),
                                host,
                                port: port.get(),
                                field: None,
                            });
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
        self.fields_of_hosts(scope, &mut servers);
        Ok((talks, servers))
    }

    /// Sets the parameter that the host of each server is taken from. Two servers may have the same host, so each takes
    /// the first entry that no other has taken.
    fn fields_of_hosts(&self, scope: &Variables, servers: &mut [Server]) {
        let Some(talks) = &self.blueprint.talks else { return };
        let mut taken = BTreeSet::new();
        for server in servers {
            let like = || talks.field(self.blueprint.likes.get(&server.from)?);
            let entries = talks.field(&server.from).or_else(like).map_or(&[][..], Template::items);
            server.field = entries.iter().enumerate().find_map(|(index, entry)| {
                let host = entry.field("host")?.expression()?;
                let field = host.field().filter(|field| self.is_parameter(field))?;
                let value = host.evaluate(scope).ok()?;
                let is_it = value.as_str() == Some(server.host.as_str());
                (is_it && taken.insert((server.from.clone(), index))).then_some(field)
            });
        }
    }

    fn is_parameter(&self, field: &str) -> bool {
        let name = field.split('.').next();
        self.blueprint.parameters.iter().any(|parameter| Some(parameter.name.as_str()) == name)
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
