//! Computes the positions of boxes and edges: columns of boxes, with a lane in every column that an edge passes
//! through.
//!
//! Each column is ordered by the mean position of its neighbours, in several sweeps in both directions, which removes
//! most crossings.

use super::{Edge, Graph};

// Four columns fit the width of a README: 830 px.
pub(super) const BOX_WIDTH: usize = 160;
pub(super) const BOX_HEIGHT: usize = 64;
const COLUMN_GAP: usize = 50;
pub(super) const MARGIN: usize = 20;
/// Height of an app's name, and of the column headings below it.
pub(super) const TITLE: usize = 30;
pub(super) const HEADS: usize = 26;
const BOX_GAP: usize = 18;
const LANE: usize = 14;
const SWEEPS: usize = 12;
/// Upper edge of the tallest column.
const TOP: usize = MARGIN + TITLE + HEADS;

/// An item that takes up height in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    /// A box, by its index in the graph.
    Box(usize),
    /// An edge that passes through, by its index in the graph.
    Lane(usize),
}

/// A graph with all positions.
#[derive(Debug)]
pub(super) struct Layout<'g> {
    graph: &'g Graph,
    columns: Vec<Vec<Slot>>,
    tallest: usize,
    /// The free space above the first slot of each column.
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

    /// Returns width and height of the whole graph.
    pub(super) fn size(&self) -> (usize, usize) {
        let count = self.columns.len();
        let width = 2 * MARGIN + count * BOX_WIDTH + (count - 1) * COLUMN_GAP;
        (width, MARGIN + TITLE + HEADS + self.tallest)
    }

    /// Returns the upper left corner of a box.
    pub(super) fn corner(&self, number: usize) -> (usize, usize) {
        let column = self.graph.nodes[number].column;
        (x(column), self.y(column, Slot::Box(number)))
    }

    /// Returns centre and top of the heading of each column.
    pub(super) fn heads(&self) -> impl Iterator<Item = (usize, &'static str)> {
        let count = self.columns.len();
        (0..count).map(|column| (x(column) + BOX_WIDTH / 2, self.graph.head(column)))
    }

    /// Returns the points of an edge: the right side of its first box, both ends of each lane, and the left side of its
    /// last box. Traffic leaves a box above its middle, mounts leave below; both end in the middle, where they
    /// converge.
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

    /// Moves a column with a single box to the height of the box that it leads to, so that an entry point is level with
    /// its component.
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

    /// Returns the first and last column of an edge that goes from left to right.
    fn span(&self, edge: &Edge) -> Option<(usize, usize)> {
        let column = |id: &str| self.find(id).map(|node| self.graph.nodes[node].column);
        let (from, to) = (column(&edge.from)?, column(&edge.to)?);
        (from < to).then_some((from, to))
    }

    /// Orders a column by the mean position of each slot's neighbours in the adjacent column.
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
            // In thousandths of a row. A slot without neighbours keeps its row.
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

    /// Returns the upper edge of a slot. Short columns are centred.
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
