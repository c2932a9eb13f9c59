//! Draws an app as a graph: its entry points, the components behind them, and the volumes that hold the data.
//!
//! Turns an [`App`](crate::compiler::blueprint::App) into nodes and edges, and those into SVG or Mermaid.

mod layout;
mod mermaid;
mod svg;
#[cfg(test)]
mod tests;

use crate::compiler::blueprint::{App, ClassKind, Pods, When};
use crate::compiler::compile::order;
use crate::compiler::spec::Via;
use crate::contract::Quantity;

pub use mermaid::mermaid;
pub use svg::svg;

/// The kind of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKind {
    /// An entry point: an Ingress or HTTPRoute.
    WayIn,
    /// A component.
    Component,
    /// A job.
    Job,
    /// A volume on a file class.
    File,
    /// A volume on a block class.
    Block,
    /// An existing claim.
    Claim,
}

impl NodeKind {
    /// Returns whether the node stores data.
    fn is_volume(self) -> bool {
        matches!(self, Self::File | Self::Block | Self::Claim)
    }
}

/// A box in the graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its kind.
    pub kind: NodeKind,
    /// Unique name within the graph.
    pub id: String,
    /// First line.
    pub title: String,
    /// Second line.
    pub detail: String,
    /// Third line: ports of a component, paths of a volume; may be empty.
    pub note: String,
    /// Sync wave in which Argo CD applies it, from the lowest to the highest.
    pub wave: Option<i32>,
    /// Column, from left to right.
    pub column: usize,
}

/// An edge between two boxes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// Id of the box where it starts.
    pub from: String,
    /// Id of the box where it ends.
    pub to: String,
    /// The traffic, or the mount path.
    pub label: String,
    /// Whether it is a mount rather than traffic.
    pub mount: bool,
}

/// The graph of one app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    /// The heading.
    pub title: String,
    /// Its boxes.
    pub nodes: Vec<Node>,
    /// Its lines.
    pub edges: Vec<Edge>,
}

impl Graph {
    /// Returns the graph of an app.
    pub fn of(app: &App) -> Self {
        let place = app.namespace.as_ref().map(|namespace| format!(" in {namespace}"));
        let title = format!("{} {}{}", app.kind, app.name, place.unwrap_or_default());
        let mut graph = Self { title, nodes: Vec::new(), edges: Vec::new() };
        graph.entry_points(app);
        graph.programs(app);
        graph.volumes(app);
        graph.waves(app);
        graph.columns();
        graph
    }

    /// Returns the heading of a column.
    fn head(&self, column: usize) -> &'static str {
        let kinds = || self.nodes.iter().filter(|node| node.column == column).map(|node| node.kind);
        let has = |kind: NodeKind| kinds().any(|other| other == kind);
        let is_first =
            !self.nodes.iter().any(|node| node.kind == NodeKind::Component && node.column < column);
        match (has(NodeKind::WayIn), has(NodeKind::Component), has(NodeKind::Job)) {
            _ if kinds().any(NodeKind::is_volume) => "Volumes",
            (true, false, false) => "Entry",
            (true, false, true) => "Entry and jobs",
            (true, true, _) => "Entry and programs",
            (false, true, true) if is_first => "Programs and jobs",
            (false, true, _) if is_first => "Programs",
            (false, true, _) => "Programs they use",
            (false, false, _) => "Jobs",
        }
    }

    fn node(&mut self, kind: NodeKind, id: String, title: String, detail: String) {
        let note = String::new();
        self.nodes.push(Node { kind, id, title, detail, note, wave: None, column: 0 });
    }

    fn note(&mut self, note: String) {
        if let Some(last) = self.nodes.last_mut() {
            last.note = note;
        }
    }

    fn entry_points(&mut self, app: &App) {
        if app.common.expose.via == Via::None {
            return;
        }
        for exposed in &app.exposed {
            let id = format!("in-{}-{}", exposed.component, exposed.port);
            let host = exposed.hosts.first().cloned().unwrap_or_default();
            let via = app.common.expose.via.word().to_owned();
            self.node(NodeKind::WayIn, id.clone(), host, via);
            if let [_, others @ ..] = exposed.hosts.as_slice()
                && !others.is_empty()
            {
                self.note(format!("and {}", others.join(", ")));
            }
            let to = format!("component-{}", exposed.component);
            self.edges.push(Edge { from: id, to, label: exposed.port.clone(), mount: false });
        }
    }

    fn programs(&mut self, app: &App) {
        for (name, component) in &app.components {
            let pods = match component.serving.pods {
                Pods::One => "1 pod, never 2".to_owned(),
                Pods::Count(1) => "1 pod".to_owned(),
                Pods::Count(count) => format!("{count} pods"),
                Pods::Scale(scale) => format!("{} to {} pods", scale.min, scale.max),
            };
            self.node(NodeKind::Component, format!("component-{name}"), name.clone(), pods);
            let ports: Vec<&str> = component.serving.ports.keys().map(String::as_str).collect();
            if !ports.is_empty() {
                self.note(format!("port {}", ports.join(", ")));
            }
            self.mounts(&format!("component-{name}"), &component.program);
        }
        for (name, job) in &app.jobs {
            let when = match &job.schedule.when {
                When::Every(schedule) => schedule.clone(),
                When::Asked => "when asked".to_owned(),
            };
            self.node(NodeKind::Job, format!("job-{name}"), name.clone(), when);
            self.mounts(&format!("job-{name}"), &job.program);
        }
        for talk in &app.talks {
            let kind = if app.components.contains_key(&talk.from) { "component" } else { "job" };
            self.edges.push(Edge {
                from: format!("{kind}-{}", talk.from),
                to: format!("component-{}", talk.to),
                label: talk.port.clone(),
                mount: false,
            });
        }
    }

    fn mounts(&mut self, from: &str, program: &crate::compiler::blueprint::Program) {
        for (volume, mount) in &program.mounts {
            if let Some(mount) = mount {
                self.edges.push(Edge {
                    from: from.to_owned(),
                    to: format!("volume-{volume}"),
                    label: mount.path.clone(),
                    mount: true,
                });
            }
        }
    }

    fn volumes(&mut self, app: &App) {
        for (name, volume) in &app.volumes {
            let kind = match (&volume.claim, volume.class.kind) {
                (Some(_), _) => NodeKind::Claim,
                (None, ClassKind::File) => NodeKind::File,
                (None, ClassKind::Block) => NodeKind::Block,
            };
            let detail = match &volume.claim {
                Some(claim) => format!("claim {claim}"),
                None => format!("{} {}", volume.class.name, size(&volume.size)),
            };
            let id = format!("volume-{name}");
            let mut paths: Vec<&str> = Vec::new();
            for edge in self.edges.iter().filter(|edge| edge.to == id) {
                if !paths.contains(&edge.label.as_str()) {
                    paths.push(&edge.label);
                }
            }
            let paths = paths.join(", ");
            self.node(kind, id, name.clone(), detail);
            self.note(paths);
        }
    }

    /// Sets the waves. A claim is in the wave of its first pod; an existing claim is not applied.
    fn waves(&mut self, app: &App) {
        let (components, last) = order(app);
        let ids: Vec<(String, i32)> =
            components.iter().map(|(name, wave)| (format!("component-{name}"), *wave)).collect();
        let of =
            |id: &str| ids.iter().find(|(other, _)| other == id).map_or(last, |(_, wave)| *wave);
        for node in &mut self.nodes {
            let users = self.edges.iter().filter(|edge| edge.mount && edge.to == node.id);
            node.wave = match node.kind {
                NodeKind::Component => Some(of(&node.id)),
                NodeKind::WayIn | NodeKind::Job => Some(last),
                NodeKind::File | NodeKind::Block => users.map(|edge| of(&edge.from)).min(),
                NodeKind::Claim => None,
            };
        }
    }

    /// Assigns columns from left to right: entry points, then each component after the components that connect to it,
    /// then volumes. A job is just before its target.
    fn columns(&mut self) {
        for _ in 0..self.nodes.len() {
            for edge in self.edges.iter().filter(|edge| !edge.mount) {
                let from = self.nodes.iter().find(|node| node.id == edge.from);
                let least = from.filter(|node| node.kind != NodeKind::Job);
                let least = least.map_or(0, |node| node.column + 1).min(10);
                if let Some(to) = self.nodes.iter_mut().find(|node| node.id == edge.to) {
                    to.column = to.column.max(least);
                }
            }
        }
        let last = self.nodes.iter().map(|node| node.column).max().unwrap_or(0) + 1;
        for node in &mut self.nodes {
            if node.kind.is_volume() {
                node.column = last;
            }
        }
        let components = self.nodes.iter().filter(|node| node.kind == NodeKind::Component);
        let first = components.map(|node| node.column).min().unwrap_or(0);
        let columns: Vec<(String, usize)> =
            self.nodes.iter().map(|node| (node.id.clone(), node.column)).collect();
        for node in self.nodes.iter_mut().filter(|node| node.kind == NodeKind::Job) {
            let reached =
                self.edges.iter().filter(|edge| edge.from == node.id).filter_map(|edge| {
                    columns.iter().find(|(id, _)| *id == edge.to).map(|(_, column)| *column)
                });
            node.column = reached.min().unwrap_or(first + 1).saturating_sub(1);
        }
    }
}

/// Formats a size in the largest unit that divides it.
fn size(size: &Quantity) -> String {
    if size.text().contains('.') {
        return size.text().to_owned();
    }
    Quantity::of_bytes(size.bytes()).text().to_owned()
}
