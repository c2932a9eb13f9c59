//! Writes graphs as Mermaid text, which Markdown pages render as a picture.

use std::fmt::Write as _;

use super::{Graph, Node, NodeKind};
use crate::sanitize;

/// Returns one flowchart with a box around each app.
pub fn mermaid(graphs: &[Graph]) -> String {
    let mut out = "flowchart LR\n".to_owned();
    for (number, graph) in graphs.iter().enumerate() {
        let id = |id: &str| format!("a{number}-{id}");
        let _ = writeln!(out, "  subgraph a{number}[\"{}\"]", quoted(&graph.title));
        for node in &graph.nodes {
            let wave = node.wave.map(|wave| format!("<br>wave {wave}")).unwrap_or_default();
            let text = format!("{}<br>{}{wave}", quoted(&node.title), quoted(&node.detail));
            let _ = writeln!(out, "    {}{}", id(&node.id), shaped(node, &text));
        }
        for edge in &graph.edges {
            let arrow = if edge.mount { "-.->" } else { "-->" };
            let (from, to) = (id(&edge.from), id(&edge.to));
            let _ = writeln!(out, "    {from} {arrow}|\"{}\"| {to}", quoted(&edge.label));
        }
        out.push_str("  end\n");
    }
    out
}

fn shaped(node: &Node, text: &str) -> String {
    match node.kind {
        NodeKind::WayIn => format!("([\"{text}\"])"),
        NodeKind::Component => format!("[\"{text}\"]"),
        NodeKind::Job => format!("[[\"{text}\"]]"),
        NodeKind::File | NodeKind::Block => format!("[(\"{text}\")]"),
        NodeKind::Claim => format!("[/\"{text}\"/]"),
    }
}

/// Mermaid can escape quotes only as entities.
fn quoted(text: &str) -> String {
    sanitize::name(text)
        .replace('&', "&amp;")
        .replace('"', "&quot;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
