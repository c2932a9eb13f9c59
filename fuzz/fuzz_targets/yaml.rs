//! Any bytes: no panic, no place outside of the text, and what is read can be written and read again.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(documents) = reader::read(bytes) {
        reader::round_trip(&documents);
    }
});
