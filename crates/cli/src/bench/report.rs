//! From samples to percentiles, a table and JSON. Pure.

use std::time::Duration;

use serde::Serialize;

use super::load::Samples;

/// Results of all endpoints.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    targets: Vec<Target>,
    /// The first endpoint minus the second, when there are two.
    added: Option<Added>,
}

/// Results of one endpoint.
#[derive(Debug, Serialize)]
pub(super) struct Target {
    url: String,
    requests: usize,
    errors: u32,
    ttft_seconds: Percentiles,
    latency_seconds: Percentiles,
    requests_per_second: f64,
    tokens_per_second: f64,
}

/// What one endpoint adds to another, percentile by percentile.
#[derive(Debug, Serialize)]
struct Added {
    ttft_seconds: Percentiles,
    latency_seconds: Percentiles,
}

/// Seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
struct Percentiles {
    p50: f64,
    p90: f64,
    p99: f64,
    mean: f64,
}

impl Target {
    /// `None` when no request succeeded.
    #[expect(clippy::cast_precision_loss, reason = "counts of requests and tokens stay far below 2^53")]
    pub(super) fn of(url: &str, samples: &Samples) -> Option<Self> {
        let seconds = samples.elapsed.as_secs_f64().max(f64::EPSILON);
        Some(Self {
            url: url.to_owned(),
            requests: samples.latency.len(),
            errors: samples.n_errors,
            ttft_seconds: Percentiles::of(&samples.ttft)?,
            latency_seconds: Percentiles::of(&samples.latency)?,
            requests_per_second: samples.latency.len() as f64 / seconds,
            tokens_per_second: samples.n_tokens as f64 / seconds,
        })
    }
}

impl Percentiles {
    #[expect(clippy::cast_precision_loss, reason = "a count of samples stays far below 2^53")]
    fn of(samples: &[Duration]) -> Option<Self> {
        let mut seconds: Vec<f64> = samples.iter().map(Duration::as_secs_f64).collect();
        seconds.sort_by(f64::total_cmp);
        // Nearest rank: the smallest sample that at least so many percent do not exceed.
        let percentile = |percent: usize| {
            let rank = (seconds.len() * percent).div_ceil(100);
            seconds.get(rank.saturating_sub(1)).copied()
        };
        Some(Self {
            p50: percentile(50)?,
            p90: percentile(90)?,
            p99: percentile(99)?,
            mean: seconds.iter().sum::<f64>() / seconds.len() as f64,
        })
    }

    fn minus(self, other: Self) -> Self {
        Self {
            p50: self.p50 - other.p50,
            p90: self.p90 - other.p90,
            p99: self.p99 - other.p99,
            mean: self.mean - other.mean,
        }
    }

    fn millis(self) -> [f64; 4] {
        [self.p50, self.p90, self.p99, self.mean].map(|it| it * 1e3)
    }
}

impl Report {
    pub(super) fn of(targets: Vec<Target>) -> Self {
        let added = match targets.as_slice() {
            [through, direct] => Some(Added {
                ttft_seconds: through.ttft_seconds.minus(direct.ttft_seconds),
                latency_seconds: through.latency_seconds.minus(direct.latency_seconds),
            }),
            _ => None,
        };
        Self { targets, added }
    }

    pub(super) fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("finite numbers and strings are always JSON")
    }

    pub(super) fn to_table(&self) -> String {
        let width = self.targets.iter().map(|it| it.url.len()).max().unwrap_or_default().max(8);
        let row = |label: &str, measure: &str, it: Percentiles, tail: String| {
            let [p50, p90, p99, mean] = it.millis();
            format!("{label:<width$}  {measure:<8} {p50:>9.2} {p90:>9.2} {p99:>9.2} {mean:>9.2}{tail}")
        };
        let mut lines =
            vec![format!("{:<width$}  {:<8} {:>9} {:>9} {:>9} {:>9}", "", "ms", "p50", "p90", "p99", "mean")];
        for it in &self.targets {
            let rate =
                format!("   {:.1} requests/s, {:.0} tokens/s", it.requests_per_second, it.tokens_per_second);
            let counts = format!("   {} requests, {} errors", it.requests, it.errors);
            lines.push(row(&it.url, "TTFT", it.ttft_seconds, counts));
            lines.push(row("", "latency", it.latency_seconds, rate));
        }
        if let Some(added) = &self.added {
            lines.push(row("added", "TTFT", added.ttft_seconds, String::new()));
            lines.push(row("", "latency", added.latency_seconds, String::new()));
        }
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(millis: impl Iterator<Item = u64>) -> Samples {
        let latency: Vec<_> = millis.map(Duration::from_millis).collect();
        let ttft = latency.iter().map(|it| *it / 2).collect();
        Samples { ttft, latency, n_tokens: 50, elapsed: Duration::from_secs(1), ..Samples::default() }
    }

    #[test]
    fn percentiles_are_samples_by_nearest_rank() {
        let of = |millis: &[u64]| {
            let durations: Vec<_> = millis.iter().map(|&it| Duration::from_millis(it)).collect();
            Percentiles::of(&durations).map(Percentiles::millis)
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[7]), Some([7.0; 4]));
        assert_eq!(of(&[4, 1, 3, 2]), Some([2.0, 4.0, 4.0, 2.5]));
        let hundred: Vec<u64> = (1..=100).collect();
        assert_eq!(of(&hundred).unwrap()[..3], [50.0, 90.0, 99.0]);
    }

    #[test]
    fn two_endpoints_show_what_the_first_adds() {
        let through = Target::of("http://g", &samples(11..=20)).unwrap();
        let direct = Target::of("http://d", &samples(1..=10)).unwrap();
        let table = Report::of(vec![through, direct]).to_table();
        let expected = "\
\u{20}         ms             p50       p90       p99      mean
http://g  TTFT          7.50      9.50     10.00      7.75   10 requests, 0 errors
\u{20}         latency      15.00     19.00     20.00     15.50   10.0 requests/s, 50 tokens/s
http://d  TTFT          2.50      4.50      5.00      2.75   10 requests, 0 errors
\u{20}         latency       5.00      9.00     10.00      5.50   10.0 requests/s, 50 tokens/s
added     TTFT          5.00      5.00      5.00      5.00
\u{20}         latency      10.00     10.00     10.00     10.00";
        assert_eq!(table, expected);
        assert!(Target::of("http://x", &Samples::default()).is_none());
    }
}
