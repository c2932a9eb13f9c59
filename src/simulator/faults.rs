//! Fault injection: selects requests and the faults that they suffer. Seeded, so that a run can be repeated.

use serde::{Deserialize, Serialize};

use super::rest::{Method, Request};

/// A rule that injects a fault into requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FaultRule {
    /// The fault.
    pub fault: Fault,
    /// Name of the array; all arrays when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub array: Option<String>,
    /// `GET`, `POST`, `PATCH`, `PUT` or `DELETE`; all methods when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<Method>,
    /// Resource, such as `file-systems`; all resources when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// Number of requests that fail; all when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    /// Share of the requests that fail, 0 to 1; all when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
}

/// A fault of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Fault {
    /// 429 with a `Retry-After` header in seconds.
    Throttled {
        /// Seconds; no header when left out.
        #[serde(default, rename = "retryAfter")]
        retry_after: Option<u32>,
    },
    /// 500, `Server is busy`.
    Busy,
    /// 503.
    Unavailable,
    /// 403: the token's user lacks the permission. A FlashBlade sends the same for an ended session.
    Forbidden,
    /// The session has ended.
    SessionCut,
    /// The token has been deleted.
    TokenRevoked,
    /// The limit of objects is reached.
    LimitReached,
    /// `SafeMode` is enabled.
    EradicationDisabled,
    /// The request is carried out, and the connection ends without a response.
    AnswerLost,
    /// The response says that the request was carried out, and it was not. Without items.
    Pretended,
    /// The request is carried out twice, as when a network repeats it; the response is that of the second.
    Twice,
    /// The connection ends without a response, and the request is carried out some time later.
    Late {
        /// Milliseconds.
        delay: u64,
    },
    /// The connection ends before the request is carried out.
    Refused,
    /// The response is delayed.
    Slow {
        /// Milliseconds.
        delay: u64,
    },
    /// Clients use every file system: the performance shows their operations.
    Mounted,
    /// Each page of a list announces another one.
    EndlessPages,
    /// Names in lists are very long.
    LongNames {
        /// Number of additional bytes.
        bytes: u32,
    },
    /// Names in lists contain control characters.
    SteeringNames,
    /// 400, with control characters in the message.
    SteeringError,
    /// 400, with a very long message.
    LargeError {
        /// Bytes.
        bytes: u64,
    },
    /// The response is very long.
    LargeAnswer {
        /// Bytes of white space.
        bytes: u64,
    },
    /// The response is sent byte by byte and does not end.
    Drip {
        /// Milliseconds between two bytes.
        delay: u64,
    },
    /// The response is compressed, although the client did not request it.
    Compressed,
}

/// The rules of a run, and their state.
#[derive(Debug)]
pub(super) struct Faults {
    rules: Vec<FaultRule>,
    dice: fastrand::Rng,
}

impl Faults {
    pub(super) fn new(rules: Vec<FaultRule>, seed: u64) -> Self {
        Self { rules, dice: fastrand::Rng::with_seed(seed) }
    }

    /// Returns the rules with the number of requests that each still affects.
    pub(super) fn rules(&self) -> &[FaultRule] {
        &self.rules
    }

    /// Replaces all rules.
    pub(super) fn set(&mut self, rules: Vec<FaultRule>) {
        self.rules = rules;
    }

    /// Resets the random generator.
    pub(super) fn seed(&mut self, seed: u64) {
        self.dice.seed(seed);
    }

    /// Returns the fault of a request to an array, if any. The first matching rule decides.
    pub(super) fn decide(&mut self, array: &str, request: &Request) -> Option<Fault> {
        let resource = request.path.trim_start_matches("/api/");
        let resource = resource.split_once('/').map_or(resource, |(_, resource)| resource);
        for rule in &mut self.rules {
            let fits = rule.array.as_deref().is_none_or(|name| name == array)
                && rule.method.is_none_or(|method| method == request.method)
                && rule.resource.as_deref().is_none_or(|name| name == resource)
                && rule.times != Some(0);
            if !fits || rule.probability.is_some_and(|share| self.dice.f64() >= share) {
                continue;
            }
            if let Some(times) = &mut rule.times {
                *times -= 1;
            }
            return Some(rule.fault);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    fn request(method: Method, path: &str) -> Request {
        let path = path.to_owned();
        let query = std::collections::BTreeMap::new();
        Request { method, path, query, api_token: None, session: None, body: Json::Null }
    }

    fn rules(json: Json) -> Vec<FaultRule> {
        serde_json::from_value(json).expect("rules")
    }

    #[test]
    fn rules_fit_by_array_method_and_resource_and_end() {
        let rules = rules(json!([
            {"fault": {"throttled": {"retryAfter": 2}}, "array": "fb1", "times": 1},
            {"fault": "answerLost", "method": "POST", "resource": "file-systems"},
        ]));
        let mut faults = Faults::new(rules, 1);
        let post = request(Method::Post, "/api/2.28/file-systems");
        assert_eq!(faults.decide("fb2", &post), Some(Fault::AnswerLost));
        assert_eq!(faults.decide("fb1", &post), Some(Fault::Throttled { retry_after: Some(2) }));
        assert_eq!(faults.decide("fb1", &post), Some(Fault::AnswerLost));
        assert_eq!(faults.decide("fb1", &request(Method::Get, "/api/2.28/file-systems")), None);
    }

    #[test]
    fn one_seed_is_one_run() {
        let rules = rules(json!([{"fault": "busy", "probability": 0.3}]));
        let run = |seed| {
            let mut faults = Faults::new(rules.clone(), seed);
            let get = request(Method::Get, "/api/2.28/arrays");
            (0..200).map(|_| faults.decide("fb1", &get).is_some()).collect::<Vec<_>>()
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
        let share = run(7).iter().filter(|hit| **hit).count();
        assert!((30..90).contains(&share), "{share} of 200");
    }
}
