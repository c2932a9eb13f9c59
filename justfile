# What one does every day here. `just` is https://just.systems; each recipe is one line to copy.

# Formats, lints and tests.
check:
    cargo fmt --check
    cargo clippy --all-targets -- -D warnings
    cargo test

# Accepts what the program prints now as reviewed. Read the diff before you commit it.
accept:
    INSTA_UPDATE=always cargo test --test stories --test diagnostics --test classes
    git diff --stat tests

# Writes the files that follow from declarations: schemas, reference pages, manual pages.
schema:
    PSO_GEN_UPDATE=1 cargo test --test generated

# Shows the examples as manifests.
demo:
    cargo run -- render examples

# Everything that must hold before a change lands.
ci *STEPS:
    .ci/run {{STEPS}}

# Known vulnerabilities of dependencies, by the database itself; needs cargo-deny and the network.
advisories:
    PSO_GEN_ADVISORY_DB=https://github.com/RustSec/advisory-db deny/advisories check cargo-deny

# Fuzzes every parser, or those named, for some seconds each; compares the YAML reader with another one.
fuzz SECONDS="600" *PARSERS:
    fuzz/run {{SECONDS}} {{PARSERS}}

# Mangles inputs for longer than the test does.
mangle CASES="40000":
    PROPTEST_CASES={{CASES}} cargo test --release --test mangled

# Times the stages, and whole processes beside helm and kustomize when they are there.
bench:
    cargo bench --bench stages --bench arrays
    benches/processes

# Times the provisioner on a real control plane beside its peers: more than half an hour.
bench-provisioner *ARGS:
    cargo bench --bench provisioner -- {{ARGS}}

# Breaks the decisions of provisioner and node service in one place after the other; the simulations must see each.
mutants:
    tests/simulation/mutants
    tests/node_simulation/mutants

# Changes a part of the code in every place that cargo-mutants knows: decide, formats or check. Takes hours.
mutate PART *OPTIONS:
    tests/mutants/run {{PART}} {{OPTIONS}}

# The same for the lines that differ from main.
mutate-diff PART:
    git diff main > target/mutants.diff
    tests/mutants/run {{PART}} --in-diff target/mutants.diff

# Has Git check the message of every commit.
hook:
    .ci/commits --install

# The node service on a real kernel in emulated machines, or the stories with a text in their names.
node *PART:
    cargo build
    tests/node/run target/debug/pso-gen {{PART}}

# The rendered platform and apps on a real kubelet, or the stories with one of these texts in their names.
kubelet *PARTS:
    cargo build
    tests/kubelet/run target/debug/pso-gen {{PARTS}}

# Kubernetes' own tests of storage, or those whose names match a regular expression.
upstream *FOCUS:
    cargo build
    tests/upstream/run target/debug/pso-gen '{{FOCUS}}'
