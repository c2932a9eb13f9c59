//! Has the crate built again when a shipped blueprint changes: they are part of the binary.

fn main() {
    println!("cargo::rerun-if-changed=blueprints");
}
