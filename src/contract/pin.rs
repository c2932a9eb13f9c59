//! Pins of certificates, as the storage document writes them.

/// Returns the SHA-256 of a certificate's `SubjectPublicKeyInfo` from `sha256:` and 64 hexadecimal digits; none when the text
/// is not a pin.
pub fn certificate_pin(text: &str) -> Option<[u8; 32]> {
    let digits = text.strip_prefix("sha256:").filter(|digits| digits.len() == 64)?;
    let mut pin = [0; 32];
    for (byte, at) in pin.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(digits.get(at..at + 2)?, 16).ok()?;
    }
    Some(pin)
}
