//! Words: quantities, durations, schedules, images, names, addresses, and whatever else has a format.
//!
//! A word that is accepted is accepted again in the form in which it is written out.

use pso_gen::arrays::Trust;
use pso_gen::compiler::diagnostic::Sources;
use pso_gen::compiler::manifest::image;
use pso_gen::compiler::spec::{Format, Setting};
use pso_gen::contract::{
    ExportRule, Quantity, Seconds, SnapshotPolicy, SnapshotSuffix, VolumeName, is_address,
    thousandths,
};

pub(crate) fn formats(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for format in Format::ALL {
        let _ = format.accepts(text);
    }
    if let Some(quantity) = Quantity::parse(text) {
        let again = Quantity::parse(quantity.text()).expect("what is written out is a quantity");
        assert_eq!(again.bytes(), quantity.bytes(), "{text:?}");
        let _ = Quantity::about(quantity.bytes());
        let whole = Quantity::of_bytes(quantity.bytes());
        assert_eq!(whole.bytes(), quantity.bytes(), "{text:?} became {}", whole.text());
    }
    let _ = (Quantity::bytes_of(text), thousandths(text), Seconds::parse(text));
    let _ = (SnapshotPolicy::parse(text), Trust::pin(text), is_address(text));
    let _ = (VolumeName::new(text), SnapshotSuffix::new(text));
    if let Some(rules) = ExportRule::parse(text) {
        let again = ExportRule::parse(&ExportRule::text(&rules));
        assert_eq!(again.as_ref(), Some(&rules), "{text:?}");
    }
    let _ =
        (image::tag(text), image::repository(text), image::major(text), image::is_mutable(text));
    let _ = Setting::parse("--set", text, &Sources::default()).is_ok();
}
