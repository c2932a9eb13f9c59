//! The documents of all inputs, a few at a time: what is read and not yet rendered stays small, however
//! many files there are and however much is in each.

use rayon::prelude::*;

use super::Trouble;
use super::files::Input;
use crate::compiler::diagnostic::{Diagnostic, Sources};
use crate::compiler::yaml::{self, Documents, Node};

/// Most files that are read together, and most documents that are rendered together: keeps all cores
/// busy.
const MOST: usize = 32;
/// Bytes after which no further file is read before those are rendered.
const ENOUGH: u64 = 1 << 20;

/// The documents of all inputs, in order.
pub(super) struct Batches<'b> {
    inputs: &'b [Input],
    sources: &'b Sources,
    /// Documents that are read and not yet handed out.
    read: std::vec::IntoIter<Node>,
}

/// Some documents, and what is wrong with the files that were read for them.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) documents: Vec<Node>,
    pub(super) diagnostics: Vec<Diagnostic>,
}

impl<'b> Batches<'b> {
    pub(super) fn new(inputs: &'b [Input], sources: &'b Sources) -> Self {
        Self { inputs, sources, read: Vec::new().into_iter() }
    }

    /// How many files have not been read yet.
    pub(super) fn left(&self) -> usize {
        self.inputs.len()
    }

    /// Takes the next files from those that are left.
    fn some_inputs(&mut self) -> &'b [Input] {
        let mut bytes = 0;
        let fits = |input: &&Input| {
            let fits = bytes < ENOUGH;
            bytes += input.size();
            fits
        };
        let (some, left) =
            self.inputs.split_at(self.inputs.iter().take(MOST).take_while(fits).count());
        self.inputs = left;
        some
    }
}

impl Iterator for Batches<'_> {
    type Item = Result<Batch, Trouble>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut batch = Batch::default();
        if self.read.len() == 0 {
            let inputs = self.some_inputs();
            if inputs.is_empty() {
                return None;
            }
            let mut all = Vec::new();
            for read in in_parallel(inputs.iter().collect(), |input| read(input, self.sources)) {
                match read {
                    Ok(Documents { documents, diagnostics }) => {
                        all.extend(documents);
                        batch.diagnostics.extend(diagnostics);
                    }
                    Err(trouble) => return Some(Err(trouble)),
                }
            }
            self.read = all.into_iter();
        }
        batch.documents = self.read.by_ref().take(MOST).collect();
        Some(Ok(batch))
    }
}

/// Reads the documents of a file.
pub(super) fn read(input: &Input, sources: &Sources) -> Result<Documents, Trouble> {
    Ok(match yaml::decode(&input.name(), input.read()?, sources) {
        Ok(source) => yaml::read(source, sources),
        Err(diagnostic) => Documents { documents: Vec::new(), diagnostics: vec![diagnostic] },
    })
}

/// Does the same with each, on all cores.
pub(super) fn in_parallel<I: Send, O: Send>(items: Vec<I>, each: impl Fn(I) -> O + Sync) -> Vec<O> {
    match items.len() {
        // One is not worth starting threads for.
        0 | 1 => items.into_iter().map(each).collect(),
        _ => items.into_par_iter().map(&each).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn little_is_read_before_it_is_rendered() {
        let folder = tempfile::tempdir().expect("a folder");
        let long = "x".repeat(usize::try_from(ENOUGH / 2).expect("small"));
        let texts = ["a: 1\n---\n".repeat(MOST + 1), long.clone(), long.clone(), long];
        let inputs = (0..).zip(texts).map(|(number, text)| {
            let path = folder.path().join(format!("{number}.pso.yaml"));
            fs::write(&path, text).expect("written");
            Input::File(path)
        });
        let inputs: Vec<_> = inputs.collect();
        let sources = Sources::default();
        let mut batches = Batches::new(&inputs, &sources);
        let mut seen = Vec::new();
        while let Some(batch) = batches.next() {
            seen.push((batch.expect("read").documents.len(), batches.left()));
        }
        // Three files, with many documents, then with long ones; the last file when they are done.
        assert_eq!(seen, [(MOST, 1), (3, 1), (1, 0)]);
    }
}
