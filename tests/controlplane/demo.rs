//! The demo as a newcomer runs it: it shows everything, and leaves nothing.

use std::io::Read as _;

use super::*;

/// What is there that a demo might leave: namespaces, classes, PersistentVolumes.
async fn there(client: &Client) -> BTreeSet<String> {
    async fn names<K>(client: &Client) -> Vec<String>
    where
        K: kube::Resource<DynamicType = ()> + Clone + serde::de::DeserializeOwned + std::fmt::Debug,
    {
        let all = Api::<K>::all(client.clone()).list(&ListParams::default()).await;
        let name =
            |object: K| format!("{} {}", K::kind(&()), object.meta().name.clone().expect("a name"));
        all.expect("listed").into_iter().map(name).collect()
    }
    let mut all = names::<Namespace>(client).await;
    all.extend(names::<StorageClass>(client).await);
    all.extend(names::<PersistentVolume>(client).await);
    all.into_iter().collect()
}

#[tokio::test]
#[ignore = "starts a control plane"]
async fn a_demo_binds_every_claim_and_leaves_nothing() {
    let (kubeconfig, _process) = control_plane(&[]);
    let client = client(&kubeconfig).await;
    let before = there(&client).await;
    let demo = || {
        let mut demo = binary();
        demo.args(["demo", "--kubeconfig"]).arg(&kubeconfig);
        demo
    };
    let output = demo().arg("--once").output().expect("runs");
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{words}");
    assert!(table.contains("10 of 10 claims are bound"), "{table}");
    assert!(table.contains("no problems"), "{table}");
    for app in ["scratch", "nextcloud", "owncloud"] {
        assert!(table.contains(&format!("pso-gen-demo-{app}/")), "{table}");
    }
    assert!(
        words.contains("the arrays: http://") && words.ends_with("nothing is left\n"),
        "{words}"
    );
    assert_eq!(there(&client).await, before);

    // Asked to end in the midst of it, before it knows how it went.
    let mut child = demo().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    let mut errors = BufReader::new(child.stderr.take().expect("piped"));
    let mut line = String::new();
    errors.read_line(&mut line).expect("a line");
    assert!(line.starts_with("the arrays: "), "{line}");
    let begun = async || there(&client).await != before;
    assert!(in_time(Duration::from_millis(20), begun).await, "something of it is there");
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().expect("runs").success());
    let mut rest = String::new();
    errors.read_to_string(&mut rest).expect("text");
    assert!(child.wait().expect("ends").success(), "{rest}");
    assert!(rest.ends_with("nothing is left\n"), "{rest}");
    assert_eq!(there(&client).await, before);

    // A cluster that somebody uses is left alone.
    let class = json!({
        "metadata": {"name": "pure-file"}, "provisioner": "example.com/other",
    });
    let class: StorageClass = serde_json::from_value(class).expect("typed");
    Api::all(client.clone()).create(&PostParams::default(), &class).await.expect("made");
    let before = there(&client).await;
    let output = demo().arg("--once").output().expect("runs");
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{words}");
    assert!(words.contains("has a StorageClass pure-file"), "{words}");
    assert_eq!(there(&client).await, before);
}
