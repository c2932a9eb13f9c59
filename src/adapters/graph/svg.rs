//! Writes graphs as SVG: columns of boxes and edges between them, without scripts or external resources.

use std::fmt::Write as _;

use super::layout::{BOX_HEIGHT, BOX_WIDTH, HEADS, Layout, MARGIN, TITLE};
use super::{Graph, Node, NodeKind};
use crate::sanitize;

/// Height of the legend below all apps.
const LEGEND: usize = 74;
/// The entries of the legend, with their classes.
const KINDS: [(&str, &str); 6] = [
    ("wayin", "entry"),
    ("component", "program"),
    ("job", "job"),
    ("file", "volume, file class"),
    ("block", "volume, block class"),
    ("claim", "existing claim"),
];

/// Returns one picture with the apps below each other, and a legend.
pub fn svg(graphs: &[Graph]) -> String {
    let layouts: Vec<Layout<'_>> = graphs.iter().map(Layout::of).collect();
    let sizes: Vec<(usize, usize)> = layouts.iter().map(Layout::size).collect();
    let width = sizes.iter().map(|(width, _)| *width).max().unwrap_or(0).max(830);
    let height: usize = sizes.iter().map(|(_, height)| *height).sum::<usize>() + LEGEND;
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
    legend(&mut out, top + MARGIN);
    out.push_str("</svg>\n");
    out
}

const STYLE: &str = "<style>
  .page { fill: #ffffff }
  .title { font-size: 16px; font-weight: 600; fill: #1a202c }
  .head { font-size: 12px; font-weight: 600; fill: #4a5568; text-anchor: middle }
  .name { font-size: 13px; font-weight: 600; fill: #1a202c; text-anchor: middle }
  .detail { font-size: 11px; fill: #4a5568; text-anchor: middle }
  .key { font-size: 11px; fill: #4a5568 }
  .line { fill: none; stroke: #4a5568; stroke-width: 1.4 }
  .mount { stroke-dasharray: 4 3; stroke: #718096 }
  .arrow { fill: #4a5568 }
  .wayin { fill: #edf2f7; stroke: #718096 }
  .component { fill: #ebf8ff; stroke: #3182ce }
  .job { fill: #faf5ff; stroke: #805ad5 }
  .file { fill: #f0fff4; stroke: #38a169 }
  .block { fill: #fffaf0; stroke: #dd6b20 }
  .claim { fill: none; stroke: #4a5568; stroke-dasharray: 5 3 }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117 }
    .title, .name { fill: #f0f3f6 }
    .head, .detail, .key { fill: #b6c2cf }
    .line { stroke: #b6c2cf }
    .mount { stroke: #8b98a5 }
    .arrow { fill: #b6c2cf }
    .wayin { fill: #21262d; stroke: #8b98a5 }
    .component { fill: #10263d; stroke: #4299e1 }
    .job { fill: #251a3a; stroke: #a78bfa }
    .file { fill: #0f2a1c; stroke: #48bb78 }
    .block { fill: #33200d; stroke: #ed8936 }
    .claim { stroke: #b6c2cf }
  }
</style>
<defs><marker id=\"arrow\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto-start-reverse\"><path class=\"arrow\" d=\"M0 0 8 4 0 8z\"/></marker></defs>
<rect class=\"page\" width=\"100%\" height=\"100%\"/>
";

fn draw(out: &mut String, graph: &Graph, layout: &Layout<'_>) {
    let _ = writeln!(
        out,
        "<text class=\"title\" x=\"{MARGIN}\" y=\"{}\">{}</text>",
        MARGIN + 12,
        escaped(&graph.title)
    );
    for (x, head) in layout.heads() {
        let y = MARGIN + TITLE + HEADS - 12;
        let _ = writeln!(out, "<text class=\"head\" x=\"{x}\" y=\"{y}\">{head}</text>");
    }
    for (number, edge) in graph.edges.iter().enumerate() {
        line(out, &layout.points(number), edge.mount, &edge.label);
    }
    for (number, node) in graph.nodes.iter().enumerate() {
        boxed(out, node, layout.corner(number));
    }
}

/// Draws an edge through its points: curved between columns, straight along a lane. Its label is a tooltip; the box at
/// its end shows the same text.
fn line(out: &mut String, points: &[(usize, usize)], mount: bool, label: &str) {
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
    let label = escaped(label);
    let _ =
        writeln!(out, "<path class=\"{class}\" d=\"{path}\"{marker}><title>{label}</title></path>");
}

fn boxed(out: &mut String, node: &Node, (x, y): (usize, usize)) {
    let (class, radius) = match node.kind {
        NodeKind::WayIn => ("wayin", BOX_HEIGHT / 2),
        NodeKind::Component => ("component", 6),
        NodeKind::Job => ("job", 6),
        NodeKind::File => ("file", 14),
        NodeKind::Block => ("block", 14),
        NodeKind::Claim => ("claim", 14),
    };
    let middle = x + BOX_WIDTH / 2;
    let detail = match node.wave {
        Some(wave) => format!("{} · wave {wave}", node.detail),
        None => node.detail.clone(),
    };
    let whole = [&node.title, &detail, &node.note].map(|text| escaped(text)).join("&#10;");
    let _ = writeln!(
        out,
        "<g><title>{whole}</title><rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{BOX_WIDTH}\" height=\"{BOX_HEIGHT}\" rx=\"{radius}\"/>"
    );
    let lines = [("name", &node.title, 18), ("detail", &detail, 28), ("detail", &node.note, 28)];
    let shown: Vec<_> = lines.into_iter().filter(|(_, text, _)| !text.is_empty()).collect();
    let top = y + BOX_HEIGHT / 2 + 4 - 8 * (shown.len() - 1);
    for (row, (class, text, most)) in shown.into_iter().enumerate() {
        let y = top + 16 * row;
        let text = escaped(&shortened(text, most));
        let _ = writeln!(out, "<text class=\"{class}\" x=\"{middle}\" y=\"{y}\">{text}</text>");
    }
    out.push_str("</g>\n");
}

fn legend(out: &mut String, top: usize) {
    let mut x = MARGIN;
    for (class, word) in KINDS {
        let radius = match class {
            "wayin" => 6,
            "component" | "job" => 2,
            _ => 4,
        };
        let _ = writeln!(
            out,
            "<rect class=\"{class}\" x=\"{x}\" y=\"{top}\" width=\"22\" height=\"12\" rx=\"{radius}\"/><text class=\"key\" x=\"{}\" y=\"{}\">{word}</text>",
            x + 28,
            top + 10
        );
        x += 28 + 7 * word.len() + 20;
    }
    let row = top + 26;
    let (line, text) = (row + 6, row + 10);
    let _ = writeln!(
        out,
        "<path class=\"line\" d=\"M{MARGIN} {line} h22\" marker-end=\"url(#arrow)\"/><text class=\"key\" x=\"{}\" y=\"{text}\">connects to</text>\n\
         <path class=\"line mount\" d=\"M{} {line} h22\"/><text class=\"key\" x=\"{}\" y=\"{text}\">mounts</text>\n\
         <text class=\"key\" x=\"{}\" y=\"{text}\">wave: Argo CD applies from the lowest to the highest</text>",
        MARGIN + 28,
        MARGIN + 125,
        MARGIN + 153,
        MARGIN + 225,
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
    sanitize::name(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
