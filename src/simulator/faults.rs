//! Faults on purpose: which request goes wrong, and how. Seeded, so that a run can be repeated.

use serde::{Deserialize, Serialize};

use super::rest::{Method, Request};

/// A rule by which requests go wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FaultRule {
    /// How they go wrong.
    pub fault: Fault,
    /// Name of the array; all when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub array: Option<String>,
    /// `GET`, `POST`, `PATCH`, `PUT` or `DELETE`; all when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<Method>,
    /// Resource, such as `file-systems`; all when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// How many requests go wrong; all when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    /// Share of the requests that go wrong, 0 to 1; all when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
}

/// How a request goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Fault {
    /// 429, with a `Retry-After` of some seconds.
    Throttled {
        /// Seconds; no header when left out.
        #[serde(default, rename = "retryAfter")]
        retry_after: Option<u32>,
    },
    /// 500, `Server is busy`.
    Busy,
    /// 503.
    Unavailable,
    /// 403: the user of the token may not do this. A FlashBlade says the same of an ended session.
    Forbidden,
    /// The session has ended in the meantime.
    SessionCut,
    /// The token has been deleted.
    TokenRevoked,
    /// There is no room for another object.
    LimitReached,
    /// `SafeMode` has been switched on.
    EradicationDisabled,
    /// What is asked for is done, and the connection ends without an answer.
    AnswerLost,
    /// What is asked for is done twice, as when a network repeats a request; the answer is the second
    /// one's.
    Twice,
    /// The connection ends without an answer, and what is asked for is done some time later.
    Late {
        /// Milliseconds.
        delay: u64,
    },
    /// The connection ends before anything is done.
    Refused,
    /// The answer comes late.
    Slow {
        /// Milliseconds.
        delay: u64,
    },
    /// Clients work on every file system: its performance shows their operations.
    Mounted,
    /// Each page of a list says that there is another one.
    EndlessPages,
    /// Names of what is listed are very long.
    LongNames {
        /// By how many bytes.
        bytes: u32,
    },
    /// Names of what is listed have characters that steer a terminal.
    SteeringNames,
    /// 400, with characters that steer a terminal in the message.
    SteeringError,
    /// 400, with a very long message.
    LargeError {
        /// Bytes.
        bytes: u64,
    },
    /// The answer is very long.
    LargeAnswer {
        /// Bytes, all of them white space.
        bytes: u64,
    },
    /// The answer comes byte by byte, and does not end.
    Drip {
        /// Milliseconds between two bytes.
        delay: u64,
    },
    /// The answer is compressed, which nobody has asked for.
    Compressed,
}

/// The rules of a run, and what has been decided by them.
#[derive(Debug)]
pub(super) struct Faults {
    rules: Vec<FaultRule>,
    dice: fastrand::Rng,
}

impl Faults {
    pub(super) fn new(rules: Vec<FaultRule>, seed: u64) -> Self {
        Self { rules, dice: fastrand::Rng::with_seed(seed) }
    }

    /// Returns the rules, each with how often it still applies.
    pub(super) fn rules(&self) -> &[FaultRule] {
        &self.rules
    }

    /// Replaces all rules.
    pub(super) fn set(&mut self, rules: Vec<FaultRule>) {
        self.rules = rules;
    }

    /// Starts chance anew.
    pub(super) fn seed(&mut self, seed: u64) {
        self.dice.seed(seed);
    }

    /// Returns how a request to an array goes wrong, if it does. The first rule that fits decides.
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
