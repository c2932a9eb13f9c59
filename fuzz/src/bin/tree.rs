//! Reads texts from standard input, each with its length before it (four bytes, the least first), and prints what
//! the reader makes of each: a line of JSON.

use std::io::{self, Read, Write};

fn main() -> io::Result<()> {
    let (mut input, mut output) = (io::stdin().lock(), io::BufWriter::new(io::stdout().lock()));
    let mut length = [0; 4];
    while input.read_exact(&mut length).is_ok() {
        let mut bytes = vec![0; u32::from_le_bytes(length) as usize];
        input.read_exact(&mut bytes)?;
        let line = match reader::read(&bytes) {
            Ok(documents) => {
                reader::round_trip(&documents);
                serde_json::json!({"documents": documents.iter().map(reader::tree).collect::<Vec<_>>()})
            }
            Err(code) => serde_json::json!({"wrong": code}),
        };
        writeln!(output, "{line}")?;
    }
    output.flush()
}
