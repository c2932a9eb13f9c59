//! Brings an object on an array into a desired state: takes a step and, when its outcome is uncertain, reads the object
//! and decides again.
//!
//! The result is therefore the same when a response is lost, a request arrives twice, or another client acts first.

use std::future::Future;

use super::error::Error;

/// Steps for one desired state before giving up: lost responses in a row, or other clients that undo the steps.
const STEPS: u32 = 8;

/// A desired state of an object on an array.
pub(super) trait DesiredState: Sync {
    /// The object.
    type Object: Send + Sync;
    /// A step towards the desired state.
    type Step: Clone + PartialEq + Send + Sync;

    /// Reads the object.
    fn read(&self) -> impl Future<Output = Result<Option<Self::Object>, Error>> + Send;

    /// Decides the next step. Returns `None` when the desired state is reached, and an error when it cannot be reached,
    /// for example because the object belongs to another owner.
    fn next_step(&self, current: Option<&Self::Object>) -> Result<Option<Self::Step>, Error>;

    /// Takes a step. Returns the object from the array's response.
    fn apply(
        &self,
        step: &Self::Step,
    ) -> impl Future<Output = Result<Option<Self::Object>, Error>> + Send;

    /// Returns the error for an array that reported success but did not change the object.
    fn not_applied(&self) -> Error;
}

/// The assumption before the first step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// The object does not exist. If it does, the array refuses the first step, and the object is read then. Saves a
    /// request in the usual case.
    AssumeAbsent,
    /// Nothing: the object is read first.
    Read,
}

/// Brings an object into a desired state. Returns the object in that state.
pub(super) async fn converge<S: DesiredState>(
    state: &S,
    start: Start,
) -> Result<Option<S::Object>, Error> {
    let mut current = match start {
        Start::AssumeAbsent => None,
        Start::Read => state.read().await?,
    };
    let mut done: Option<S::Step> = None;
    let mut unknown = None;
    for _ in 0..STEPS {
        let Some(step) = state.next_step(current.as_ref())? else { return Ok(current) };
        if done.as_ref() == Some(&step) {
            // The array reported success without an effect: repeating the step would not help.
            return Err(state.not_applied());
        }
        match state.apply(&step).await {
            Ok(object) => {
                current = object;
                done = Some(step);
            }
            Err(error) if error.is_refusal() => {
                current = state.read().await?;
                // Refused, and still the next step: the refusal is not about the object's state.
                if state.next_step(current.as_ref())?.as_ref() == Some(&step) {
                    return Err(error.classified_by_message());
                }
            }
            Err(error) if error.may_be_done() => {
                current = state.read().await?;
                unknown = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    Err(unknown.unwrap_or_else(|| state.not_applied()))
}
