//! The simulated arrays against the official documents, and against what is known of the real ones.

use pso_gen::simulator::{Answer, FlashBlade, Method, Request, Settings};
use serde_json::{Value as Json, json};

#[path = "simulator/document.rs"]
mod document;

use document::Document;

const DAY: u64 = 24 * 60 * 60 * 1000;

/// An array, somebody who is logged in, and the official document that both are held to.
struct Talk {
    array: FlashBlade,
    session: Option<String>,
    document: Option<Document>,
    now: u64,
}

impl Talk {
    fn new(settings: Settings) -> Self {
        let token = settings.token.clone();
        let array = FlashBlade::new(settings);
        let document = Document::open("flashblade-2.x.strict.json");
        let mut talk = Self { array, session: None, document, now: 1_700_000_000_000 };
        let answer = talk.send(Method::Post, "/api/login", &[], Json::Null, Some(token));
        talk.session = answer.headers.first().map(|(_, session)| session.clone());
        talk
    }

    fn send(
        &mut self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Json,
        api_token: Option<String>,
    ) -> Answer {
        let query = query.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let session = self.session.clone();
        let request = Request { method, path: path.to_owned(), query, api_token, session, body };
        if let Some(document) = &self.document {
            document.check_request(&request);
        }
        let answer = self.array.answer(&request, self.now);
        if let Some(document) = &self.document {
            document.check_answer(&request, &answer);
        }
        answer
    }

    fn ask(
        &mut self,
        method: Method,
        resource: &str,
        query: &[(&str, &str)],
        body: Json,
    ) -> Answer {
        self.send(method, &format!("/api/2.28/{resource}"), query, body, None)
    }

    /// Asks for what must succeed, and returns its items.
    fn good(
        &mut self,
        method: Method,
        what: &str,
        query: &[(&str, &str)],
        body: Json,
    ) -> Vec<Json> {
        let answer = self.ask(method, what, query, body);
        assert_eq!(answer.status, 200, "{method:?} {what} {query:?}: {}", answer.body);
        answer.body["items"].as_array().cloned().unwrap_or_default()
    }

    /// Asks for what must be refused, and returns why.
    fn refused(
        &mut self,
        method: Method,
        what: &str,
        query: &[(&str, &str)],
        body: Json,
    ) -> String {
        let answer = self.ask(method, what, query, body);
        assert_eq!(answer.status, 400, "{method:?} {what} {query:?}: {}", answer.body);
        answer.body["errors"][0]["message"].as_str().expect("a message").to_owned()
    }
}

fn names(items: &[Json]) -> Vec<&str> {
    items.iter().filter_map(|item| item["name"].as_str()).collect()
}

#[test]
fn a_file_system_from_birth_to_eradication() {
    let mut talk = Talk::new(Settings::default());
    let body = json!({
        "provisioned": 1_u64 << 40, "hard_limit_enabled": true, "snapshot_directory_enabled": false,
        "nfs": {"v4_1_enabled": true, "rules": "10.20.0.0/16(rw,no_root_squash)"},
    });
    let made = talk.good(Method::Post, "file-systems", &[("names", "k8s-pvc-1")], body);
    assert_eq!(made[0]["provisioned"], 1_u64 << 40);
    assert_eq!(made[0]["nfs"]["v3_enabled"], false, "protocols are off unless asked for");

    let again = talk.refused(Method::Post, "file-systems", &[("names", "K8S-pvc-1")], json!({}));
    assert!(again.contains("already exists"), "{again}");

    let grown = json!({"provisioned": 1_u64 << 41});
    let grown = talk.good(Method::Patch, "file-systems", &[("names", "k8s-pvc-1")], grown);
    assert_eq!(grown[0]["space"]["total_provisioned"], 1_u64 << 41);

    let alive = talk.refused(Method::Delete, "file-systems", &[("names", "k8s-pvc-1")], Json::Null);
    assert!(alive.contains("not been destroyed"), "{alive}");
    let destroy = json!({"destroyed": true, "nfs": {"v3_enabled": false, "v4_1_enabled": false}});
    let gone = talk.good(Method::Patch, "file-systems", &[("names", "k8s-pvc-1")], destroy.clone());
    assert_eq!(gone[0]["time_remaining"], DAY);
    let dead = talk.refused(
        Method::Patch,
        "file-systems",
        &[("names", "k8s-pvc-1")],
        json!({"provisioned": 5}),
    );
    assert!(dead.contains("has been destroyed"), "{dead}");
    let taken = talk.refused(Method::Post, "file-systems", &[("names", "k8s-pvc-1")], json!({}));
    assert!(taken.contains("already exists"), "a destroyed one keeps its name: {taken}");

    let back = json!({"destroyed": false});
    let back = talk.good(Method::Patch, "file-systems", &[("names", "k8s-pvc-1")], back);
    assert!(back[0].get("time_remaining").is_none());
    assert_eq!(back[0]["nfs"]["v4_1_enabled"], false, "protocols stay off");

    talk.good(Method::Patch, "file-systems", &[("names", "k8s-pvc-1")], destroy);
    talk.now += DAY - 1;
    talk.session = None;
    let token = Settings::default().token;
    let login = talk.send(Method::Post, "/api/login", &[], Json::Null, Some(token));
    talk.session = login.headers.first().map(|(_, session)| session.clone());
    assert_eq!(
        talk.good(Method::Get, "file-systems", &[("destroyed", "true")], Json::Null).len(),
        1
    );
    talk.now += 1;
    assert_eq!(talk.good(Method::Get, "file-systems", &[], Json::Null).len(), 0);
}

#[test]
fn snapshots_are_taken_restored_and_end_with_their_file_system() {
    let mut talk = Talk::new(Settings::default());
    talk.good(Method::Post, "file-systems", &[("names", "a")], json!({"provisioned": 4096}));
    let source = [("source_names", "a")];
    let first = talk.good(Method::Post, "file-system-snapshots", &source, json!({"suffix": "s1"}));
    assert_eq!(names(&first), ["a.s1"]);
    talk.now += 1;
    let second = talk.good(Method::Post, "file-system-snapshots", &source, Json::Null);
    assert_ne!(second[0]["suffix"], "s1", "without a suffix, one is made");

    let over = [("names", "a"), ("overwrite", "true"), ("discard_non_snapshotted_data", "true")];
    let old = json!({"source": {"name": "a.s1"}});
    let refused = talk.refused(Method::Post, "file-systems", &over, old.clone());
    assert!(refused.contains("newest"), "{refused}");
    let newest = json!({"source": {"name": second[0]["name"]}});
    talk.good(Method::Post, "file-systems", &over, newest);

    let new = [("names", "b"), ("include_snapshot", "true")];
    let copy = talk.good(Method::Post, "file-systems", &new, old.clone());
    assert_eq!(copy[0]["provisioned"], 4096);
    let path = "/api/2.20/file-systems";
    let early =
        talk.send(Method::Post, path, &[("names", "c"), ("include_snapshot", "true")], old, None);
    assert_eq!(early.status, 400, "not before REST 2.25");

    talk.good(Method::Patch, "file-systems", &[("names", "a")], json!({"destroyed": true}));
    let owned = [("names_or_owner_names", "a")];
    let snapshots = talk.good(Method::Get, "file-system-snapshots", &owned, Json::Null);
    assert!(snapshots.iter().all(|s| s["destroyed"] == true && s["owner_destroyed"] == true));
    talk.good(Method::Delete, "file-systems", &[("names", "a")], Json::Null);
    assert!(talk.good(Method::Get, "file-system-snapshots", &[], Json::Null).is_empty());
}

#[test]
fn lists_are_filtered_sorted_and_paged() {
    let mut talk = Talk::new(Settings { page: 4, ..Settings::default() });
    for number in 0..10 {
        let body = json!({"provisioned": 1000 - number});
        talk.good(Method::Post, "file-systems", &[("names", &format!("fs{number}"))], body);
    }
    let mut seen = Vec::new();
    let mut token = String::new();
    loop {
        let answer =
            talk.ask(Method::Get, "file-systems", &[("continuation_token", &token)], Json::Null);
        assert_eq!(answer.body["total_item_count"], 10);
        seen.extend(
            names(answer.body["items"].as_array().expect("items")).iter().map(|n| (*n).to_owned()),
        );
        match answer.body["continuation_token"].as_str() {
            Some(next) => token = next.to_owned(),
            None => break,
        }
        // One that comes and one that goes in between change nothing for the others.
        talk.good(Method::Patch, "file-systems", &[("names", "fs0")], json!({"name": "fs00"}));
        talk.good(Method::Patch, "file-systems", &[("names", "fs00")], json!({"name": "fs0"}));
    }
    assert_eq!(seen.len(), 10);

    let filter =
        [("filter", "provisioned>995 and name='fs*'"), ("sort", "provisioned"), ("limit", "3")];
    let sorted = talk.good(Method::Get, "file-systems", &filter, Json::Null);
    assert_eq!(names(&sorted), ["fs4", "fs3", "fs2"]);
    let none = talk.ask(Method::Get, "file-systems", &[("limit", "0")], Json::Null);
    assert_eq!((&none.body["items"], &none.body["total_item_count"]), (&json!([]), &json!(10)));
    let both =
        talk.refused(Method::Get, "file-systems", &[("names", "fs1"), ("ids", "x")], Json::Null);
    assert!(both.contains("exclude"), "{both}");
    let one_missing =
        talk.refused(Method::Get, "file-systems", &[("names", "fs1,nope")], Json::Null);
    assert!(one_missing.contains("does not exist"), "{one_missing}");
    let slip = talk.refused(Method::Get, "file-systems", &[("filter", "name=")], Json::Null);
    assert!(slip.contains("filter"), "{slip}");
}

#[test]
fn sessions_end_and_tokens_are_revoked() {
    let mut talk = Talk::new(Settings::default());
    talk.now += Settings::default().idle_timeout + 1;
    assert_eq!(
        talk.ask(Method::Get, "arrays", &[], Json::Null).status,
        403,
        "it has rested too long"
    );
    let token = Settings::default().token;
    let wrong = talk.send(Method::Post, "/api/login", &[], Json::Null, Some("T-no".to_owned()));
    assert_eq!(wrong.status, 401);
    let login = talk.send(Method::Post, "/api/login", &[], Json::Null, Some(token.clone()));
    talk.session = login.headers.first().map(|(_, session)| session.clone());
    assert_eq!(talk.good(Method::Get, "arrays", &[], Json::Null).len(), 1);
    talk.array.cut_sessions();
    assert_eq!(talk.ask(Method::Get, "arrays", &[], Json::Null).status, 403);
    talk.array.revoke_token();
    let late = talk.send(Method::Post, "/api/login", &[], Json::Null, Some(token));
    assert_eq!((late.status, talk.array.logins()), (401, 2));
}

#[test]
fn what_cannot_be_is_refused() {
    let mut talk = Talk::new(Settings { limit: 2, safe_mode: true, ..Settings::default() });
    let long = "a".repeat(64);
    for name in ["-a", "a-", "1234", "a b", "a.b", long.as_str()] {
        let why = talk.refused(Method::Post, "file-systems", &[("names", name)], json!({}));
        assert!(why.contains("Invalid name"), "{name}: {why}");
    }
    for name in ["a", "b"] {
        talk.good(Method::Post, "file-systems", &[("names", name)], json!({}));
    }
    let full = talk.refused(Method::Post, "file-systems", &[("names", "c")], json!({}));
    assert!(full.contains("limit reached"), "{full}");
    let rules = json!({"nfs": {"rules": "(rw)"}});
    let rules = talk.refused(Method::Patch, "file-systems", &[("names", "a")], rules);
    assert!(rules.contains("rules"), "{rules}");
    talk.good(Method::Patch, "file-systems", &[("names", "a")], json!({"destroyed": true}));
    let safe = talk.refused(Method::Delete, "file-systems", &[("names", "a")], Json::Null);
    assert!(safe.contains("Eradication is disabled"), "{safe}");
    for resource in ["arrays", "arrays/space", "network-interfaces"] {
        assert_eq!(talk.good(Method::Get, resource, &[], Json::Null).len(), 1, "{resource}");
    }
}
