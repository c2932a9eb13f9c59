//! Why an effect failed, in the words of the decisions.

use crate::arrays::{Error as ArrayError, Fenced, Kind};
use crate::provisioner::decide::EffectError;

pub(super) fn of_array(error: &ArrayError) -> EffectError {
    if let Kind::Fenced(Fenced::NotLeading) = error.kind() {
        return EffectError::NotLeading;
    }
    EffectError::Array { reason: error.reason(), message: error.to_string(), retry: error.retry() }
}
