//! The simulated arrays against the official documents, and against what is known of the real ones.

use pso_gen::simulator::{Answer, Array, FlashArray, FlashBlade, Method, Request, Settings};
use serde_json::{Value as Json, json};

#[path = "simulator/document.rs"]
mod document;

use document::Document;

const DAY: u64 = 24 * 60 * 60 * 1000;

/// An array, somebody who is logged in, and the official document that both are held to.
struct Talk {
    array: Array,
    /// Version and login path.
    version: &'static str,
    login: &'static str,
    session: Option<String>,
    document: Option<Document>,
    now: u64,
}

impl Talk {
    /// A conversation with a FlashBlade.
    fn new(settings: &Settings) -> Self {
        let document = Document::open("flashblade-2.x.strict.json");
        let array = Array::FlashBlade(Box::new(FlashBlade::new(settings.clone())));
        Self::with(array, "2.28", "/api/login", document, &settings.token)
    }

    fn with_flasharray(settings: &Settings) -> Self {
        let document = Document::open("flasharray-2.x.strict.json");
        let array = Array::FlashArray(Box::new(FlashArray::new(settings.clone())));
        Self::with(array, "2.56", "/api/2.56/login", document, &settings.token)
    }

    fn with(
        array: Array,
        version: &'static str,
        login: &'static str,
        document: Option<Document>,
        token: &str,
    ) -> Self {
        let mut talk =
            Self { array, version, login, session: None, document, now: 1_700_000_000_000 };
        talk.log_in(token);
        talk
    }

    fn log_in(&mut self, token: &str) -> u16 {
        self.session = None;
        let token = Some(token.to_owned());
        let answer = self.send(Method::Post, self.login, &[], Json::Null, token);
        self.session = answer.headers.first().map(|(_, session)| session.clone());
        answer.status
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
        self.send(method, &format!("/api/{}/{resource}", self.version), query, body, None)
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
    let mut talk = Talk::new(&Settings::default());
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
    assert_eq!(talk.log_in(&Settings::default().token), 200);
    assert_eq!(
        talk.good(Method::Get, "file-systems", &[("destroyed", "true")], Json::Null).len(),
        1
    );
    talk.now += 1;
    assert_eq!(talk.good(Method::Get, "file-systems", &[], Json::Null).len(), 0);
}

#[test]
fn snapshots_are_taken_restored_and_end_with_their_file_system() {
    let mut talk = Talk::new(&Settings::default());
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
    let mut talk = Talk::new(&Settings { page: 4, ..Settings::default() });
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
    let mut talk = Talk::new(&Settings::default());
    talk.now += Settings::default().idle_timeout + 1;
    assert_eq!(
        talk.ask(Method::Get, "arrays", &[], Json::Null).status,
        403,
        "it has rested too long"
    );
    let token = Settings::default().token;
    assert_eq!(talk.log_in("T-no"), 401);
    assert_eq!(talk.log_in(&token), 200);
    assert_eq!(talk.good(Method::Get, "arrays", &[], Json::Null).len(), 1);
    talk.array.cut_sessions();
    assert_eq!(talk.ask(Method::Get, "arrays", &[], Json::Null).status, 403);
    talk.array.revoke_token();
    assert_eq!((talk.log_in(&token), talk.array.logins()), (401, 2));
}

#[test]
fn what_cannot_be_is_refused() {
    let mut talk = Talk::new(&Settings { limit: 2, safe_mode: true, ..Settings::default() });
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

#[test]
fn a_volume_from_birth_to_eradication() {
    let mut talk = Talk::with_flasharray(&Settings::default());
    let volume = [("names", "k8s-pvc-1")];
    for size in [1, (1 << 20) + 1] {
        let why = talk.refused(Method::Post, "volumes", &volume, json!({ "provisioned": size }));
        assert!(why.contains("size"), "{why}");
    }
    let plain = [("names", "k8s-pvc-1"), ("with_default_protection", "false")];
    let made = talk.good(Method::Post, "volumes", &plain, json!({"provisioned": 1 << 30}));
    let serial = made[0]["serial"].as_str().expect("a serial").to_owned();
    assert_eq!(serial.len(), 24);
    assert!(serial.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase()), "{serial}");

    let shrunk = talk.refused(Method::Patch, "volumes", &volume, json!({"provisioned": 1 << 29}));
    assert!(shrunk.contains("truncate"), "{shrunk}");
    let grown = talk.good(Method::Patch, "volumes", &volume, json!({"provisioned": 1_u64 << 31}));
    assert_eq!(
        (&grown[0]["provisioned"], &grown[0]["serial"]),
        (&json!(1_u64 << 31), &json!(serial))
    );

    let source = [("source_names", "k8s-pvc-1")];
    let snapshot = talk.good(Method::Post, "volume-snapshots", &source, json!({"suffix": "s1"}));
    assert_eq!(names(&snapshot), ["k8s-pvc-1.s1"]);
    let copy = json!({"source": {"name": "k8s-pvc-1.s1"}});
    let copy = talk.good(Method::Post, "volumes", &[("names", "copy")], copy);
    assert_eq!(copy[0]["provisioned"], 1_u64 << 31);
    assert_ne!(copy[0]["serial"], json!(serial));

    talk.good(Method::Patch, "volumes", &volume, json!({"destroyed": true}));
    let snapshots = talk.good(Method::Get, "volume-snapshots", &source, Json::Null);
    assert_eq!(snapshots[0]["destroyed"], true, "snapshots end with their volume");
    let taken = talk.refused(Method::Post, "volumes", &volume, json!({"provisioned": 1 << 30}));
    assert!(taken.contains("already exists"), "{taken}");
    let back = talk.good(Method::Patch, "volumes", &volume, json!({"destroyed": false}));
    assert_eq!(back[0]["serial"], json!(serial), "it comes back as the same device");
    talk.good(Method::Patch, "volumes", &volume, json!({"destroyed": true}));
    talk.now += DAY;
    assert_eq!(talk.log_in(&Settings::default().token), 200);
    assert_eq!(names(&talk.good(Method::Get, "volumes", &[], Json::Null)), ["copy"]);
}

#[test]
fn hosts_see_volumes_by_connections() {
    let mut talk = Talk::with_flasharray(&Settings { hosts: 2, ..Settings::default() });
    let iqn = "iqn.2026-01.com.example:node1";
    let chap = json!({"host_user": "u", "host_password": "secret-secret"});
    let body = json!({"iqns": [iqn], "chap": chap});
    let host = talk.good(Method::Post, "hosts", &[("names", "node1")], body);
    assert_eq!(host[0]["chap"]["host_password"], "****", "passwords are never read back");
    let twice = talk.refused(Method::Post, "hosts", &[("names", "node2")], json!({"iqns": [iqn]}));
    assert!(twice.contains("already in use"), "{twice}");
    let found = format!("iqns='{iqn}'");
    let found = talk.good(Method::Get, "hosts", &[("filter", &found)], Json::Null);
    assert_eq!(names(&found), ["node1"]);

    for volume in ["a", "b", "c"] {
        talk.good(Method::Post, "volumes", &[("names", volume)], json!({"provisioned": 1 << 20}));
    }
    let pair = |volume| [("host_names", "node1"), ("volume_names", volume)];
    let lun = |items: Vec<Json>| items[0]["lun"].as_u64();
    assert_eq!(lun(talk.good(Method::Post, "connections", &pair("a"), json!({}))), Some(1));
    assert_eq!(lun(talk.good(Method::Post, "connections", &pair("b"), json!({}))), Some(2));
    let again = talk.refused(Method::Post, "connections", &pair("a"), json!({}));
    assert!(again.contains("already exists"), "{again}");
    let busy =
        talk.refused(Method::Patch, "volumes", &[("names", "a")], json!({"destroyed": true}));
    assert!(busy.contains("existing connections"), "{busy}");
    talk.good(Method::Patch, "volumes", &[("names", "a")], json!({"name": "a2"}));
    talk.good(Method::Delete, "connections", &pair("a2"), Json::Null);
    let missing = talk.refused(Method::Delete, "connections", &pair("a2"), Json::Null);
    assert!(missing.contains("does not exist"), "{missing}");
    assert_eq!(
        lun(talk.good(Method::Post, "connections", &pair("c"), json!({}))),
        Some(1),
        "the lowest free"
    );
    let of_host = talk.good(Method::Get, "connections", &[("host_names", "node1")], Json::Null);
    assert_eq!(of_host.len(), 2);

    let used = talk.refused(Method::Delete, "hosts", &[("names", "node1")], Json::Null);
    assert!(used.contains("existing connections"), "{used}");
    talk.good(Method::Post, "hosts", &[("names", "node2")], json!({}));
    let full = talk.refused(Method::Post, "hosts", &[("names", "node3")], json!({}));
    assert!(full.contains("limit reached"), "{full}");
}

#[test]
fn a_flasharray_tells_where_it_is_reached() {
    let data = vec!["192.0.2.21".to_owned(), "192.0.2.22".to_owned()];
    let mut talk = Talk::with_flasharray(&Settings { data, page: 1, ..Settings::default() });
    let first = talk.ask(Method::Get, "ports", &[], Json::Null);
    assert_eq!(first.body["more_items_remaining"], true);
    let ready = talk.good(Method::Get, "controllers", &[("filter", "status='ready'")], Json::Null);
    assert_eq!(ready.len(), 1, "a page of one");
    let iscsi = [("filter", "services='iscsi'"), ("sort", "name")];
    let interfaces = talk.good(Method::Get, "network-interfaces", &iscsi, Json::Null);
    assert_eq!(interfaces[0]["eth"]["address"], "192.0.2.21");
    for resource in ["arrays", "arrays/space"] {
        assert_eq!(talk.good(Method::Get, resource, &[], Json::Null).len(), 1, "{resource}");
    }
    talk.array.cut_sessions();
    assert_eq!(talk.ask(Method::Get, "arrays", &[], Json::Null).status, 401);
    let counted = talk.log_in(&Settings::default().token);
    assert_eq!(counted, 200);
    let counted = talk.ask(Method::Get, "ports", &[("total_item_count", "true")], Json::Null);
    assert_eq!(counted.body["total_item_count"], 2);
}
