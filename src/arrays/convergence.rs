//! The one way in which something is brought about on an array: take a step, and when it is not certain
//! what came of it, read what is there and decide again.
//!
//! So it makes no difference whether an answer was lost, a request arrived twice, or somebody else was
//! faster.

use std::future::Future;

use super::error::Error;

/// Steps for one goal before it is given up: lost answers in a row, or others who undo it.
const STEPS: u32 = 8;

/// Something that shall be so on an array.
pub(super) trait Goal: Sync {
    /// What is there.
    type Object: Send + Sync;
    /// What may be done about it.
    type Step: Clone + PartialEq + Send + Sync;

    /// Reads what is there.
    fn read(&self) -> impl Future<Output = Result<Option<Self::Object>, Error>> + Send;

    /// Decides what is to be done next; nothing when it is as it shall be, an error when it cannot be,
    /// for example because it is not ours.
    fn next(&self, there: Option<&Self::Object>) -> Result<Option<Self::Step>, Error>;

    /// Takes a step. Returns what is there after it, as the array answers.
    fn take(
        &self,
        step: &Self::Step,
    ) -> impl Future<Output = Result<Option<Self::Object>, Error>> + Send;

    /// Returns the error of an array that says it has done something, and has not.
    fn unmoved(&self) -> Error;
}

/// What is assumed before the first step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// Nothing is there: if that is wrong, the array refuses the first step, and it is read then. Saves
    /// a request when it is right.
    Nothing,
    /// It is read.
    Reading,
}

/// Brings a goal about. Returns what is there in the end.
pub(super) async fn reach<G: Goal>(goal: &G, start: Start) -> Result<Option<G::Object>, Error> {
    let mut there = match start {
        Start::Nothing => None,
        Start::Reading => goal.read().await?,
    };
    let mut done: Option<G::Step> = None;
    let mut unknown = None;
    for _ in 0..STEPS {
        let Some(step) = goal.next(there.as_ref())? else { return Ok(there) };
        if done.as_ref() == Some(&step) {
            // The array said yes, and it is not so: this is for the caller to know, not to repeat.
            return Err(goal.unmoved());
        }
        match goal.take(&step).await {
            Ok(object) => {
                there = object;
                done = Some(step);
            }
            Err(error) if error.is_refusal() => {
                there = goal.read().await?;
                // Refused, and still to be done: then it is not about what is there.
                if goal.next(there.as_ref())?.as_ref() == Some(&step) {
                    return Err(error.by_its_words());
                }
            }
            Err(error) if error.may_be_done() => {
                there = goal.read().await?;
                unknown = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    Err(unknown.unwrap_or_else(|| goal.unmoved()))
}
