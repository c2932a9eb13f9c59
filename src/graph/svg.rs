//! Graphs as SVG: columns of boxes, lines between them, no script, no outside resource.

use std::fmt::Write as _;

use super::layout::{BOX_HEIGHT, BOX_WIDTH, COLUMN_GAP, Layout, MARGIN};
use super::{Graph, Node, NodeKind};
use crate::plain;

/// Width of a character of the small font, about.
const SMALL: usize = 6;

/// Returns one picture, the apps below each other.
pub fn svg(graphs: &[Graph]) -> String {
    let layouts: Vec<Layout<'_>> = graphs.iter().map(Layout::of).collect();
    let sizes: Vec<(usize, usize)> = layouts.iter().map(Layout::size).collect();
    let width = sizes.iter().map(|(width, _)| *width).max().unwrap_or(MARGIN * 2);
    let height: usize = sizes.iter().map(|(_, height)| *height).sum();
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" font-family=\"system-ui, sans-serif\">\n{STYLE}"
    );
    let mut top = 0;
    for ((graph, layout), (_, height)) in graphs.iter().zip(&layouts).zip(sizes) {
        let _ = writeln!(out, "<g transform=\"translate(0 {top})\">");
        draw(&mut out, graph, layout);
        out.push_str("</g>\n");
        top += height;
    }
    out.push_str("</svg>\n");
    out
}

const STYLE: &str = "<style>
  .page { fill: #ffffff }
  .title { font-size: 17px; font-weight: 600; fill: #1a202c }
  .name { font-size: 14px; font-weight: 600; fill: #1a202c; text-anchor: middle }
  .detail { font-size: 11px; fill: #4a5568; text-anchor: middle }
  .label { font-size: 10px; fill: #4a5568; text-anchor: middle; paint-order: stroke; stroke: #ffffff; stroke-width: 4px }
  .line { fill: none; stroke: #4a5568; stroke-width: 1.4 }
  .mount { stroke-dasharray: 4 3; stroke: #a0aec0 }
  .wayin { fill: #edf2f7; stroke: #718096 }
  .component { fill: #ebf8ff; stroke: #3182ce }
  .job { fill: #faf5ff; stroke: #805ad5 }
  .file { fill: #f0fff4; stroke: #38a169 }
  .block { fill: #fffaf0; stroke: #dd6b20 }
</style>
<defs><marker id=\"arrow\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto-start-reverse\"><path d=\"M0 0 8 4 0 8z\" fill=\"#4a5568\"/></marker></defs>
<rect class=\"page\" width=\"100%\" height=\"100%\"/>
";

fn draw(out: &mut String, graph: &Graph, layout: &Layout<'_>) {
    let _ = writeln!(
        out,
        "<text class=\"title\" x=\"{MARGIN}\" y=\"{}\">{}</text>",
        MARGIN + 14,
        escaped(&graph.title)
    );
    for (number, edge) in graph.edges.iter().enumerate() {
        line(out, &layout.points(number), edge.mount);
    }
    for (number, node) in graph.nodes.iter().enumerate() {
        boxed(out, node, layout.corner(number));
    }
    // Labels last, so that no line runs over them.
    for (number, edge) in graph.edges.iter().enumerate() {
        label(out, &layout.points(number), &edge.label);
    }
}

/// A line through its points: bent between columns, straight along a lane.
fn line(out: &mut String, points: &[(usize, usize)], mount: bool) {
    let Some((x, y)) = points.first() else { return };
    let mut path = format!("M{x} {y}");
    for pair in points.windows(2) {
        let ((x1, y1), (x2, y2)) = (pair[0], pair[1]);
        if y1 == y2 {
            let _ = write!(path, " L{x2} {y2}");
        } else {
            let bend = (x2 - x1) / 2;
            let _ = write!(path, " C{} {y1} {} {y2} {x2} {y2}", x1 + bend, x2 - bend);
        }
    }
    let class = if mount { "line mount" } else { "line" };
    let marker = if mount { "" } else { " marker-end=\"url(#arrow)\"" };
    let _ = writeln!(out, "<path class=\"{class}\" d=\"{path}\"{marker}/>");
}

/// Near the box where the line ends, where lines do not cross any more.
fn label(out: &mut String, points: &[(usize, usize)], label: &str) {
    let Some((x, y)) = points.last() else { return };
    let text = shortened(label, (COLUMN_GAP - 20) / SMALL);
    let x = x.saturating_sub(14 + text.chars().count() * SMALL / 2);
    let y = y.saturating_sub(4);
    let _ = writeln!(out, "<text class=\"label\" x=\"{x}\" y=\"{y}\">{}</text>", escaped(&text));
}

fn boxed(out: &mut String, node: &Node, (x, y): (usize, usize)) {
    let (class, radius) = match node.kind {
        NodeKind::WayIn => ("wayin", BOX_HEIGHT / 2),
        NodeKind::Component => ("component", 6),
        NodeKind::Job => ("job", 6),
        NodeKind::File => ("file", 14),
        NodeKind::Block => ("block", 14),
    };
    let middle = x + BOX_WIDTH / 2;
    let _ = writeln!(
        out,
        "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{BOX_WIDTH}\" height=\"{BOX_HEIGHT}\" rx=\"{radius}\"/>\n\
         <text class=\"name\" x=\"{middle}\" y=\"{}\">{}</text>\n\
         <text class=\"detail\" x=\"{middle}\" y=\"{}\">{}</text>",
        y + 23,
        escaped(&shortened(&node.title, 24)),
        y + 41,
        escaped(&shortened(&node.detail, 30))
    );
}

fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    format!("{kept}…")
}

fn escaped(text: &str) -> String {
    plain::name(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
