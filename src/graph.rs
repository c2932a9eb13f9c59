//! An app as a picture: who comes in, which components they reach, which volumes hold the data.
//!
//! Turns an [`App`](crate::blueprint::App) into nodes and edges, and those into SVG or Mermaid.

mod layout;
mod mermaid;
mod svg;

use crate::blueprint::{App, ClassKind, Pods, When};
use crate::spec::Via;

pub use mermaid::mermaid;
pub use svg::svg;

/// What a node stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKind {
    /// The way in from outside.
    WayIn,
    /// A component.
    Component,
    /// A job.
    Job,
    /// A volume on a file class.
    File,
    /// A volume on a block class.
    Block,
}

/// A box of the picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it stands for.
    pub kind: NodeKind,
    /// Unique name within the graph.
    pub id: String,
    /// First line.
    pub title: String,
    /// Second line.
    pub detail: String,
    /// Column, from left to right.
    pub column: usize,
}

/// A line between two boxes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// Name of the box where it starts.
    pub from: String,
    /// Name of the box where it ends.
    pub to: String,
    /// What flows.
    pub label: String,
    /// Whether it is a mount rather than traffic.
    pub mount: bool,
}

/// The picture of one app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    /// What is written above it.
    pub title: String,
    /// Its boxes.
    pub nodes: Vec<Node>,
    /// Its lines.
    pub edges: Vec<Edge>,
}

impl Graph {
    /// Returns the picture of an app.
    pub fn of(app: &App) -> Self {
        let place = app.namespace.as_ref().map(|namespace| format!(" in {namespace}"));
        let title = format!("{} {}{}", app.kind, app.name, place.unwrap_or_default());
        let mut graph = Self { title, nodes: Vec::new(), edges: Vec::new() };
        graph.ways_in(app);
        graph.programs(app);
        graph.volumes(app);
        graph.columns();
        graph
    }

    fn node(&mut self, kind: NodeKind, id: String, title: String, detail: String) {
        self.nodes.push(Node { kind, id, title, detail, column: 0 });
    }

    fn ways_in(&mut self, app: &App) {
        if app.common.expose.via == Via::None {
            return;
        }
        for exposed in &app.exposed {
            let id = format!("in-{}-{}", exposed.component, exposed.port);
            let host = exposed.hosts.first().cloned().unwrap_or_default();
            let more = exposed.hosts.len().saturating_sub(1);
            let title = if more > 0 { format!("{host} +{more}") } else { host };
            self.node(NodeKind::WayIn, id.clone(), title, app.common.expose.via.word().to_owned());
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

    fn mounts(&mut self, from: &str, program: &crate::blueprint::Program) {
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
            let kind = match volume.class.kind {
                ClassKind::File => NodeKind::File,
                ClassKind::Block => NodeKind::Block,
            };
            let detail = format!("{} {}", volume.class.name, volume.size);
            self.node(kind, format!("volume-{name}"), name.clone(), detail);
        }
    }

    /// Left to right: ways in, then each component after those that talk to it, then volumes. A job
    /// stands just before what it reaches.
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
            if matches!(node.kind, NodeKind::File | NodeKind::Block) {
                node.column = last;
            }
        }
        let columns: Vec<(String, usize)> =
            self.nodes.iter().map(|node| (node.id.clone(), node.column)).collect();
        for node in self.nodes.iter_mut().filter(|node| node.kind == NodeKind::Job) {
            let reached =
                self.edges.iter().filter(|edge| edge.from == node.id).filter_map(|edge| {
                    columns.iter().find(|(id, _)| *id == edge.to).map(|(_, column)| *column)
                });
            node.column = reached.min().unwrap_or(1).saturating_sub(1);
        }
    }
}
