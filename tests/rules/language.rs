//! The language of blueprints: what an expression, a condition and a loop become.

use super::*;

/// A component with these variables, and these lines under `let`.
fn with_env(lets: &str, env: &str) -> Outcome {
    Bench::of(&format!(
        "parameters:\n  list: {{type: list, of: {{type: string}}}}\n  map: {{type: map, of: {{type: string}}}}\n  text: {{type: string, default: hello}}\n  yes: {{type: boolean, default: true}}\n  gone: {{type: string}}\nlet:\n  zero: \"{{{{ 0 }}}}\"\n{lets}components:\n  web:\n    image: example.com/web:1.0.0\n    user: 1000\n    env:\n{env}"
    ))
    .app("a", "list: [x, y, z], map: {k: v, l: w}")
}

/// The variable `A`, when its value is this.
#[track_caller]
fn value(value: &str) -> String {
    with_env("", &format!("      A: {value}\n")).env().remove("A").expect("a variable")
}

#[test]
fn an_expression_alone_keeps_its_type_and_text_around_it_prints_it() {
    assert_eq!(value(r#""{{ 1 + 2 }}""#), "3");
    assert_eq!(value(r#""{{ yes }}""#), "true");
    assert_eq!(value(r#""is {{ yes }}""#), "is true", "as YAML writes it");
    assert_eq!(value(r#""[{{ gone }}]""#), "[]", "none is nothing in a text");
    assert_eq!(value(r#""{{ text }}-{{ list | length }}""#), "hello-3");
    // A number where text stands: no decimal is lost.
    assert_eq!(value(r#""{{ '007' }}""#), "007");
    assert_eq!(value("11.10"), "11.10");
}

#[test]
fn what_closes_an_expression_is_neither_in_quotes_nor_a_mapping_s_end() {
    assert_eq!(value(r#"'{{ "}}" }}'"#), "}}");
    assert_eq!(value(r#"'{{ {"k": {"l": "m"}}.k.l }}'"#), "m");
    assert_eq!(value(r#"'{{ "\"}}" }}'"#), "\"}}", "nor behind a quote that is escaped");
    with_env("", "      A: \"{{ text\"\n").refused("`{{` without `}}`");
    with_env("", "      A: \"{% if yes %}x{% endif %}\"\n").refused("use the keys `if` and `for`");
}

#[test]
fn a_condition_leaves_out_what_it_is_at() {
    let env = with_env(
        "",
        r#"      A: {if: "{{ yes }}", then: one, else: two}
      B: {if: "{{ not yes }}", then: one, else: two}
      C: {if: "{{ not yes }}", then: one}
      D: {if: false, then: one}
      E: {if: true, then: one}
"#,
    )
    .env();
    let there: Vec<(&str, &str)> =
        env.iter().map(|(name, is)| (name.as_str(), is.as_str())).collect();
    assert_eq!(there, [("A", "one"), ("B", "two"), ("E", "one")]);
    with_env("", "      A: {if: \"a {{ yes }}\", then: one}\n")
        .refused("`if` needs one expression");
    with_env("", "      A: {if: \"{{ yes }}\", then: one, other: two}\n")
        .refused("`other` cannot be used beside `then`");
}

#[test]
fn what_nobody_asks_for_is_not_evaluated() {
    // The list is empty: its first item does not exist.
    let env = with_env(
        "  none_of: \"{{ list | select('equalto', 'q') | list }}\"\n",
        "      A: {if: \"{{ none_of }}\", then: \"{{ none_of[0].host }}\", else: nothing}\n",
    );
    assert_eq!(env.env()["A"], "nothing");
}

#[test]
fn a_loop_makes_one_for_each_round() {
    let joined = |lines: &str| {
        let env = with_env("", lines).env();
        env.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
    };
    let list = r#"      +: {for: {i: "{{ list }}"}, each: {"V_{{ i }}": "{{ i }}"}}"#;
    assert_eq!(joined(&format!("{list}\n")), "V_x=x V_y=y V_z=z");
    let some = r#"      +: {for: {i: "{{ list }}"}, if: "{{ i != 'y' }}", each: {"V_{{ i }}": "{{ i }}"}}"#;
    assert_eq!(joined(&format!("{some}\n")), "V_x=x V_z=z");
    let map = r#"      +: {for: {e: "{{ map }}"}, each: {"V_{{ e.key }}": "{{ e.value }}"}}"#;
    assert_eq!(joined(&format!("{map}\n")), "V_k=v V_l=w");
    // Each of one with each of the other; the second list may depend on the first.
    let both = r#"      +: {for: {i: "{{ list[:2] }}", j: "{{ [i, i + i] }}"}, each: {"V_{{ j }}": "{{ i }}"}}"#;
    assert_eq!(joined(&format!("{both}\n")), "V_x=x V_xx=x V_y=y V_yy=y");
    // Inside, its name comes before the one outside.
    let hides = r#"      +: {for: {text: "{{ list[:1] }}"}, each: {A: "{{ text }}"}}"#;
    assert_eq!(joined(&format!("{hides}\n      B: \"{{{{ text }}}}\"\n")), "A=x B=hello");
    let words = r#"      +: {for: {i: "{{ text }}"}, each: {A: x}}"#;
    with_env("", &format!("{words}\n")).refused("`for` needs a list or a mapping, found string");
    with_env("", "      +: {for: list, each: {A: x}}\n")
        .refused("`for` needs a mapping from a name");
    with_env("", "      +: \"{{ list }}\"\n").refused("expected a mapping");
}

#[test]
fn a_loop_ends_at_ten_thousand() {
    let rounds = |last: u32| {
        Bench::of(&format!(
            "components:\n  web:\n    image: example.com/web:1.0.0\n    user: 1000\n    args: [{{for: {{i: \"{{{{ range(100) }}}}\", j: \"{{{{ range({last}) }}}}\"}}, each: x}}]\n"
        ))
        .app("a", "")
    };
    assert_eq!(rounds(100).errors, Vec::<String>::new());
    rounds(101).refused("the loop produces more than 10000 items");
}

#[test]
fn a_let_sees_what_stands_before_it() {
    let two = "  one: \"{{ text }}!\"\n  two: \"{{ one }}?\"\n";
    assert_eq!(with_env(two, "      A: \"{{ two }}\"\n").env()["A"], "hello!?");
    let late = "  one: \"{{ two }}\"\n  two: \"{{ text }}\"\n";
    with_env(late, "      A: \"{{ one }}\"\n").refused("two");
}

#[test]
fn a_name_that_is_not_there_is_an_error_before_any_app_needs_it() {
    let never = "      A: {if: false, then: \"{{ txet }}\"}\n";
    with_env("", never).refused("txet");
    with_env("", "      A: \"{{ app.nmae }}\"\n").refused("nmae");
    with_env("", "      A: \"{{ text.x.y }}\"\n").refused("text.x.y");
}

/// What an expression sees of a parameter.
#[track_caller]
fn seen(parameter: &str, spec: &str, expression: &str) -> String {
    let bench = Bench::of(&format!(
        "parameters:\n  p: {{{parameter}}}\ncomponents:\n  web:\n    image: example.com/web:1.0.0\n    user: 1000\n    env: {{A: {expression}}}\n"
    ));
    bench.app("a", spec).env().remove("A").expect("a variable")
}

#[test]
fn a_parameter_is_seen_in_the_unit_of_its_type() {
    let p = r#""{{ p }}""#;
    assert_eq!(seen("type: quantity", "p: 1.5Gi", p), "1610612736", "bytes");
    assert_eq!(seen("type: quantity", "p: 1k", p), "1000");
    assert_eq!(seen("type: duration", "p: 2m", p), "120", "seconds");
    assert_eq!(seen("type: integer", "p: 7", r#""{{ p + 1 }}""#), "8");
    assert_eq!(seen("type: boolean", "p: false", r#""{{ not p }}""#), "true");
    assert_eq!(seen("type: string", "p: \"007\"", p), "007");
    assert_eq!(seen("type: scale", "p: 3", p), "3");
    assert_eq!(seen("type: scale", "p: {min: 2, max: 5}", r#""{{ p.max - p.min }}""#), "3");
    let sizes = "type: list, of: {type: quantity}";
    assert_eq!(seen(sizes, "p: [1Ki, 1k]", r#""{{ p[0] - p[1] }}""#), "24", "also inside");
    let times = "type: map, of: {type: duration}";
    assert_eq!(seen(times, "p: {x: 1h}", r#""{{ p.x }}""#), "3600");
}

#[test]
fn what_is_left_out_is_the_default_and_nothing_is_none() {
    for spec in ["", "p: ~"] {
        assert_eq!(seen("type: quantity, default: 1Ki", spec, r#""{{ p }}""#), "1024", "{spec}");
        assert_eq!(seen("type: string", spec, r#""{{ p is none }}""#), "true", "{spec}");
        assert_eq!(seen("type: list", spec, r#""{{ p | length }}""#), "0", "{spec}");
        assert_eq!(seen("type: map", spec, r#""{{ p | length }}""#), "0", "{spec}");
        let object = "type: object, fields: {a: {type: integer, default: 4}, b: {type: string}}";
        assert_eq!(seen(object, spec, r#""{{ p.a }} {{ p.b is none }}""#), "4 true", "{spec}");
    }
    let object = "type: object, fields: {a: {type: integer, default: 4}, b: {type: string}}";
    assert_eq!(seen(object, "p: {b: x}", r#""{{ p.a }}{{ p.b }}""#), "4x", "each by itself");
}

#[test]
fn limits_are_measured_in_the_unit_of_the_type() {
    let said = |parameter: &str, spec: &str| {
        let sections = format!("parameters:\n  p: {{{parameter}}}\n");
        Bench::new(&sections).app("a", spec).errors
    };
    let size = "type: quantity, min: 1Gi, max: 1Ti";
    let time = "type: duration, min: 1m, max: 1h";
    let number = "type: integer, min: 1, max: 10";
    for (parameter, good, bad) in [
        (size, ["1024Mi", "1Gi", "1024Gi", "1Ti"], ["1023Mi", "1G", "1025Gi", "2Ti"]),
        (time, ["60s", "1m", "60m", "1h"], ["59s", "0s", "61m", "3601s"]),
        (number, ["1", "2", "9", "10"], ["0", "-1", "11", "100"]),
    ] {
        for value in good {
            assert_eq!(said(parameter, &format!("p: {value}")), Vec::<String>::new(), "{value}");
        }
        for value in bad {
            let errors = said(parameter, &format!("p: {value}"));
            assert!(errors.len() == 1 && errors[0].contains("spec.p"), "{value}: {errors:?}");
        }
    }
    let choice = "type: string, choices: [red, green]";
    assert_eq!(said(choice, "p: red"), Vec::<String>::new());
    assert_eq!(said(choice, "p: gren").len(), 1);
    assert_eq!(said("type: string, required: true", "").len(), 1);
    assert_eq!(said("type: string, required: true", "p: ''"), Vec::<String>::new());
    let error = said("type: txt", "p: x");
    assert!(error.len() == 1 && error[0].contains("the type `txt` does not exist"), "{error:?}");
}

#[test]
fn a_value_of_any_type_is_what_yaml_says() {
    let json = |config: &str| {
        let bench = Bench::of(
            "parameters:\n  config: {type: map, of: {type: any}}\ncomponents:\n  web: {image: example.com/web:1.0.0, user: 1000, env: {A: \"{{ config | tojson }}\"}}\n",
        );
        let text =
            bench.app("a", &format!("config: {config}")).env().remove("A").expect("a variable");
        serde_json::from_str::<Json>(&text).expect("JSON")
    };
    let settings = "{a.b: true, c: \"true\", d: 1, e: 1.5, f: [x, {g: false}], h: {}, i: 007x}";
    let wanted = serde_json::json!({
        "a.b": true, "c": "true", "d": 1, "e": 1.5, "f": ["x", {"g": false}], "h": {}, "i": "007x"
    });
    assert_eq!(json(settings), wanted);
}

#[test]
fn a_given_secret_exists_if_the_app_names_one() {
    let bench = Bench::of(
        "secrets: {mail: {password: {given: true}}}\ncomponents:\n  web:\n    image: example.com/web:1.0.0\n    user: 1000\n    env: {A: {if: \"{{ secrets.mail.existing }}\", secret: mail/password}, B: b}\n",
    );
    let without = bench.app("a", "");
    assert_eq!(without.env().into_keys().collect::<Vec<_>>(), ["B"]);
    let objects = || without.unit.apps.iter().flat_map(|app| &app.compiled.objects);
    assert!(!objects().any(|object| matches!(object.type_meta().1, "Secret" | "Job")));
    let with = bench.app("a", "secrets: {mail: ours}").object("Deployment", "a-web");
    let env = &with["spec"]["template"]["spec"]["containers"][0]["env"][0];
    assert_eq!(env["valueFrom"]["secretKeyRef"]["name"], "ours");
}
