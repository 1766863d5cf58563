//! Reading Prometheus text.

use anyhow::Result;

use crate::client::Client;

/// Values of all series of `name`; empty when it is not exported.
///
/// # Errors
/// When `/metrics` does not answer.
pub async fn series(base_url: &str, name: &str) -> Result<Vec<f64>> {
    let text = Client::new(base_url).get("/metrics").await?.text();
    Ok(text.lines().filter_map(|line| value(line, name, "")).collect())
}

/// Sum over all series of `name` whose label text contains `labels`; 0 without any.
///
/// # Errors
/// When `/metrics` does not answer.
pub async fn sum(base_url: &str, name: &str, labels: &str) -> Result<f64> {
    let text = Client::new(base_url).get("/metrics").await?.text();
    Ok(total(&text, name, labels))
}

/// As [`sum`], of a text that is there.
#[must_use]
pub fn total(text: &str, name: &str, labels: &str) -> f64 {
    text.lines().filter_map(|line| value(line, name, labels)).sum()
}

fn value(line: &str, name: &str, labels: &str) -> Option<f64> {
    let rest = line.strip_prefix(name)?;
    let (label_text, value) = match rest.strip_prefix('{') {
        Some(labelled) => labelled.rsplit_once("} ")?,
        None => ("", rest.strip_prefix(' ')?),
    };
    label_text.contains(labels).then(|| value.trim().parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_named_series_only() {
        assert_eq!(value("a_total{x=\"1\"} 3", "a_total", "x=\"1\""), Some(3.0));
        assert_eq!(value("a_total 4", "a_total", ""), Some(4.0));
        assert_eq!(value("a_total{x=\"1\"} 3", "a_total", "x=\"2\""), None);
        assert_eq!(value("a_total_more 4", "a_total", ""), None);
    }
}
