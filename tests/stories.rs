//! What the program prints and how it ends, story by story, as a user would see it.

mod support;

#[test]
fn stories_are_told_as_reviewed() {
    insta::glob!("stories/*/args", support::tell);
}
