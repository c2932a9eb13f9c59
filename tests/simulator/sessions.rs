//! Logging in, and what arrays say of themselves.

use pso_gen::simulator::{Method, Settings};
use serde_json::json;

use crate::array_client::ArrayClient;

#[test]
fn sessions_end_and_tokens_are_revoked() {
    let mut client = ArrayClient::with_flashblade(&Settings::default());
    let status =
        |client: &mut ArrayClient| client.ask(Method::Get, "arrays", &[], json!(null)).status;
    client.now += Settings::default().idle_timeout + 1;
    assert_eq!(status(&mut client), 403, "it has rested too long");
    let token = Settings::default().token;
    assert_eq!(client.log_in("T-no"), 401);
    assert_eq!(client.log_in(&token), 200);
    assert_eq!(status(&mut client), 200);
    client.array.cut_sessions();
    assert_eq!(status(&mut client), 403);
    client.array.revoke_token();
    assert_eq!((client.log_in(&token), client.array.logins()), (401, 2));
}

#[test]
fn a_flasharray_tells_where_it_is_reached() {
    let data = vec!["192.0.2.21".to_owned(), "192.0.2.22".to_owned()];
    let mut client =
        ArrayClient::with_flasharray(&Settings { data, page: 1, ..Settings::default() });
    let first = client.ask(Method::Get, "ports", &[], json!(null));
    assert_eq!(first.body["more_items_remaining"], true);
    let ready = client.get("controllers", &[("filter", "status='ready'")]);
    assert_eq!(ready.len(), 1, "a page of one");
    let iscsi = [("filter", "services='iscsi'"), ("sort", "name")];
    let interfaces = client.get("network-interfaces", &iscsi);
    assert_eq!(interfaces[0]["eth"]["address"], "192.0.2.21");
    for resource in ["arrays", "arrays/performance", "arrays/space"] {
        assert_eq!(client.get(resource, &[]).len(), 1, "{resource}");
    }
    client.array.cut_sessions();
    assert_eq!(client.ask(Method::Get, "arrays", &[], json!(null)).status, 401);
    assert_eq!(client.log_in(&Settings::default().token), 200);
    let counted = client.ask(Method::Get, "ports", &[("total_item_count", "true")], json!(null));
    assert_eq!(counted.body["total_item_count"], 2);
}

#[test]
fn performance_is_reported_by_protocol() {
    let mut client = ArrayClient::with_flashblade(&Settings::default());
    for protocol in ["all", "nfs", "NFS", "S3"] {
        let measured = client.get("arrays/performance", &[("protocol", protocol)]);
        assert_eq!(measured[0]["reads_per_sec"], 0.0);
    }
    let odd = [("protocol", "iscsi")];
    client.refused("protocol", Method::Get, "arrays/performance", &odd, json!(null));
    let mut client = ArrayClient::with_flasharray(&Settings::default());
    client.get("arrays/performance", &[("protocol_group", "block")]);
    client.refused("'protocol'", Method::Get, "arrays/performance", &odd, json!(null));
}
