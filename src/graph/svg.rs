//! Graphs as SVG: columns of boxes, lines between them, no script, no outside resource.

use std::fmt::Write as _;

use super::{Edge, Graph, Node, NodeKind};

const BOX_WIDTH: usize = 190;
const BOX_HEIGHT: usize = 54;
const COLUMN_GAP: usize = 130;
const ROW_GAP: usize = 34;
const MARGIN: usize = 28;
const TITLE: usize = 44;
/// Width of a character of the small font, about.
const SMALL: usize = 6;

/// Returns one picture, the apps below each other.
pub fn svg(graphs: &[Graph]) -> String {
    let sizes: Vec<(usize, usize)> = graphs.iter().map(size).collect();
    let width = sizes.iter().map(|(width, _)| *width).max().unwrap_or(MARGIN * 2);
    let height: usize = sizes.iter().map(|(_, height)| *height).sum();
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" font-family=\"system-ui, sans-serif\">\n{STYLE}"
    );
    let mut top = 0;
    for (graph, (_, height)) in graphs.iter().zip(sizes) {
        let _ = writeln!(out, "<g transform=\"translate(0 {top})\">");
        draw(&mut out, graph);
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

/// Where a box stands.
fn position(graph: &Graph, node: &Node) -> (usize, usize) {
    let column = graph.nodes.iter().filter(|other| other.column == node.column);
    let row = column.take_while(|other| other.id != node.id).count();
    let rows = rows(graph, node.column);
    // Short columns stand in the middle of the tallest.
    let free = (tallest(graph) - rows) * (BOX_HEIGHT + ROW_GAP) / 2;
    let x = MARGIN + node.column * (BOX_WIDTH + COLUMN_GAP);
    (x, MARGIN + TITLE + free + row * (BOX_HEIGHT + ROW_GAP))
}

fn rows(graph: &Graph, column: usize) -> usize {
    graph.nodes.iter().filter(|node| node.column == column).count()
}

fn tallest(graph: &Graph) -> usize {
    graph.nodes.iter().map(|node| rows(graph, node.column)).max().unwrap_or(0)
}

fn size(graph: &Graph) -> (usize, usize) {
    let columns = graph.nodes.iter().map(|node| node.column + 1).max().unwrap_or(1);
    let width = 2 * MARGIN + columns * BOX_WIDTH + (columns - 1) * COLUMN_GAP;
    (width, 2 * MARGIN + TITLE + tallest(graph) * (BOX_HEIGHT + ROW_GAP))
}

fn draw(out: &mut String, graph: &Graph) {
    let _ = writeln!(
        out,
        "<text class=\"title\" x=\"{MARGIN}\" y=\"{}\">{}</text>",
        MARGIN + 14,
        escaped(&graph.title)
    );
    for edge in &graph.edges {
        line(out, graph, edge);
    }
    for node in &graph.nodes {
        boxed(out, graph, node);
    }
    // Labels last, so that no line runs over them.
    for edge in &graph.edges {
        label(out, graph, edge);
    }
}

/// Start and end of a line: the right side of one box, the left side of the other, spread over the
/// side when several lines meet there.
fn ends(graph: &Graph, edge: &Edge) -> Option<((usize, usize), (usize, usize))> {
    let find = |id: &str| graph.nodes.iter().find(|node| node.id == *id);
    let (from, to) = (find(&edge.from)?, find(&edge.to)?);
    let ((from_x, from_y), (to_x, to_y)) = (position(graph, from), position(graph, to));
    let spread = |mine: &dyn Fn(&Edge) -> bool, other: &dyn Fn(&Edge) -> usize| {
        let mut all: Vec<(usize, &Edge)> =
            graph.edges.iter().filter(|edge| mine(edge)).map(|edge| (other(edge), edge)).collect();
        all.sort_by_key(|(y, _)| *y);
        let index = all.iter().position(|(_, other)| *other == edge).unwrap_or(0);
        BOX_HEIGHT * (index + 1) / (all.len() + 1)
    };
    let y_of = |id: &str| find(id).map_or(0, |node| position(graph, node).1);
    let out = spread(&|e| e.from == edge.from, &|e| y_of(&e.to));
    let into = spread(&|e| e.to == edge.to, &|e| y_of(&e.from));
    Some(((from_x + BOX_WIDTH, from_y + out), (to_x, to_y + into)))
}

fn line(out: &mut String, graph: &Graph, edge: &Edge) {
    let Some(((x1, y1), (x2, y2))) = ends(graph, edge) else { return };
    let class = if edge.mount { "line mount" } else { "line" };
    let marker = if edge.mount { "" } else { " marker-end=\"url(#arrow)\"" };
    let bend = COLUMN_GAP * 2 / 3;
    let _ = writeln!(
        out,
        "<path class=\"{class}\" d=\"M{x1} {y1} C{} {y1} {} {y2} {x2} {y2}\"{marker}/>",
        x1 + bend,
        x2.saturating_sub(bend)
    );
}

/// Near the box where the line ends, where lines do not cross any more.
fn label(out: &mut String, graph: &Graph, edge: &Edge) {
    let Some((_, (x2, y2))) = ends(graph, edge) else { return };
    let text: String = shortened(&edge.label, (COLUMN_GAP - 20) / SMALL);
    let x = x2 - 14 - text.chars().count() * SMALL / 2;
    let _ = writeln!(out, "<text class=\"label\" x=\"{x}\" y=\"{}\">{}</text>", y2.saturating_sub(4), escaped(&text));
}

fn boxed(out: &mut String, graph: &Graph, node: &Node) {
    let (x, y) = position(graph, node);
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
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
