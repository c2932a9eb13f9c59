//! Limits the number of requests per second, and writes the headers about it.
//!
//! The format of the headers is that of the vendor's SDK. The vendor does not document the numbers.

/// A token bucket for requests.
#[derive(Debug)]
pub(super) struct Bucket {
    /// Requests per second.
    rate: u32,
    left: f64,
    /// Time of the last request, in milliseconds.
    last: u64,
}

impl Bucket {
    pub(super) fn new(rate: u32) -> Self {
        Self { rate, left: f64::from(rate + burst(rate)), last: 0 }
    }

    /// Takes a token if there is one. Returns whether there was one, and the headers of the response.
    pub(super) fn take(&mut self, now: u64) -> (bool, Vec<(&'static str, String)>) {
        let full = f64::from(self.rate + burst(self.rate));
        // The milliseconds between two requests are few, so the conversion is exact.
        let passed = u32::try_from(now.saturating_sub(self.last)).unwrap_or(u32::MAX);
        self.left = (self.left + f64::from(passed) * f64::from(self.rate) / 1000.0).min(full);
        self.last = now;
        let accepted = self.left >= 1.0;
        if accepted {
            self.left -= 1.0;
        }
        let headers = vec![
            ("ratelimit-limit", format!("{};w=1;burst={}", self.rate, burst(self.rate))),
            ("ratelimit-remaining", format!("{:.0}", self.left.floor())),
            ("ratelimit-reset", "1".to_owned()),
        ];
        (accepted, headers)
    }
}

/// Size of a burst, beyond the requests of one second.
fn burst(rate: u32) -> u32 {
    rate * 2 / 5
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_brings_as_many_as_the_rate() {
        let mut bucket = Bucket::new(10);
        let taken = |bucket: &mut Bucket, now| (0..50).filter(|_| bucket.take(now).0).count();
        assert_eq!(taken(&mut bucket, 1_000), 14, "with the burst");
        assert_eq!(taken(&mut bucket, 1_500), 5);
        assert_eq!(taken(&mut bucket, 60_000), 14, "no more than the bucket holds");
        let (accepted, headers) = bucket.take(60_000);
        assert!(!accepted);
        assert_eq!(headers[0].1, "10;w=1;burst=4");
        assert_eq!(headers[1].1, "0");
    }
}
