//! The plugin as Argo CD's sidecar runs it: the commands of `plugin.yaml` in an application's folder,
//! with everything in the environment, on repositories that nobody trusts. That Argo CD's own servers
//! do so is tests/argocd/run's matter.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

#[path = "support/plugin.rs"]
mod plugin;
use plugin::{NEXTCLOUD, SCRATCH, generate, objects, plugin, refused, repository, with, words};

#[test]
fn the_application_is_rendered_into_its_namespace() {
    let top = repository(&[("apps/nc/pso.yaml", NEXTCLOUD)]);
    let output = generate(&top, "apps/nc", &[]);
    let objects = objects(&output);
    assert_eq!(objects["Deployment/nc-web"]["metadata"]["namespace"], "team");
    // The same bytes as on a laptop.
    let laptop = Command::new(env!("CARGO_BIN_EXE_pso-gen"))
        .args(["render", "--namespace", "team", "."])
        .current_dir(top.path().join("repository/apps/nc"))
        .output()
        .expect("starts");
    assert_eq!(laptop.stdout, output.stdout);
}

#[test]
fn every_field_of_the_blueprint_is_announced_and_can_be_set() {
    let top = repository(&[("pso.yaml", NEXTCLOUD)]);
    let output = plugin(&top, ".", "/spec/parameters/dynamic/command", &[]);
    assert!(output.status.success(), "{}", words(&output));
    let list: Vec<Value> = serde_json::from_slice(&output.stdout).expect("a JSON list");
    let named = |name: &str| {
        list.iter().find(|p| p["name"] == name).unwrap_or_else(|| panic!("no {name}")).clone()
    };
    assert_eq!(
        named("spec.host"),
        json!({
            "name": "spec.host", "title": "host", "required": true,
            "tooltip": "Host name under which users reach the app. Example: cloud.example.com.",
            "itemType": "string", "collectionType": "string", "string": "cloud.example.com",
        })
    );
    assert_eq!(named("spec.replicas")["itemType"], "number");
    assert_eq!(named("spec.redis")["itemType"], "boolean");
    assert_eq!(named("spec.redis")["string"], "true");
    assert_eq!(named("spec.report")["array"], json!(["user:report"]));
    // Its values may be lists and mappings, so it is one text in YAML.
    assert_eq!(named("spec.config")["collectionType"], "string");
    assert_eq!(named("spec.volumes.db.class")["string"], "pure-block");
    assert_eq!(named("spec.database.version")["string"], "11.8");
    // All that `explain` lists is there, and what is announced as holding can be set as it is.
    let explained = Command::new(env!("CARGO_BIN_EXE_pso-gen"))
        .args(["explain", "nextcloud"])
        .output()
        .expect("starts");
    let explained = String::from_utf8(explained.stdout).expect("text");
    let fields = explained.lines().filter(|line| line.starts_with("  ") && line.contains('<'));
    for field in fields.filter(|line| !line.starts_with("   ")) {
        let name = format!("spec.{}", field.split_whitespace().next().expect("a word"));
        let inside = format!("{name}.");
        let is =
            |p: &&Value| p["name"].as_str().is_some_and(|p| p == name || p.starts_with(&inside));
        assert!(list.iter().any(|p| is(&p)), "{name} is not announced");
    }
    let hold = |p: &&Value| ["string", "array", "map"].iter().any(|key| p.get(key).is_some());
    let all: Value = list.iter().filter(hold).cloned().collect();
    assert_eq!(objects(&with(&top, ".", &all)), objects(&generate(&top, ".", &[])));
}

#[test]
fn parameters_are_typed_by_their_fields() {
    let top = repository(&[("pso.yaml", NEXTCLOUD)]);
    let rendered = objects(&with(
        &top,
        ".",
        &json!([
            {"name": "spec.replicas", "string": "3"},
            {"name": "spec.admin", "string": "true"},
            {"name": "spec.hosts", "array": ["a.example.com", "b.example.com"]},
            {"name": "spec.config", "map": {"skeletondirectory": "", "loglevel": "2"}},
            {"name": "spec.volumes.backup.class", "string": "pure-block"},
            {"name": "spec.volumes.data.snapshots", "string": "{every: 1h, keep: 3}"},
            {"name": "spec.version", "string": "33", "array": [], "map": {}},
        ]),
    ));
    let web = &rendered["Deployment/nc-web"];
    assert_eq!(web["spec"]["replicas"], 3);
    let env = web["spec"]["template"]["spec"]["containers"][0]["env"].as_array().expect("a list");
    let value = |name: &str| &env.iter().find(|e| e["name"] == name).expect(name)["value"];
    assert_eq!(value("NEXTCLOUD_ADMIN_USER"), "true");
    let settings = rendered["ConfigMap/nc-config"]["data"]["web.etc-pso-settings.json"].as_str();
    assert!(settings.is_some_and(|text| text.contains("\"loglevel\": 2")), "{settings:?}");
    assert!(
        value("NEXTCLOUD_TRUSTED_DOMAINS").as_str().is_some_and(|d| d.contains("b.example.com"))
    );
    assert_eq!(
        rendered["PersistentVolumeClaim/nc-backup"]["spec"]["storageClassName"],
        "pure-block"
    );
    // An empty field on the page is no value.
    let emptied = with(&top, ".", &json!([{"name": "spec.replicas", "string": ""}]));
    assert_eq!(objects(&emptied), objects(&generate(&top, ".", &[])));
}

/// A parameter is merged like a layer: one word keeps what it does not mean, nothing changes nothing.
#[test]
fn parameters_are_merged_like_layers() {
    let app =
        format!("{NEXTCLOUD}  volumes: {{data: 7Ti, html: {{class: pure-block, size: 30Gi}}}}\n");
    let top = repository(&[("pso.yaml", &app)]);
    let volume = |name: &str, parameter: &Value| {
        let output = with(&top, ".", &json!([parameter]));
        let spec = objects(&output)[&format!("PersistentVolumeClaim/nc-{name}")]["spec"].clone();
        let size = spec["resources"]["requests"]["storage"].clone();
        (spec["storageClassName"].clone(), size)
    };
    let set =
        |name: &str, word: &str| json!({"name": format!("spec.volumes.{name}"), "string": word});
    assert_eq!(volume("data", &set("data", "pure-block")), (json!("pure-block"), json!("7Ti")));
    assert_eq!(volume("html", &set("html", "40Gi")), (json!("pure-block"), json!("40Gi")));
    assert_eq!(volume("html", &set("html.size", "40Gi")), (json!("pure-block"), json!("40Gi")));
    let map = json!({"name": "spec.volumes.html", "map": {"size": "40Gi"}});
    assert_eq!(volume("html", &map), (json!("pure-block"), json!("40Gi")));
    assert_eq!(volume("data", &set("data", "")), (json!("pure-file"), json!("7Ti")));
    assert_eq!(volume("data", &set("data", "~")), (json!("pure-file"), json!("15Ti")));
    let all = with(&top, ".", &json!([{"name": "spec", "string": "~"}]));
    assert!(refused(&all).contains("`null` would reset all of `spec` to its defaults"));
    let secret = with(&top, ".", &json!([{"name": "spec.config.dbpassword", "string": "sesame"}]));
    let message = refused(&secret);
    assert!(message.contains("[secret-in-file]") && !message.contains("sesame"), "{message}");
}

#[test]
fn variables_act_alike_below_parameters() {
    let top = repository(&[("pso.yaml", NEXTCLOUD)]);
    for name in ["REPLICAS", "SPEC_REPLICAS", "spec.replicas"] {
        let output = generate(&top, ".", &[(&format!("ARGOCD_ENV_{name}"), "4")]);
        assert_eq!(objects(&output)["Deployment/nc-web"]["spec"]["replicas"], 4, "{name}");
    }
    let both = [
        ("ARGOCD_ENV_REPLICAS", "4"),
        ("ARGOCD_APP_PARAMETERS", r#"[{"name": "spec.replicas", "string": "2"}]"#),
    ];
    let output = generate(&top, ".", &both);
    assert_eq!(objects(&output)["Deployment/nc-web"]["spec"]["replicas"], 2);
    let block = generate(&top, ".", &[("ARGOCD_ENV_VOLUMES_DB_CLASS", "pure-file")]);
    let claim = &objects(&block)["PersistentVolumeClaim/nc-db"];
    assert_eq!(claim["spec"]["storageClassName"], "pure-file");
    // What stands in a section is set like the section in a file: one word switches.
    let word = generate(&top, ".", &[("ARGOCD_ENV_VOLUMES_DB", "pure-file")]);
    assert_eq!(objects(&word), objects(&block));
    let list = generate(&top, ".", &[("ARGOCD_ENV_HOSTS", "[a.example.com]")]);
    assert_ne!(objects(&list), objects(&generate(&top, ".", &[])));
    let slip = refused(&generate(&top, ".", &[("ARGOCD_ENV_REPLICA", "4")]));
    assert_eq!(
        slip,
        "ARGOCD_ENV_REPLICA: no parameter is called `REPLICA`; did you mean `REPLICAS`? [bad-parameter]\n"
    );
}

#[test]
fn of_several_apps_each_is_named() {
    let top = repository(&[
        ("apps/a.pso.yaml", NEXTCLOUD),
        ("apps/b.pso.yaml", SCRATCH),
        (
            "apps/c.pso.yaml",
            "apiVersion: pso-gen.io/v1alpha1\nkind: Scratch\nspec: {ticket: T-1}\n",
        ),
    ]);
    let output = plugin(&top, "apps", "/spec/parameters/dynamic/command", &[]);
    let text = String::from_utf8(output.stdout).expect("text");
    for name in ["nc:spec.replicas", "s:spec.replicas", "scratch-t-1:spec.replicas"] {
        assert!(text.contains(&format!("\"{name}\"")), "{name}");
    }
    let set = json!([{"name": "scratch-t-1:spec.replicas", "string": "5"}]);
    let rendered = objects(&with(&top, "apps", &set));
    assert_eq!(rendered["Deployment/scratch-t-1-shell"]["spec"]["replicas"], 5);
    assert_eq!(rendered["Deployment/s-shell"]["spec"]["replicas"], 2);
    let vague = refused(&with(&top, "apps", &json!([{"name": "spec.replicas", "string": "5"}])));
    assert!(vague.contains("NAME:spec.FIELD"), "{vague}");
}

#[test]
fn errors_are_one_screen_with_the_most_important_first() {
    let top = repository(&[("apps/nc/pso.yaml", &NEXTCLOUD.replace("host:", "hots:"))]);
    assert_eq!(
        refused(&generate(&top, "apps/nc", &[])),
        "(1) apps/nc/pso.yaml:5:3: spec: there is no field `hots`; did you mean `host`? [unknown-field]\n\
         (2) apps/nc/pso.yaml:4:1: spec: `host` is missing: Host name under which users reach the app; write `host: cloud.example.com` [missing-field]\n"
    );
    let mut text = NEXTCLOUD.to_owned();
    for number in 0..100 {
        text.push_str(&format!("  unknown{number}: {}\n", "x".repeat(5_000)));
    }
    let top = repository(&[
        ("b/pso.yaml", &text),
        ("b/a.pso.yaml", "a: [\n"),
        ("b/z.pso.yaml", "a: ]\n"),
    ]);
    let screen = refused(&generate(&top, "b", &[]));
    assert!(screen.starts_with("(1) b/a.pso.yaml:1:4: unclosed bracket"), "{screen}");
    assert!(screen.contains("\n(2) b/z.pso.yaml:1:4: "), "{screen}");
    assert_eq!(screen.matches("the fields are `host`").count(), 1, "{screen}");
    assert!(screen.ends_with("run `pso-gen validate b`\n"), "{screen}");
}

#[test]
fn words_of_others_neither_steer_a_terminal_nor_make_lines() {
    let top = repository(&[("a/x\n\u{1b}[31m.pso.yaml", "a: \"\\e[31m\"\n")]);
    let parameters = json!([{"name": "a\n\u{1b}[31m", "string": "\u{1b}[31m"}]);
    let variables = [
        ("ARGOCD_APP_PARAMETERS", parameters.to_string()),
        ("ARGOCD_APP_NAMESPACE", "x\u{1b}[31m\ny".to_owned()),
        ("ARGOCD_ENV_X", "\u{1b}[31m\n".to_owned()),
    ];
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let screen = refused(&generate(&top, "a", &variables));
    assert!(!screen.contains('\u{1b}'), "{screen:?}");
    assert!(screen.lines().all(|line| line.starts_with('(')), "{screen}");
    symlink("/", top.path().join("repository/a/\u{1b}.pso.yaml")).expect("linked");
    let screen = refused(&generate(&top, "a", &[]));
    assert!(screen.contains("is a link") && !screen.contains('\u{1b}'), "{screen:?}");
    let variables = [("ARGOCD_APP_NAMESPACE", "A")];
    let top = repository(&[("a/pso.yaml", NEXTCLOUD)]);
    assert_eq!(
        refused(&generate(&top, "a", &variables)),
        "the Application's destination.namespace: expected a name of at most 63 lower-case letters, \
         digits and `-`, found \"A\"; write `a` [bad-value]\n"
    );
}

#[test]
fn what_is_no_parameter_is_refused() {
    let top = repository(&[("pso.yaml", NEXTCLOUD)]);
    for (text, wanted) in [
        ("{", "not JSON"),
        ("{}", "not a list"),
        ("\"x\"", "not a list"),
        ("[1]", "no `name`"),
        (r#"[{"name": ""}]"#, "no `name`"),
        (r#"[{"name": "spec.replicas"}]"#, "has no value"),
        (r#"[{"name": "spec.replicas", "string": "1", "array": ["2"]}]"#, "several values"),
        (r#"[{"name": "spec.replicas", "array": ["2"]}]"#, "expected a whole number"),
        (r#"[{"name": "spec.replicas", "array": 3}]"#, "not a list"),
        (r#"[{"name": "spec.hosts", "string": "a, b"}]"#, "expected a list"),
        (r#"[{"name": "spec.replicas", "string": "three"}]"#, "expected a whole number"),
        (r#"[{"name": "spec.replica", "string": "3"}]"#, "did you mean `replicas`?"),
        (r#"[{"name": "replicas", "string": "3"}]"#, "write `spec.replicas`"),
        (r#"[{"name": "spec.redis", "string": "yes"}]"#, "write `true`"),
        (r#"[{"name": "kind", "string": "Scratch"}]"#, "cannot change the kind"),
        (r#"[{"name": "spec.volumes.db.class", "string": "pure-blok"}]"#, "pure-blok"),
        (r#"[{"name": "other:spec.replicas", "string": "3"}]"#, "no app `other`"),
        (r#"[{"name": "layers", "string": "x.yaml"}]"#, "list of paths"),
        (
            r#"[{"name": "spec.host", "string": "a.b"}, {"name": "spec.host", "string": "c.d"}]"#,
            "given twice",
        ),
    ] {
        let screen = refused(&generate(&top, ".", &[("ARGOCD_APP_PARAMETERS", text)]));
        assert!(screen.contains(wanted), "{text}: {screen}");
    }
    for none in ["null", "", "[]", " null\n"] {
        objects(&generate(&top, ".", &[("ARGOCD_APP_PARAMETERS", none)]));
    }
}

#[test]
fn nothing_is_never_a_success() {
    let top = repository(&[
        ("empty/README.md", ""),
        ("comments/pso.yaml", "# nothing\n---\n# here\n"),
        ("blank/pso.yaml", ""),
        ("foreign/deployment.yaml", "kind: Deployment\n"),
    ]);
    for path in ["empty", "comments", "blank", "foreign"] {
        refused(&generate(&top, path, &[]));
        // The page with the parameters is where somebody may come to mend it.
        let listed = plugin(&top, path, "/spec/parameters/dynamic/command", &[]);
        assert_eq!((listed.status.code(), listed.stdout.as_slice()), (Some(0), b"[]\n".as_slice()));
    }
}

#[test]
fn files_of_the_repository_can_be_named_and_no_others() {
    let top = repository(&[
        ("apps/nc/pso.yaml", NEXTCLOUD),
        ("environments/production.yaml", "spec: {replicas: 2}\n"),
        ("apps/more.yaml", "spec: {workers: 50}\n"),
        (".git/config", "[core]\n"),
        ("storage/fast.pso.yaml", include_str!("../examples/storage/storage.pso.yaml")),
    ]);
    let outside = top.path().join("secret.yaml");
    fs::write(&outside, "spec: {admin: sesame}\n").expect("written");
    let inside = top.path().join("repository");
    symlink(&outside, inside.join("apps/nc/link.yaml")).expect("linked");
    symlink("../more.yaml", inside.join("apps/nc/near.yaml")).expect("linked");
    symlink("/dev/zero", inside.join("apps/nc/zero.yaml")).expect("linked");
    let layers =
        |paths: &[&str]| with(&top, "apps/nc", &json!([{"name": "layers", "array": paths}]));
    let good = objects(&layers(&["/environments/production.yaml", "../more.yaml"]));
    assert_eq!(good["Deployment/nc-web"]["spec"]["replicas"], 2);
    assert_eq!(objects(&layers(&["near.yaml"])), objects(&layers(&["../more.yaml"])));
    let storage = json!([{"name": "storage", "array": ["/storage/fast.pso.yaml"]}]);
    let classes = with(&top, "apps/nc", &storage);
    assert!(objects(&classes).keys().all(|name| !name.starts_with("StorageClass")));
    let absolute = outside.display().to_string();
    for path in [
        "link.yaml",
        "zero.yaml",
        "../../../secret.yaml",
        &absolute,
        "/../secret.yaml",
        "//etc/passwd",
        "/.git/config",
        "/etc/passwd",
        "../..",
        ".",
        "/",
        "",
        "no\u{0}thing",
        "../../environments",
        "/proc/self/environ",
        "../../../../../../../../proc/self/environ",
    ] {
        let screen = refused(&layers(&[path]));
        assert!(!screen.contains("sesame"), "{screen}");
        assert!(screen.contains("bad-parameter"), "{path}: {screen}");
    }
    let folders = json!([{"name": "blueprints", "array": ["../../.."]}]);
    refused(&with(&top, "apps/nc", &folders));
}

/// A folder that is rendered within time and memory or refused, whatever it holds.
#[test]
fn hostile_folders_are_refused() {
    let make = |name: &str, make: &dyn Fn(&Path)| {
        let top = repository(&[("app/good.pso.yaml", NEXTCLOUD)]);
        fs::write(top.path().join("secret.pso.yaml"), SCRATCH).expect("written");
        make(&top.path().join("repository/app"));
        refused(&generate(&top, "app", &[])) + name
    };
    let screen = make("link", &|app| {
        symlink("../../secret.pso.yaml", app.join("pso.yaml")).expect("linked");
    });
    assert!(screen.contains("is a link"), "{screen}");
    make("device", &|app| symlink("/dev/zero", app.join("x.pso.yaml")).expect("linked"));
    make("pipe", &|app| {
        let made = Command::new("mkfifo").arg(app.join("x.pso.yaml")).status();
        assert!(made.expect("starts").success());
    });
    make("huge", &|app| {
        let file = fs::File::create(app.join("x.pso.yaml")).expect("made");
        file.set_len(1 << 40).expect("made sparse");
    });
    make("many", &|app| {
        for number in 0..10_001 {
            fs::write(app.join(format!("{number}.pso.yaml")), "").expect("written");
        }
    });
    make("deep", &|app| {
        fs::write(app.join("x.pso.yaml"), "[".repeat(1 << 20)).expect("written");
    });
    make("documents", &|app| {
        fs::write(app.join("x.pso.yaml"), "a: b\n---\n".repeat(100_000)).expect("written");
    });
    make("bomb", &|app| {
        let word = "x".repeat(1 << 20);
        let text = format!("a: &a {word}\nb: [{}]\n", vec!["*a"; 50_000].join(", "));
        fs::write(app.join("x.pso.yaml"), text).expect("written");
    });
    make("problems", &|app| {
        for number in 0..7 {
            let file = app.join(format!("{number}.pso.yaml"));
            fs::write(file, "a: 1\n".repeat(4 << 18)).expect("written");
        }
    });
    make("binary", &|app| fs::write(app.join("x.pso.yaml"), [0, 159, 146, 150]).expect("written"));
    let screen = make("fuel", &|app| {
        let work = "range(10000)|map('string')|join|list|sort|unique|join|length";
        evil(app, &format!("let: {{x: \"{{{{ {work} }}}}\"}}\ncomponents: {{web: {{}}}}\n"), 1);
    });
    assert!(screen.contains("fuel"), "{screen}");
    let screen = make("memory", &|app| evil(app, &large_words(9999), 1));
    assert!(screen.contains("stopped at 256 MiB of memory; split"), "{screen}");
    let screen = make("output", &|app| evil(app, &large_words(10), 150));
    assert!(screen.contains("100 MiB of manifests"), "{screen}");
    make("blueprints", &|app| {
        for folder in 0..40 {
            let folder = app.join(format!("blueprints/{folder}"));
            fs::create_dir_all(&folder).expect("made");
            fs::write(folder.join("blueprint.yaml"), "blueprint: X\n").expect("written");
            fs::write(folder.join("file"), vec![b'x'; 1 << 20]).expect("written");
        }
    });
}

/// However many commands there are, together they have the memory of one.
#[test]
fn commands_share_the_sidecars_memory() {
    let top = repository(&[("app/good.pso.yaml", NEXTCLOUD), ("small/pso.yaml", SCRATCH)]);
    evil(&top.path().join("repository/app"), &large_words(9999), 1);
    objects(&generate(&top, "small", &[]));
    let folder = fs::read_dir(top.path()).expect("a folder").map(|entry| entry.expect("an entry"));
    let folder = folder.map(|entry| entry.path()).find(|path| !path.ends_with("repository"));
    let folder = folder.expect("a folder of locks");
    // Three others are at work.
    let others = ["memory-0", "memory-1", "memory-3"].map(|name| {
        let file = fs::File::create(folder.join(name)).expect("opens");
        file.try_lock().expect("nothing holds it");
        file
    });
    objects(&generate(&top, "small", &[]));
    let screen = refused(&generate(&top, "app", &[]));
    assert!(screen.contains("stopped at 64 MiB of memory, all that other commands"), "{screen}");
    drop(others);
    let screen = refused(&generate(&top, "app", &[]));
    assert!(screen.contains("stopped at 256 MiB of memory; split"), "{screen}");
}

/// A blueprint's component with so many long words.
fn large_words(times: usize) -> String {
    let long = "x".repeat(100_000);
    let each = format!("{{for: {{i: \"{{{{ range({times}) }}}}\"}}, each: {long}}}");
    format!("components:\n  web: {{image: \"a:1\", user: 1000, args: [{each}]}}\n")
}

/// Writes a blueprint of somebody else, and apps of it.
fn evil(app: &Path, language: &str, apps: usize) {
    let blueprint = app.join("blueprints/evil");
    fs::create_dir_all(&blueprint).expect("made");
    let text = format!("blueprint: Evil\nabout: An evil thing.\n{language}");
    fs::write(blueprint.join("blueprint.yaml"), text).expect("written");
    for number in 0..apps {
        let text = NEXTCLOUD.replace("NextCloud", "Evil").replace("nc", &format!("e{number}"));
        let text = text.replace("  host: cloud.example.com", "  {}");
        fs::write(app.join(format!("e{number}.pso.yaml")), text).expect("written");
    }
}

/// What may lie beside the apps, and must not be looked at.
#[test]
fn what_is_no_app_is_left_alone() {
    let top = repository(&[("app/pso.yaml", NEXTCLOUD)]);
    let before = objects(&generate(&top, "app", &[]));
    let app = top.path().join("repository/app");
    symlink("/dev/zero", app.join(".gitignore")).expect("linked");
    symlink("/dev/zero", app.join(".ignore")).expect("linked");
    symlink("/", app.join("root")).expect("linked");
    symlink(".", app.join("again")).expect("linked");
    symlink("/etc", app.join("blueprints")).expect("linked");
    fs::write(top.path().join("repository/.gitignore"), "*.yaml\n").expect("written");
    assert_eq!(objects(&generate(&top, "app", &[])), before);
}

/// `plugin.yaml` and the program name the same parameters.
#[test]
fn static_parameters_are_those_that_are_read() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/plugin.yaml");
    let plugin: Value =
        serde_yaml::from_str(&fs::read_to_string(file).expect("there")).expect("YAML");
    let top = repository(&[("pso.yaml", NEXTCLOUD)]);
    let list = plugin["spec"]["parameters"]["static"].as_array().expect("a list");
    assert_eq!(list.len(), 3);
    for parameter in list {
        let given = json!([{"name": parameter["name"], "array": ["nowhere.yaml"]}]);
        let screen = refused(&with(&top, ".", &given));
        assert!(screen.contains("there is no `nowhere.yaml` in the repository"), "{screen}");
        assert_eq!(parameter["collectionType"], "array");
        assert!(parameter["tooltip"].as_str().is_some_and(|tooltip| tooltip.len() > 20));
    }
    assert!(plugin["spec"].get("discover").is_none());
}

/// What the two ways to install the sidecar say is the same.
#[test]
fn both_ways_to_install_are_one() {
    let read = |name: &str| -> Value {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/argocd/install/");
        let text = fs::read_to_string(format!("{folder}{name}")).expect("there");
        serde_yaml::from_str(&text).expect("YAML")
    };
    let values = read("values.yaml");
    let pod = &read("repo-server.yaml")["spec"]["template"]["spec"];
    assert_eq!(values["repoServer"]["extraContainers"], pod["containers"]);
    assert_eq!(values["repoServer"]["volumes"], pod["volumes"]);
    assert_eq!(values["configs"]["params"], read("params.yaml")["data"]);
    assert_eq!(values["configs"]["cm"], read("health.yaml")["data"]);
    assert!(pod["containers"][0]["securityContext"]["runAsNonRoot"] == json!(true));
}
