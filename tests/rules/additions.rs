//! Additions of an app file to its components and jobs.

use super::*;

/// A component with one of everything, one that runs its image's command, and a job that is like the first.
const PARTS: &str = "volumes:\n  data: {class: pure-block, size: 1Gi, owner: \"1000:1000\"}\ncomponents:\n  web: {image: example.com/web:1.0.0, user: 1000, pods: one, command: [run], ports: {http: 8080}, env: {SET: x}, reserved: [OWN_*, EXACT], reservedArgs: [--datadir, --loose-*, -h], mounts: {data: /data}, files: {/etc/web/a: run.sh}, writable: {/tmp: 16Mi, /run/web: 16Mi}, before: [{name: one, command: [x], env: {STEP: x}}]}\n  plain: {image: example.com/plain:1.0.0, user: 1000}\n  script: {image: example.com/script:1.0.0, user: 1000, script: run.sh}\njobs: {j: {like: web, command: [x], when: asked, env: {JOB: x}}, other: {image: example.com/o:1.0.0, user: 1000, command: [x], when: asked, mounts: {data: /data}}}\n";
/// Resources that a sidecar has to have.
const ENOUGH: &str = "resources: {requests: {cpu: 10m, memory: 16Mi}, limits: {memory: 32Mi}}, image: \"example.com/b:1.0.0\"";

#[test]
fn an_addition_leaves_what_the_app_has() {
    let bench = Bench::of(PARTS);
    let with =
        |part: &str, more: &str| bench.app("a", &format!("components: {{{part}: {{{more}}}}}"));
    for good in [
        "env: {OTHER: x, EXACTLY: x, MY_OWN_: x, NODE: {field: spec.nodeName}, KEY: {secret: s/k}}",
        "files: {/tmp/x: {content: x}, /etc/web/b: {secret: s/k}, /data2: {configMap: c/k}}",
        "files: {/x: {content: x, mode: \"0777\"}}",
        "mounts: {/etc/webs: {secret: s}, /tmp/in: {configMap: c}}",
        "args: [x, -x, --, --host=h]",
        "env: {L: {field: \"metadata.labels['app.kubernetes.io/name']\"}}",
    ] {
        assert_eq!(with("web", good).errors, Vec::<String>::new(), "{good}");
    }
    for (bad, words) in [
        ("env: {SET: y}", "the app sets `SET` itself"),
        ("env: {PATH: /x}", "decides which programs"),
        ("env: {LD_PRELOAD: /x.so}", "decides which programs"),
        ("env: {A: {field: \"metadata.labels['a b']\"}}", "a field of the pod"),
        ("env: {A: {field: \"metadata.annotations['']\"}}", "a field of the pod"),
        ("args: [--datadir=/tmp/db]", "sets `--datadir`"),
        ("args: [--datad, /tmp/db]", "sets `--datadir`"),
        ("args: [--loose_datadir=/tmp/db]", "sets `--loose-*`"),
        ("args: [-h/tmp/db]", "sets `-h`"),
        ("files: {/bin/sh: {content: x}}", "files that the image needs"),
        ("files: {\"/x\\n\": {content: x}}", "a control character"),
        ("files: {/etc/php/zz-pso-session.ini: {content: x}}", "reserved for the app's scripts"),
        ("mounts: {/usr/local/bin: {secret: s}}", "files that the image needs"),
        ("annotations: {io.kubernetes.cri-o.Devices: /dev/fuse}", "the protection"),
        ("env: {STEP: y}", "the app sets `STEP` itself"),
        ("env: {JOB: y}", "the app sets `JOB` itself"),
        ("env: {OWN_: y}", "`OWN_` is a variable of the image"),
        ("env: {EXACT: y}", "`EXACT` is a variable of the image"),
        ("env: {A: {field: spec.node}}", "a field of the pod"),
        ("env: {A: {}}", "a variable has exactly one source"),
        ("env: {A: {secret: s/k, field: metadata.name}}", "a variable has exactly one source"),
        ("env: {A: {secret: s}}", "the name and a key of an object"),
        ("files: {/etc/web/a: {content: x}}", "hides the file `/etc/web/a`"),
        ("files: {/etc/web/a/b: {content: x}}", "inside the file `/etc/web/a`"),
        ("files: {/data/x: {content: x}}", "inside the volume at `/data`"),
        ("files: {/x: {content: x, secret: s/k}}", "exactly one source"),
        ("files: {/x: {content: x, mode: \"1777\"}}", "no set-user-ID"),
        ("files: {/x/a: {content: x}}, mounts: {/x: {secret: s}}", "is inside `/x`"),
        ("files: {/x: {content: x}}, mounts: {/x: {secret: s}}", "is taken by an entry of `files`"),
        ("files: {/x: {content: x}, /x/y: {content: x}}", "is inside `/x`"),
        ("mounts: {/etc/web: {secret: s}}", "hides the file `/etc/web/a`"),
        ("mounts: {/tmp: {secret: s}}", "hides the folder `/tmp`"),
        ("mounts: {/var/run/web: {secret: s}}", "hides the folder `/run/web`"),
        ("mounts: {/data/x: {secret: s}}", "inside the volume at `/data`"),
        ("mounts: {/pso: {secret: s}}", "`/pso` belongs to the system"),
        ("mounts: {/proc/1: {secret: s}}", "`/proc` belongs to the system"),
        ("mounts: {/etc/./x: {secret: s}}", "not the shortest form"),
        ("mounts: {/etc/x/: {secret: s}}", "not the shortest form"),
        ("mounts: {\"/etc/a:b\": {secret: s}}", "contains `:`"),
        ("mounts: {/usr: {secret: s}}", "files that the image needs"),
        ("mounts: {/: {secret: s}}", "all files of the image"),
        ("mounts: {/x: {}}", "exactly one source"),
        ("labels: {app.kubernetes.io/instance: b}", "is reserved"),
        ("annotations: {pso-gen.io/x: b}", "is reserved"),
        ("annotations: {seccomp.security.alpha.kubernetes.io/pod: unconfined}", "the protection"),
    ] {
        with("web", bad).refused(words);
    }
    with("plain", "args: [x]").refused("whose arguments these would replace");
    with("script", "args: [x]").refused("`run.sh`, which passes no arguments on");
    with("wbe", "args: [x]").refused("there is no field `wbe`");
    let both = "components: {web: {files: {/x/a: {content: x}}}, j: {mounts: {/x: {secret: s}}}}";
    bench.app("a", both).refused("`/x` hides `/x/a`, an entry of `files`");
}

#[test]
fn a_sidecar_fits_into_the_pods() {
    let bench = Bench::of(PARTS);
    let with = |part: &str, more: &str| {
        bench.app("a", &format!("components: {{{part}: {{sidecars: [{{{more}}}]}}}}"))
    };
    for good in [
        "name: b, ports: {more: 8081}, volumes: {data: /d}",
        "name: b, files: {/etc/b/a: {content: x}, /etc/web/a: {content: x}}, mounts: {/b: {secret: s}}",
    ] {
        assert_eq!(
            with("web", &format!("{good}, {ENOUGH}")).errors,
            Vec::<String>::new(),
            "{good}"
        );
    }
    for (bad, words) in [
        ("name: one", "the name `one` is taken"),
        ("name: web", "the name `web` is taken"),
        ("name: pso-x", "the name `pso-x` is taken"),
        ("name: b, ports: {more: 8080}", "the port 8080 is taken"),
        ("name: b, ports: {http: 8081}", "the port name `http` is taken"),
        ("name: b, ports: {more: 0}", "the number 0"),
        ("name: b, ports: {MORE: 8081}", "at most 15 lower-case letters"),
        ("name: b, user: 0", "from 1 to 2147483647"),
        ("name: b, volumes: {date: /d}", "does not mount the volume `date`"),
        ("name: b, volumes: {data: /proc/x}", "belongs to the system"),
        ("name: b, volumes: {data: /d}, files: {/d/x: {content: x}}", "inside the volume at `/d`"),
        ("name: b, files: {/d: {content: x, secret: s/k}}", "exactly one source"),
        ("name: b, env: {A: {field: x}}", "a field of the pod"),
    ] {
        with("web", &format!("{bad}, {ENOUGH}")).refused(words);
    }
    let image = "name: b, image: \"example.com/b:1.0.0\"";
    with("web", image).refused("`resources` is missing");
    let without = |resources: &str| with("web", &format!("{image}, resources: {{{resources}}}"));
    without("requests: {cpu: 1m}, limits: {memory: 1Mi}").refused("no `memory` in `requests`");
    without("requests: {memory: 1Mi}, limits: {memory: 1Mi}").refused("no `cpu` in `requests`");
    without("requests: {cpu: 1m, memory: 1Mi}").refused("no `memory` in `limits`");
    with("j", &format!("name: b, {ENOUGH}")).refused("a job has no sidecars");
}

#[test]
fn a_change_of_an_added_file_rolls_the_pods() {
    let bench = Bench::of(PARTS);
    let hash = |part: &str, kind: &str, name: &str, text: &str| {
        let more =
            format!("components: {{{part}: {{files: {{/x: {{content: {text}}}}}, sidecars: []}}}}");
        let object = bench.app("a", &more).object(kind, name);
        object["spec"]["template"]["metadata"]["annotations"]["pso-gen.io/config"].clone()
    };
    assert_ne!(
        hash("web", "StatefulSet", "a-web", "one"),
        hash("web", "StatefulSet", "a-web", "two")
    );
    // That of another component does not.
    assert_eq!(
        hash("plain", "StatefulSet", "a-web", "one"),
        hash("plain", "StatefulSet", "a-web", "two")
    );
}

#[test]
fn a_job_runs_where_its_component_does() {
    let bench = Bench::of(PARTS);
    let nodes = |more: &str, job: &str| {
        let object = bench.app("a", more).object("CronJob", job);
        object["spec"]["jobTemplate"]["spec"]["template"]["spec"]["nodeSelector"].clone()
    };
    let of_web =
        "place: {nodeSelector: {all: x}}, components: {web: {place: {nodeSelector: {own: x}}}}";
    for job in ["a-j", "a-other"] {
        assert_eq!(nodes(of_web, job), serde_json::json!({"own": "x"}), "{job}");
    }
    let of_plain =
        "place: {nodeSelector: {all: x}}, components: {plain: {place: {nodeSelector: {own: x}}}}";
    assert_eq!(nodes(of_plain, "a-other"), serde_json::json!({"all": "x"}));
    bench
        .app("a", "components: {other: {place: {nodeSelector: {own: x}}}}")
        .refused("`other` runs on the node of `web`");
}

#[test]
fn a_layer_changes_an_addition() {
    let value = |own: &str, layer: &str| {
        let layer = format!("spec: {{components: {{web: {{env: {{A: {layer}}}}}}}}}");
        let app =
            Bench::of(PARTS).layer(&layer).app("a", &format!("components: {{web: {{{own}}}}}"));
        assert_eq!(app.errors, Vec::<String>::new(), "{own} under {layer}");
        let object = app.object("StatefulSet", "a-web");
        let env = &object["spec"]["template"]["spec"]["containers"][0]["env"];
        env.as_array().into_iter().flatten().find(|variable| variable["name"] == "A").cloned()
    };
    let text = |text: &str| Some(serde_json::json!({"name": "A", "value": text}));
    assert_eq!(value("", "x"), text("x"));
    assert_eq!(value("env: {A: y}", "x"), text("x"));
    assert_eq!(value("env: {A: {secret: s/k}}", "metadata.name"), text("metadata.name"));
    assert_eq!(value("env: {A: y}", "~"), None);
    let key = serde_json::json!({"secretKeyRef": {"name": "s", "key": "k"}});
    let key = Some(serde_json::json!({"name": "A", "valueFrom": key}));
    assert_eq!(value("env: {A: y}", "{secret: s/k}"), key);
    assert_eq!(value("env: {A: {configMap: c/k}}", "{configMap: ~, secret: s/k}"), key);
}

#[test]
fn an_addition_to_a_component_that_is_left_out_is_reported() {
    let more = "  maybe: {if: \"{{ false }}\", image: example.com/m:1.0.0, user: 1000}\n";
    let app = Bench::new(more).app("a", "components: {maybe: {env: {A: x}}}");
    assert!(
        app.warnings.iter().any(|warning| warning.contains("spec.components.maybe")),
        "{:?}",
        app.warnings
    );
}
