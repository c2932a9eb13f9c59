//! Tests of the content of graphs, and that nothing overlaps.

use super::*;

fn node(kind: NodeKind, id: &str, column: usize) -> Node {
    Node {
        kind,
        id: id.to_owned(),
        title: id.to_owned(),
        detail: "1 pod".to_owned(),
        note: String::new(),
        wave: Some(0),
        column,
    }
}

fn edge(from: &str, to: &str, mount: bool) -> Edge {
    Edge { from: from.to_owned(), to: to.to_owned(), label: "x".to_owned(), mount }
}

fn picture() -> Graph {
    let mut graph = Graph {
        title: "App a".to_owned(),
        nodes: vec![
            node(NodeKind::WayIn, "in", 0),
            node(NodeKind::Component, "web", 0),
            node(NodeKind::Component, "db", 0),
            node(NodeKind::Job, "cron", 0),
            node(NodeKind::File, "files", 0),
            node(NodeKind::Claim, "old", 0),
        ],
        edges: vec![
            edge("in", "web", false),
            edge("web", "db", false),
            edge("cron", "db", false),
            edge("web", "files", true),
            edge("cron", "files", true),
            edge("db", "old", true),
        ],
    };
    graph.columns();
    graph
}

#[test]
fn columns_have_heads() {
    let graph = picture();
    let heads: Vec<&str> = (0..4).map(|column| graph.head(column)).collect();
    assert_eq!(heads, ["Entry", "Programs and jobs", "Programs they use", "Volumes"]);
}

#[test]
fn boxes_stand_apart_and_the_entry_is_level_with_its_program() {
    let graph = picture();
    let layout = layout::Layout::of(&graph);
    let corners: Vec<(usize, usize)> =
        (0..graph.nodes.len()).map(|number| layout.corner(number)).collect();
    for (number, (x, y)) in corners.iter().enumerate() {
        for (other_x, other_y) in &corners[number + 1..] {
            let apart = x.abs_diff(*other_x) >= layout::BOX_WIDTH
                || y.abs_diff(*other_y) >= layout::BOX_HEIGHT;
            assert!(apart, "{corners:?}");
        }
    }
    let points = layout.points(0);
    assert_eq!(points.len(), 2, "straight from the entry to the program");
    assert_eq!(points[0].1, points[1].1);
    let (width, height) = layout.size();
    assert!(width <= 830, "as wide as a README: {width}");
    assert!(
        corners
            .iter()
            .all(|(x, y)| x + layout::BOX_WIDTH <= width && y + layout::BOX_HEIGHT <= height)
    );
}

#[test]
fn texts_fit_their_boxes_and_an_existing_claim_is_drawn_as_one() {
    let mut graph = picture();
    "a-very-long-name-of-a-program.example.com".clone_into(&mut graph.nodes[1].title);
    let drawn = svg(&[graph]);
    let texts = drawn.lines().filter(|line| {
        line.contains("<text class=\"name\"") || line.contains("<text class=\"detail\"")
    });
    for text in texts {
        let shown =
            text.split('>').nth(1).and_then(|rest| rest.split('<').next()).unwrap_or_default();
        assert!(shown.chars().count() <= 28, "{shown}");
    }
    assert!(drawn.contains("<rect class=\"claim\""), "{drawn}");
    assert!(
        drawn.contains("a-very-long-name-of-a-program.example.com"),
        "the whole name is in the tooltip"
    );
    assert!(drawn.contains("prefers-color-scheme: dark"));
}

#[test]
fn sizes_read_as_people_write_them() {
    for (written, read) in [
        ("107374182400", "100Gi"),
        ("102400Mi", "100Gi"),
        ("1.5Ti", "1.5Ti"),
        ("20G", "20G"),
        ("100Gi", "100Gi"),
    ] {
        assert_eq!(size(&Quantity::parse(written).expect("a size")), read);
    }
}
