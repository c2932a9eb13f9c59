//! Where boxes and lines stand: columns of boxes, with a lane in every column that a line passes.
//!
//! Each column is ordered by the middle of what it is connected with, a few times to and fro, which
//! takes most crossings away.

use super::{Edge, Graph};

// Four columns are as wide as a README: 830 px.
pub(super) const BOX_WIDTH: usize = 160;
pub(super) const BOX_HEIGHT: usize = 64;
const COLUMN_GAP: usize = 50;
pub(super) const MARGIN: usize = 20;
/// Height of an app's name, and of the heads of its columns below it.
pub(super) const TITLE: usize = 30;
pub(super) const HEADS: usize = 26;
const BOX_GAP: usize = 18;
const LANE: usize = 14;
const SWEEPS: usize = 12;
/// Upper edge of the tallest column.
const TOP: usize = MARGIN + TITLE + HEADS;

/// What takes up height in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    /// A box, by its number in the graph.
    Box(usize),
    /// A line that passes, by its number in the graph.
    Lane(usize),
}

/// A graph with a place for everything.
#[derive(Debug)]
pub(super) struct Layout<'g> {
    graph: &'g Graph,
    columns: Vec<Vec<Slot>>,
    tallest: usize,
    /// What is free above the first slot of each column.
    free: Vec<usize>,
}

impl<'g> Layout<'g> {
    pub(super) fn of(graph: &'g Graph) -> Self {
        let count = graph.nodes.iter().map(|node| node.column + 1).max().unwrap_or(1);
        let mut columns: Vec<Vec<Slot>> = vec![Vec::new(); count];
        for (number, node) in graph.nodes.iter().enumerate() {
            columns[node.column].push(Slot::Box(number));
        }
        let mut layout = Self { graph, columns, tallest: 0, free: vec![0; count] };
        for (number, edge) in graph.edges.iter().enumerate() {
            if let Some((from, to)) = layout.span(edge) {
                for column in from + 1..to {
                    layout.columns[column].push(Slot::Lane(number));
                }
            }
        }
        for sweep in 0..SWEEPS {
            for step in 1..count {
                let column = if sweep % 2 == 0 { step } else { count - 1 - step };
                layout.order(column, if sweep % 2 == 0 { column - 1 } else { column + 1 });
            }
        }
        layout.tallest = layout.columns.iter().map(|slots| height(slots)).max().unwrap_or(0);
        for column in 0..count {
            layout.free[column] =
                layout.tallest.saturating_sub(height(&layout.columns[column])) / 2;
        }
        layout.level();
        layout
    }

    /// Width and height of the whole picture.
    pub(super) fn size(&self) -> (usize, usize) {
        let count = self.columns.len();
        let width = 2 * MARGIN + count * BOX_WIDTH + (count - 1) * COLUMN_GAP;
        (width, MARGIN + TITLE + HEADS + self.tallest)
    }

    /// Left upper corner of a box.
    pub(super) fn corner(&self, number: usize) -> (usize, usize) {
        let column = self.graph.nodes[number].column;
        (x(column), self.y(column, Slot::Box(number)))
    }

    /// Middle and top of the head of each column.
    pub(super) fn heads(&self) -> impl Iterator<Item = (usize, &'static str)> {
        let count = self.columns.len();
        (0..count).map(|column| (x(column) + BOX_WIDTH / 2, self.graph.head(column)))
    }

    /// The points of a line: right side of its first box, both ends of each lane, left side of its
    /// last box. Traffic leaves a box above its middle, mounts below; both end in the middle, where
    /// they bundle.
    pub(super) fn points(&self, number: usize) -> Vec<(usize, usize)> {
        let edge = &self.graph.edges[number];
        let (Some((from, to)), Some(first), Some(last)) =
            (self.span(edge), self.find(&edge.from), self.find(&edge.to))
        else {
            return Vec::new();
        };
        let leaves = self.y(from, Slot::Box(first))
            + if edge.mount { BOX_HEIGHT * 2 / 3 } else { BOX_HEIGHT / 3 };
        let mut points = vec![(x(from) + BOX_WIDTH, leaves)];
        for column in from + 1..to {
            let y = self.y(column, Slot::Lane(number)) + LANE / 2;
            points.extend([(x(column), y), (x(column) + BOX_WIDTH, y)]);
        }
        points.push((x(to), self.y(to, Slot::Box(last)) + BOX_HEIGHT / 2));
        points
    }

    /// Moves a column with one box to the height of what that box leads to: a way in points straight at its
    /// component.
    fn level(&mut self) {
        for column in 0..self.columns.len() {
            let [Slot::Box(number)] = self.columns[column][..] else { continue };
            let id = &self.graph.nodes[number].id;
            let ahead = self.graph.edges.iter().filter(|edge| edge.from == *id);
            let next = ahead
                .filter_map(|edge| self.find(&edge.to))
                .find(|node| self.graph.nodes[*node].column == column + 1);
            if let Some(node) = next {
                let y = self.y(column + 1, Slot::Box(node)) + BOX_HEIGHT / 2 - BOX_HEIGHT / 3;
                self.free[column] = y.saturating_sub(TOP);
            }
        }
    }

    fn find(&self, id: &str) -> Option<usize> {
        self.graph.nodes.iter().position(|node| node.id == id)
    }

    /// First and last column of a line that goes from left to right.
    fn span(&self, edge: &Edge) -> Option<(usize, usize)> {
        let column = |id: &str| self.find(id).map(|node| self.graph.nodes[node].column);
        let (from, to) = (column(&edge.from)?, column(&edge.to)?);
        (from < to).then_some((from, to))
    }

    /// Orders a column by the middle of what each slot is connected with in its neighbour.
    fn order(&mut self, column: usize, neighbour: usize) {
        let key = |slot: &Slot| -> usize {
            let rows: Vec<usize> = self
                .graph
                .edges
                .iter()
                .enumerate()
                .filter(|(number, edge)| match slot {
                    Slot::Lane(lane) => lane == number,
                    Slot::Box(node) => {
                        let id = &self.graph.nodes[*node].id;
                        edge.from == *id || edge.to == *id
                    }
                })
                .filter_map(|(number, edge)| {
                    self.columns[neighbour].iter().position(|other| match other {
                        Slot::Lane(lane) => *lane == number,
                        Slot::Box(node) => {
                            let id = &self.graph.nodes[*node].id;
                            edge.from == *id || edge.to == *id
                        }
                    })
                })
                .collect();
            // In thousandths of a row; what has no neighbour keeps its own row.
            let own = self.columns[column].iter().position(|other| other == slot).unwrap_or(0);
            if rows.is_empty() {
                own * 1000
            } else {
                rows.iter().sum::<usize>() * 1000 / rows.len()
            }
        };
        let mut keyed: Vec<(usize, Slot)> =
            self.columns[column].iter().map(|slot| (key(slot), *slot)).collect();
        keyed.sort_by_key(|(key, _)| *key);
        self.columns[column] = keyed.into_iter().map(|(_, slot)| slot).collect();
    }

    /// Upper edge of a slot; short columns stand in the middle.
    fn y(&self, column: usize, slot: Slot) -> usize {
        let before = self.columns[column].iter().take_while(|other| **other != slot);
        TOP + self.free[column] + before.map(slot_height).sum::<usize>()
    }
}

fn x(column: usize) -> usize {
    MARGIN + column * (BOX_WIDTH + COLUMN_GAP)
}

fn slot_height(slot: &Slot) -> usize {
    match slot {
        Slot::Box(_) => BOX_HEIGHT + BOX_GAP,
        Slot::Lane(_) => LANE,
    }
}

fn height(slots: &[Slot]) -> usize {
    slots.iter().map(slot_height).sum()
}
