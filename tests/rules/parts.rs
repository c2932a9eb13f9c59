//! Whether the parts of a blueprint fit together: each name that one mentions is another's.

use super::*;

/// The error of a blueprint whose component `web` has these further lines, and which has these sections.
fn said(component: &str, sections: &str) -> Vec<String> {
    let sections = format!(
        "volumes:\n  data: {{class: pure-file, size: 1Gi, owner: \"1000:1000\"}}\nsecrets: {{keys: {{token: {{length: 20}}}}}}\ncomponents:\n  web:\n    image: example.com/web:1.0.0\n    user: 1000\n    ports: {{http: 8080}}\n{component}  db: {{image: example.com/db:1.0.0, user: 1000, ports: {{sql: 3306}}}}\n{sections}"
    );
    Bench::of(&sections).app("a", "").errors
}

#[track_caller]
fn fits(component: &str, sections: &str) {
    assert_eq!(said(component, sections), Vec::<String>::new());
}

#[track_caller]
fn is_refused(component: &str, sections: &str, words: &str) {
    let errors = said(component, sections);
    assert!(
        errors.len() == 1 && errors[0].contains(words) && errors[0].starts_with("bad-blueprint"),
        "{words}: {errors:#?}"
    );
}

#[test]
fn each_name_is_that_of_something() {
    fits(
        "    mounts: {data: /data}\n    env: {T: {secret: keys/token}, N: {field: metadata.name}}\n    files: {/run/t: {secret: keys/token}}\n    before: [{name: one, script: run.sh, lock: data, env: {T: {secret: keys/token}}}]\n    ready: {http: {port: http, path: /}}\n    after: [db]\n",
        "jobs: {j: {like: web, command: [x], when: asked}}\ntalks: {web: [db.sql, {host: a.example.com, port: 1}, {host: \"2001:db8::1\", port: 65535}], j: [db.sql]}\nexpose: {web.http: a.example.com}\n",
    );
    for (component, words) in [
        ("mounts: {date: /data}", "the volume `date` does not exist"),
        ("env: {T: {secret: keys/tokn}}", "the key of the secret `tokn` does not exist"),
        ("env: {T: {secret: key/token}}", "the secret `key` does not exist"),
        ("env: {T: {secret: keys}}", "`keys` needs a key: `keys/KEY`"),
        ("env: {T: {field: metadata.nmae}}", "the field of a pod `metadata.nmae` does not exist"),
        ("files: {/run/t: {secret: keys/tok}}", "the key of the secret `tok` does not exist"),
        ("files: {/run/t: rnu.sh}", "the file `rnu.sh` does not exist"),
        ("script: rnu.sh", "the file `rnu.sh` does not exist"),
        ("before: [{name: one, script: rnu.sh}]", "the file `rnu.sh` does not exist"),
        (
            "before: [{name: one, script: run.sh, lock: data}]",
            "the mounted volume `data` does not exist",
        ),
        ("before: [{name: one, script: run.sh, env: {T: {secret: keys/t}}}]", "the secret `t`"),
        ("ready: {http: {port: htp, path: /}}", "the port `htp` does not exist"),
        ("alive: {tcp: htp}", "the port `htp` does not exist"),
        ("after: [bd]", "the component `bd` does not exist"),
    ] {
        is_refused(&format!("    {component}\n"), "", words);
    }
    for (section, words) in [
        ("talks: {web: [db.slq]}", "the port `slq` does not exist"),
        ("talks: {web: [bd.sql]}", "the component `bd` does not exist"),
        ("talks: {wbe: [db.sql]}", "the component or job `wbe` does not exist"),
        ("talks: {web: [db]}", "`db` needs a port"),
        (
            "talks: {wbe: [{host: a.example.com, port: 1}]}",
            "the component or job `wbe` does not exist",
        ),
        ("talks: {web: [{host: 127.0.0.1, port: 1}]}", "or an IPv4 address, found \"127.0.0.1\""),
        ("talks: {web: [{host: \"::1\", port: 1}]}", "found \"::1\""),
        ("talks: {web: [{host: \"a b\", port: 1}]}", "expected a host name such as"),
        ("expose: {web.htp: a.example.com}", "the port `htp` does not exist"),
        ("expose: {wbe.http: a.example.com}", "the component `wbe` does not exist"),
        ("expose: {web: a.example.com}", "`web` needs a port"),
    ] {
        is_refused("", &format!("{section}\n"), words);
    }
}

#[test]
fn a_connection_is_to_a_component_or_to_a_server() {
    for connection in ["{host: a.example.com}", "{to: db.sql, host: a.example.com, port: 1}"] {
        let errors = said("", &format!("talks: {{web: [{connection}]}}\n"));
        assert!(errors[0].contains("write either `to`, or `host` and `port`"), "{errors:?}");
    }
    let errors = said("", "talks: {web: [{host: a.example.com, port: 0}]}\n");
    let wanted = "bad-value at talks.web[0].port: expected a number from 1 to 65535, found `0`";
    assert_eq!(errors, [wanted]);
}

#[test]
fn a_path_and_a_name_are_those_of_one_thing() {
    for more in ["files: {/data: run.sh}", "writable: {/data: ~}", "writable: {/data/: ~}"] {
        let component = format!("    mounts: {{data: /data}}\n    {more}\n");
        is_refused(&component, "", "is used twice");
    }
    fits("    mounts: {data: /data}\n    writable: {/data/tmp: ~}\n", "");
    is_refused("    writable: {/: ~}\n", "", "`/` cannot be a mount path");
    is_refused("    files: {//: run.sh}\n", "", "`/` cannot be a mount path");
    let step = |name: &str| format!("{{name: {name}, command: [x]}}");
    let steps =
        |names: [&str; 2]| format!("    before: [{}, {}]\n", step(names[0]), step(names[1]));
    fits(&steps(["one", "two"]), "");
    is_refused(&steps(["one", "one"]), "", "the name `one` is used twice");
    is_refused(&steps(["web", "two"]), "", "the name `web` is used twice");
    is_refused(&steps(["pso-one", "two"]), "", "names that begin with `pso-` are reserved");
    let job = "jobs: {web: {image: example.com/j:1.0.0, user: 1, command: [x], when: asked}}\n";
    assert!(said("", job)[0].contains("a component and a job have the same name"));
}

#[test]
fn a_program_says_once_what_runs() {
    is_refused("    script: run.sh\n    command: [x]\n", "", "`script` and `command` exclude");
    is_refused("    before: [{name: one}]\n", "", "needs either `script` or `command`");
    let both = "    before: [{name: one, script: run.sh, command: [x]}]\n";
    is_refused(both, "", "needs either `script` or `command`");
    let job = |more: &str| format!("jobs: {{j: {{like: web, when: asked{more}}}}}\n");
    is_refused("", &job(""), "a job with `like` needs");
    for more in [", command: [x]", ", args: [x]", ", script: run.sh"] {
        fits("", &job(more));
    }
    for probe in ["{}", "{tcp: http, exec: [x]}"] {
        is_refused(&format!("    ready: {probe}\n"), "", "a probe needs exactly one of");
    }
    is_refused("    ready: {tcp: http, tries: 0}\n", "", "`tries` must be at least 1");
    fits("    ready: {tcp: http, tries: 1}\n", "");
}

#[test]
fn a_script_names_its_interpreter() {
    let bench = Bench::new("jobs: {j: {like: web, when: asked, script: other}}\n");
    bench.file("other", "echo\n").app("a", "").refused("does not name its interpreter");
}

#[test]
fn ports_have_names_and_numbers_that_kubernetes_takes() {
    let ports = |ports: &str| {
        Bench::of(&format!(
            "components:\n  web: {{image: example.com/web:1.0.0, user: 1000, ports: {{{ports}}}}}\n"
        ))
        .app("a", "")
    };
    for good in ["a: 1", "a-b: 65535", "fifteen-letters: 80", "1a: 80"] {
        assert_eq!(ports(good).errors, Vec::<String>::new(), "{good}");
    }
    for bad in ["sixteen-letters1: 80", "A: 80", "a--b: 80", "-a: 80", "a-: 80", "\"12\": 80"] {
        ports(bad).refused("must have at most 15");
    }
    ports("a: 80, b: 80").refused("the port number 80 is invalid or used twice");
}

#[test]
fn what_starts_first_is_never_a_circle() {
    let worker = "    after: [db]\n";
    is_refused(
        "",
        "talks: {web: [db.sql], db: [web.http]}\n",
        "wait for each other: `db` -> `web` -> `db`",
    );
    is_refused(worker, "talks: {db: [web.http]}\n", "wait for each other");
    // One of the two starts without the other.
    fits("", "talks: {web: [db.sql], db: [{to: web.http, waits: false}]}\n");
    is_refused("    after: [web]\n", "", "it waits for itself");
}

#[test]
fn pods_of_a_component_may_talk_to_each_other_if_there_are_several() {
    is_refused("", "talks: {web: [web.http]}\n", "`web` has one pod");
    is_refused("    pods: one\n", "talks: {web: [web.http]}\n", "`web` has one pod");
    fits("    pods: 2\n", "talks: {web: [web.http]}\n");
    fits(
        "    pods: \"{{ count }}\"\n",
        "talks: {web: [web.http]}\nparameters: {count: {type: scale, default: 1}}\n",
    );
}

#[test]
fn a_program_can_write_to_its_volumes() {
    let owned = |owner: &str, mode: &str, mount: &str| {
        let sections = format!(
            "volumes:\n  data: {{class: pure-block, size: 1Gi{owner}{mode}}}\ncomponents:\n  web: {{image: example.com/web:1.0.0, user: 1000, group: 100, mounts: {{data: {mount}}}}}\n"
        );
        Bench::of(&sections).app("a", "").errors
    };
    let read_only = "{path: /data, readOnly: true}";
    for (owner, mode, mount) in [
        (", owner: \"1000:1000\"", "", "/data"),
        (", owner: \"2000:100\"", ", mode: \"0770\"", "/data"),
        (", owner: \"2000:2000\"", ", mode: \"0777\"", "/data"),
        (", owner: \"2000:100\"", "", read_only),
        (", owner: \"2000:2000\"", ", mode: \"0755\"", read_only),
        ("", "", read_only),
    ] {
        assert_eq!(owned(owner, mode, mount), Vec::<String>::new(), "{owner}{mode}");
    }
    for (owner, mode, mount, words) in [
        ("", "", "/data", "has no `owner`"),
        (", owner: \"2000:100\"", "", "/data", "cannot write to the volume `data`"),
        (", owner: \"1000:100\"", ", mode: \"0550\"", "/data", "cannot write"),
        (", owner: \"2000:2000\"", ", mode: \"0775\"", "/data", "cannot write"),
        (", owner: \"2000:2000\"", "", read_only, "cannot read"),
    ] {
        let errors = owned(owner, mode, mount);
        assert!(errors.len() == 1 && errors[0].contains(words), "{owner}{mode}: {errors:#?}");
    }
}

#[test]
fn writable_folders_fit_into_the_limits() {
    let limit = |size: &str| {
        format!("    resources: {{limits: {{ephemeral-storage: {size}, memory: 1Gi}}}}\n")
    };
    let folders = "    writable: {/tmp: 1Gi, /var/cache: 1Gi, /run: {size: 1Gi, memory: true}}\n";
    fits(&format!("{folders}{}", limit("2Gi")), "");
    is_refused(&format!("{folders}{}", limit("2047Mi")), "", "can hold 2Gi");
    let memory = "    writable: {/run: {size: 2Gi, memory: true}}\n";
    is_refused(&format!("{memory}{}", limit("1Gi")), "", "the limit of `memory` is 1Gi");
}
