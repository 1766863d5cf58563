//! Prometheus registry helpers: text rendering and the standard `process_*` series.

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Counter, Encoder, Gauge, Opts, Registry, TextEncoder};

/// Content type of [`render`]'s text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All series of `registry` in Prometheus text format 0.0.4.
#[must_use]
pub fn render(registry: &Registry) -> String {
    let mut text = Vec::new();
    if let Err(error) = TextEncoder::new().encode(&registry.gather(), &mut text) {
        tracing::error!(%error, "cannot encode metrics");
    }
    String::from_utf8(text).unwrap_or_default()
}

/// Registers `collector` and returns it, so that a metric is declared and registered in one expression.
///
/// # Panics
/// When two metrics of one process share a name: a programming error found at the first start.
#[must_use]
pub fn register<C: Collector + Clone + 'static>(registry: &Registry, collector: prometheus::Result<C>) -> C {
    let collector = collector.expect("metric names and labels are constants that fit the format");
    registry.register(Box::new(collector.clone())).expect("each metric is registered once");
    collector
}

/// Adds resident memory, open file descriptors and processor time of this process.
pub fn register_process(registry: &Registry) {
    let gauge = |name: &str, help: &str| Gauge::with_opts(Opts::new(name, help));
    let cpu = Opts::new("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.");
    let (Ok(memory), Ok(fds), Ok(cpu)) = (
        gauge("process_resident_memory_bytes", "Resident memory size in bytes."),
        gauge("process_open_fds", "Number of open file descriptors."),
        Counter::with_opts(cpu),
    ) else {
        return;
    };
    if registry.register(Box::new(ProcessCollector { memory, fds, cpu })).is_err() {
        tracing::debug!("process metrics are registered already");
    }
}

#[derive(Debug)]
struct ProcessCollector {
    memory: Gauge,
    fds: Gauge,
    cpu: Counter,
}

impl Collector for ProcessCollector {
    fn desc(&self) -> Vec<&Desc> {
        [&self.memory, &self.fds].into_iter().flat_map(Collector::desc).chain(self.cpu.desc()).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        if let Some(bytes) = resident_bytes() {
            self.memory.set(bytes);
        }
        if let Some(n_fds) = open_fds() {
            self.fds.set(n_fds);
        }
        if let Some(seconds) = cpu_seconds() {
            self.cpu.inc_by((seconds - self.cpu.get()).max(0.0));
        }
        [&self.memory, &self.fds].into_iter().flat_map(Collector::collect).chain(self.cpu.collect()).collect()
    }
}

/// Second field of `/proc/self/statm`, in pages (proc(5)).
#[expect(clippy::cast_precision_loss, reason = "a gauge is a float; sizes stay far below 2^53")]
fn resident_bytes() -> Option<f64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some((pages * rustix::param::page_size() as u64) as f64)
}

#[expect(clippy::cast_precision_loss, reason = "a count of descriptors fits a float")]
fn open_fds() -> Option<f64> {
    // The directory handle of this very listing is one of the entries.
    Some((std::fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1)) as f64)
}

/// Fields 14 and 15 of `/proc/self/stat`, counted after the command in parentheses (proc(5)).
#[expect(clippy::cast_precision_loss, reason = "clock ticks of a process fit a float")]
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let after_command = stat.rsplit_once(')')?.1;
    let mut fields = after_command.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) as f64 / rustix::param::clock_ticks_per_second() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus::IntCounter;

    #[test]
    fn renders_registered_series_and_the_process() {
        let registry = Registry::new();
        let counter = register(&registry, IntCounter::new("vllm:prompt_tokens_total", "Prompt tokens."));
        counter.inc_by(3);
        register_process(&registry);
        let text = render(&registry);
        assert!(text.contains("vllm:prompt_tokens_total 3\n"), "{text}");
        assert!(text.contains("process_resident_memory_bytes "), "{text}");
        assert!(text.contains("# TYPE process_cpu_seconds_total counter\n"), "{text}");
    }
}
