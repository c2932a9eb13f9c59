//! Each format against texts that it accepts and refuses.

use super::Format;

#[test]
fn formats_accept_and_refuse() {
    let table: [(Format, &[&str], &[&str]); 19] = [
        (
            Format::Hostname,
            &["a.example.com", "localhost"],
            &["", "A.com", "a_b", "10.0.0.1", "a..b"],
        ),
        (Format::Name, &["oc", "a-1"], &["", "-a", "a-", "A", "a.b"]),
        (Format::Cidr, &["10.0.0.0/8", "fd00::/8"], &["10.0.0.0", "10.0.0.0/33"]),
        (
            Format::Cron,
            &["*/5 * * * *", "0 2 * * mon-fri", "0,30 1-5 1 jan *", "@daily"],
            &["* * * *", "60 * * * *", "*/0 * * * *", "a b c d e", "5-1 * * * *", "@never"],
        ),
        (
            Format::Date,
            &["2026-12-24"],
            &["2026-13-01", "24.12.2026", "tomorrow", "20261101", "2026-11-01T10:00"],
        ),
        (
            Format::Image,
            &[
                "nextcloud:34.0.3-apache",
                "localhost:5000/a/b",
                "a@sha256:0000000000000000000000000000000000000000000000000000000000000000",
            ],
            &["", "a b:1", "a:", "a//b", "a@sha256:12"],
        ),
        (Format::Mode, &["0750", "2775"], &["750", "0999"]),
        (Format::Owner, &["33:33"], &["33", "www:www"]),
        (Format::Cpu, &["250m", "2", "0.5"], &["0", "-1", "2 cores"]),
        (
            Format::Amount,
            &["250m", "8Gi", "0.5", "0", "1e3"],
            &["2 cores", "8Gb", "", "-1", "8Gim"],
        ),
        (Format::LabelKey, &["team", "example.com/Team_1"], &["", "/a", "a/", "a/b/c", "A.com/x"]),
        (Format::Label, &["", "a.b_c-1", "4711"], &["-a", "a b", "a/b"]),
        (Format::Gateway, &["infra/public", "a/b/https"], &["public", "a/b/c/d", "a//b"]),
        (Format::ObjectKey, &["a.b/Key_1.pem"], &["a", "a/", "/a", "A/b", "a/b/c", "a/.."]),
        (
            Format::Identity,
            &["3f2a9c1e7b4d4e1a"],
            &["3F2A9C1E7B4D4E1A", "3f2a9c1e", "3f2a9c1e7b4d4e1g"],
        ),
        (
            Format::PodField,
            &["metadata.name", "status.podIPs", "metadata.labels['a']"],
            &["", "metadata", "metadata.nmae", "spec.containers"],
        ),
        (Format::Path, &["/a/b"], &["a", "/a/../b"]),
        (
            Format::Folder,
            &[".", "html", ".ocdata", "old/data-1"],
            &["", "/a", "a/", "..", "a/../b", "./a", "-a", "a b", "a//b"],
        ),
        (Format::Pointer, &["/spec/ports/0"], &["spec.ports", ""]),
    ];
    for (format, good, bad) in table {
        for text in good {
            assert!(format.accepts(text), "{} should accept {text:?}", format.name());
        }
        for text in bad {
            assert!(!format.accepts(text), "{} should refuse {text:?}", format.name());
        }
    }
}
