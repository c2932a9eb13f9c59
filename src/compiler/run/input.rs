//! The inputs of a run, in batches: documents are parsed a few at a time, so that what is parsed and
//! not yet rendered stays small.

use rayon::prelude::*;

use crate::compiler::diagnostic::{Diagnostic, SourceId, Sources};
use crate::compiler::yaml::{self, Node};

/// Most texts that are parsed together, and most documents that are rendered together: enough to keep all
/// cores busy.
const MOST: usize = 32;
/// Bytes of texts after which those are rendered before the next text is parsed.
const ENOUGH: usize = 1 << 20;

/// Something that a run renders.
#[derive(Debug)]
pub enum Input {
    /// A text of the run's sources.
    Text(SourceId),
    /// Documents that have been parsed already.
    Documents(Vec<Node>),
    /// A text that is not readable at all, and why.
    Unreadable(Box<Diagnostic>),
}

impl Input {
    fn bytes(&self, sources: &Sources) -> usize {
        match self {
            Self::Text(source) => sources.get(*source).text.len(),
            Self::Documents(_) | Self::Unreadable(_) => 0,
        }
    }

    /// Parses its documents; an unreadable text has none, and a diagnostic.
    pub(super) fn parse(&self, sources: &Sources) -> (Vec<Node>, Vec<Diagnostic>) {
        match self {
            Self::Text(source) => {
                let read = yaml::read(*source, sources);
                (read.documents, read.diagnostics)
            }
            Self::Documents(documents) => (documents.clone(), Vec::new()),
            Self::Unreadable(error) => (Vec::new(), vec![(**error).clone()]),
        }
    }

    /// Parses those documents that can be of a kind: a text that does not contain the kind is not parsed.
    pub(super) fn parse_if_mentioned(&self, sources: &Sources, kind: &str) -> Vec<Node> {
        match self {
            Self::Text(source) if !sources.get(*source).text.contains(kind) => Vec::new(),
            _ => self.parse(sources).0,
        }
    }
}

/// Some documents, and the diagnostics of the texts that were parsed for them.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) documents: Vec<Node>,
    pub(super) diagnostics: Vec<Diagnostic>,
}

/// The documents of all inputs, in order.
pub(super) struct Batches<'b> {
    inputs: &'b [Input],
    sources: &'b Sources,
    /// Documents that are parsed and not yet handed out.
    parsed: std::vec::IntoIter<Node>,
}

impl<'b> Batches<'b> {
    pub(super) fn new(inputs: &'b [Input], sources: &'b Sources) -> Self {
        Self { inputs, sources, parsed: Vec::new().into_iter() }
    }

    /// Returns how many inputs have not been parsed yet.
    pub(super) fn left(&self) -> usize {
        self.inputs.len()
    }

    /// Takes the next inputs from those that are left.
    fn next_inputs(&mut self) -> &'b [Input] {
        let mut bytes = 0;
        let fits = |input: &&Input| {
            let fits = bytes < ENOUGH;
            bytes += input.bytes(self.sources);
            fits
        };
        let count = self.inputs.iter().take(MOST).take_while(fits).count();
        let (next, left) = self.inputs.split_at(count);
        self.inputs = left;
        next
    }
}

impl Iterator for Batches<'_> {
    type Item = Batch;

    fn next(&mut self) -> Option<Self::Item> {
        let mut batch = Batch::default();
        if self.parsed.len() == 0 {
            let inputs = self.next_inputs();
            if inputs.is_empty() {
                return None;
            }
            let mut all = Vec::new();
            let parsed = in_parallel(inputs.iter().collect(), |input| input.parse(self.sources));
            for (documents, diagnostics) in parsed {
                all.extend(documents);
                batch.diagnostics.extend(diagnostics);
            }
            self.parsed = all.into_iter();
        }
        batch.documents = self.parsed.by_ref().take(MOST).collect();
        Some(batch)
    }
}

/// Does the same with each item, on all cores, and returns the results in order.
pub fn in_parallel<I: Send, O: Send>(items: Vec<I>, each: impl Fn(I) -> O + Sync) -> Vec<O> {
    match items.len() {
        // One is not worth starting threads for.
        0 | 1 => items.into_iter().map(each).collect(),
        _ => items.into_par_iter().map(&each).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_is_parsed_before_it_is_rendered() {
        let sources = Sources::default();
        let long = "x".repeat(ENOUGH / 2);
        let texts = ["a: 1\n---\n".repeat(MOST + 1), long.clone(), long.clone(), long];
        let inputs = texts.map(|text| Input::Text(sources.add("a.pso.yaml", text)));
        let mut batches = Batches::new(&inputs, &sources);
        let mut batch_sizes = Vec::new();
        while let Some(batch) = batches.next() {
            batch_sizes.push((batch.documents.len(), batches.left()));
        }
        // Three texts, with many documents, then with long ones; the last text when they are rendered.
        assert_eq!(batch_sizes, [(MOST, 1), (3, 1), (1, 0)]);
    }
}
