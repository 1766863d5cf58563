//! `core-metrics-extractor`: which series of which engine mean what.
//!
//! An endpoint's engine is the value of its label `engineLabelKey`, or `defaultEngine`. An engine that serves
//! several data-parallel ranks exposes one series a rank: queues and blocks are summed and cache usage is
//! averaged, where the llm-d router takes the first series.

use std::collections::HashMap;
use std::sync::Arc;

use llmd_api::metric_names;
use serde::Deserialize;

use crate::config::ConfigError;
use crate::config::build::Build;
use crate::datalayer::scan::{MetricSpec, Sample, Scanner};
use crate::datastore::{Adapters, Endpoint, EngineMetrics};
use crate::plugin::Extension;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct Parameters {
    engine_label_key: String,
    default_engine: String,
    engine_configs: Vec<EngineConfig>,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            engine_label_key: "llm-d.ai/engine-type".to_owned(),
            default_engine: "vllm".to_owned(),
            engine_configs: Vec::new(),
        }
    }
}

/// Where older deployments name the engine.
const LEGACY_LABEL_KEY: &str = "inference.networking.k8s.io/engine-type";

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct EngineConfig {
    name: String,
    queued_requests_spec: String,
    running_requests_spec: String,
    #[serde(rename = "kvUsageSpec")]
    kv_usage_spec: String,
    #[serde(rename = "loraSpec")]
    lora_spec: String,
    cache_info_spec: String,
}

/// What is built in: name, waiting, running, KV usage, cache geometry, adapters.
const BUILT_IN: [[&str; 6]; 4] = [
    [
        "vllm",
        metric_names::NUM_REQUESTS_WAITING,
        metric_names::NUM_REQUESTS_RUNNING,
        metric_names::KV_CACHE_USAGE_PERC,
        metric_names::CACHE_CONFIG_INFO,
        "vllm:lora_requests_info",
    ],
    [
        "sglang",
        "sglang:num_queue_reqs",
        "sglang:num_running_reqs",
        "sglang:token_usage",
        "sglang:cache_config_info",
        "",
    ],
    [
        "trtllm-serve",
        "trtllm_num_requests_waiting",
        "trtllm_num_requests_running",
        "trtllm_kv_cache_utilization",
        "",
        "",
    ],
    [
        "triton-tensorrt-llm",
        "nv_trt_llm_request_metrics{request_type=waiting}",
        "nv_trt_llm_request_metrics{request_type=scheduled}",
        "nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type=fraction}",
        "",
        "",
    ],
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Waiting,
    Running,
    KvUsage,
    CacheInfo,
    Adapters,
}

/// The series of one engine type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineSpecs {
    specs: Vec<MetricSpec>,
    meanings: Vec<Meaning>,
}

impl EngineSpecs {
    fn parse([waiting, running, kv_usage, cache_info, adapters]: [&str; 5]) -> Result<Self, String> {
        let (mut specs, mut meanings) = (Vec::new(), Vec::new());
        for (text, meaning) in [
            (waiting, Meaning::Waiting),
            (running, Meaning::Running),
            (kv_usage, Meaning::KvUsage),
            (cache_info, Meaning::CacheInfo),
            (adapters, Meaning::Adapters),
        ] {
            if let Some(spec) = MetricSpec::parse(text)? {
                specs.push(spec);
                meanings.push(meaning);
            }
        }
        Ok(Self { specs, meanings })
    }

    /// The same without the series about adapters, which many pages lack and whose search reads them to their end.
    fn without_adapters(&self) -> Self {
        let is_kept = |it: &&Meaning| **it != Meaning::Adapters;
        let n = self.meanings.iter().filter(is_kept).count();
        Self { specs: self.specs[..n].to_vec(), meanings: self.meanings[..n].to_vec() }
    }

    /// Starts to read one page.
    #[must_use]
    pub fn reader(&self) -> PageReader<'_> {
        PageReader { scanner: Scanner::new(&self.specs), sums: Sums::default(), meanings: &self.meanings }
    }
}

/// Reads one page of metrics in chunks.
#[derive(Debug)]
pub struct PageReader<'s> {
    scanner: Scanner<'s>,
    meanings: &'s [Meaning],
    sums: Sums,
}

#[derive(Debug, Default)]
struct Sums {
    waiting: f64,
    running: f64,
    kv_usage: f64,
    n_kv_usage: u32,
    block_size: u32,
    n_blocks: u32,
    /// When they were so, in seconds since 1970, and the adapters.
    adapters: Option<(f64, Adapters)>,
}

/// What a page says.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// On top of what was known before.
    pub metrics: EngineMetrics,
    /// `None` when the page has none.
    pub adapters: Option<Adapters>,
    /// Whether a gauge is missing.
    pub lacks_gauge: bool,
}

impl PageReader<'_> {
    /// The next chunk of the page.
    pub fn feed(&mut self, chunk: &[u8]) {
        let Self { scanner, meanings, sums } = self;
        scanner.feed(chunk, &mut |number, sample| sums.add(meanings[number], sample));
    }

    /// The page is over: its metrics, on top of `previous` for series it lacks.
    #[must_use]
    pub fn finish(mut self, previous: EngineMetrics) -> Page {
        let Self { scanner, meanings, sums } = &mut self;
        scanner.finish(&mut |number, sample| sums.add(meanings[number], sample));
        let mut metrics = previous;
        let mut lacks_gauge = false;
        for (meaning, &seen) in meanings.iter().zip(scanner.seen()) {
            match (meaning, seen) {
                (Meaning::CacheInfo | Meaning::Adapters, false) | (Meaning::Adapters, true) => {}
                (_, false) => lacks_gauge = true,
                (Meaning::Waiting, true) => metrics.waiting_requests = to_count(sums.waiting),
                (Meaning::Running, true) => metrics.running_requests = to_count(sums.running),
                (Meaning::KvUsage, true) => {
                    metrics.kv_cache_usage = sums.kv_usage / f64::from(sums.n_kv_usage);
                }
                (Meaning::CacheInfo, true) => {
                    metrics.block_size = sums.block_size;
                    metrics.n_blocks = sums.n_blocks;
                }
            }
        }
        Page { metrics, adapters: sums.adapters.take().map(|(_, it)| it), lacks_gauge }
    }
}

impl Sums {
    fn add(&mut self, meaning: Meaning, sample: Sample<'_>) {
        match meaning {
            Meaning::Waiting => self.waiting += sample.value,
            Meaning::Running => self.running += sample.value,
            Meaning::KvUsage => {
                self.kv_usage += sample.value;
                self.n_kv_usage += 1;
            }
            Meaning::CacheInfo => {
                // vLLM's label names, then SGLang's.
                let number =
                    |names: [&str; 2]| names.iter().find_map(|it| sample.label(it)?.parse::<u32>().ok());
                self.block_size = number(["block_size", "page_size"]).unwrap_or(self.block_size);
                self.n_blocks =
                    self.n_blocks.saturating_add(number(["num_gpu_blocks", "num_pages"]).unwrap_or(0));
            }
            // The engine leaves a series behind for each set of adapters it ever had; the newest is the one that counts.
            Meaning::Adapters if self.adapters.as_ref().is_none_or(|(at, _)| *at <= sample.value) => {
                self.adapters = Some((sample.value, adapters(sample)));
            }
            Meaning::Adapters => {}
        }
    }
}

fn adapters(sample: Sample<'_>) -> Adapters {
    let list = |name| sample.label(name).unwrap_or_default();
    let max = list("max_lora").parse().unwrap_or_default();
    Adapters::new(list("running_lora_adapters"), list("waiting_lora_adapters"), max)
}

/// A gauge that counts, as a number of requests. Engines may say NaN or a negative number for a moment.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, NaN gives 0"
)]
const fn to_count(value: f64) -> u32 {
    value as u32
}

/// See the module.
#[derive(Debug)]
pub struct MetricsExtractor {
    engine_label_key: String,
    default_engine: Engine,
    engines: HashMap<String, Engine>,
}

/// An engine's series, all of them and those without adapters.
#[derive(Debug, Clone)]
struct Engine {
    all: Arc<EngineSpecs>,
    without_adapters: Arc<EngineSpecs>,
}

impl Engine {
    fn new(specs: EngineSpecs) -> Self {
        Self { without_adapters: Arc::new(specs.without_adapters()), all: Arc::new(specs) }
    }
}

impl MetricsExtractor {
    /// The series of `endpoint`'s engine. An engine nobody described counts as the default one.
    #[must_use]
    pub fn specs(&self, endpoint: &Endpoint, with_adapters: bool) -> Arc<EngineSpecs> {
        let labels = &endpoint.spec.labels;
        let name = labels.get(&self.engine_label_key).or_else(|| labels.get(LEGACY_LABEL_KEY));
        let engine = name.and_then(|it| self.engines.get(it)).unwrap_or(&self.default_engine);
        Arc::clone(if with_adapters { &engine.all } else { &engine.without_adapters })
    }
}

pub(crate) fn build(build: &mut Build<'_, '_>) -> Result<Extension, ConfigError> {
    let Parameters { engine_label_key, default_engine, engine_configs } = build.parameters()?;
    let mut engines = HashMap::new();
    for [name, specs @ ..] in BUILT_IN {
        let specs = EngineSpecs::parse(specs).map_err(|problem| build.invalid("engineConfigs", &problem))?;
        engines.insert(name.to_owned(), Engine::new(specs));
    }
    for config in engine_configs {
        let EngineConfig {
            name,
            queued_requests_spec,
            running_requests_spec,
            kv_usage_spec,
            lora_spec,
            cache_info_spec,
        } = config;
        let problem = |problem: String| build.invalid("engineConfigs", &format!("of {name:?}: {problem}"));
        let texts = [
            &*queued_requests_spec,
            &*running_requests_spec,
            &*kv_usage_spec,
            &*cache_info_spec,
            &*lora_spec,
        ];
        let specs = EngineSpecs::parse(texts).map_err(&problem)?;
        engines.insert(name, Engine::new(specs));
    }
    let Some(default_engine) = engines.get(&default_engine).cloned() else {
        let mut known: Vec<&str> = engines.keys().map(String::as_str).collect();
        known.sort_unstable();
        let problem = format!("{default_engine:?} is described nowhere; known: {}", known.join(", "));
        return Err(build.invalid("defaultEngine", &problem));
    };
    Ok(Extension::MetricsExtractor(Arc::new(MetricsExtractor { engine_label_key, default_engine, engines })))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(engine: usize, page: &str, previous: EngineMetrics) -> Page {
        let [_, specs @ ..] = BUILT_IN[engine];
        let specs = EngineSpecs::parse(specs).unwrap();
        let mut reader = specs.reader();
        reader.feed(page.as_bytes());
        reader.finish(previous)
    }

    #[test]
    fn sums_ranks_and_averages_usage() {
        let page = "vllm:num_requests_running{engine=\"0\"} 1\nvllm:num_requests_running{engine=\"1\"} 2\n\
                    vllm:num_requests_waiting{engine=\"0\"} 5\n\
                    vllm:kv_cache_usage_perc{engine=\"0\"} 0.2\nvllm:kv_cache_usage_perc{engine=\"1\"} 0.4\n\
                    vllm:cache_config_info{block_size=\"16\",engine=\"0\",num_gpu_blocks=\"100\"} 1\n\
                    vllm:cache_config_info{block_size=\"16\",engine=\"1\",num_gpu_blocks=\"100\"} 1";
        let Page { metrics, lacks_gauge, .. } = read(0, page, EngineMetrics::default());
        assert!(!lacks_gauge);
        assert_eq!((metrics.waiting_requests, metrics.running_requests), (5, 3));
        assert!((metrics.kv_cache_usage - 0.3).abs() < 1e-12);
        assert_eq!((metrics.block_size, metrics.n_blocks), (16, 200));
    }

    #[test]
    fn keeps_what_a_page_lacks() {
        let previous = EngineMetrics { kv_cache_usage: 0.7, block_size: 32, ..EngineMetrics::default() };
        let Page { metrics, lacks_gauge, .. } =
            read(0, "vllm:num_requests_waiting 2\nvllm:num_requests_running NaN\n", previous);
        assert!(lacks_gauge);
        let expected = EngineMetrics { waiting_requests: 2, ..previous };
        assert_eq!(metrics, expected);
    }

    #[test]
    fn reads_sglang() {
        let page = "sglang:num_queue_reqs 1\nsglang:num_running_reqs 2\nsglang:token_usage 0.5\n\
                    sglang:cache_config_info{page_size=\"64\",num_pages=\"9\"} 1\n";
        let metrics = EngineMetrics {
            waiting_requests: 1,
            running_requests: 2,
            kv_cache_usage: 0.5,
            block_size: 64,
            n_blocks: 9,
        };
        let expected = Page { metrics, adapters: None, lacks_gauge: false };
        assert_eq!(read(1, page, EngineMetrics::default()), expected);
    }

    #[test]
    fn of_several_sets_of_adapters_the_newest_counts() {
        let series = |running: &str, at: u32| {
            format!(
                "vllm:lora_requests_info{{max_lora=\"2\",running_lora_adapters=\"{running}\",waiting_lora_adapters=\"w\"}} {at}\n"
            )
        };
        let page = [series("a", 5), series("a,b", 7), series("b", 6)].concat();
        assert_eq!(read(0, &page, EngineMetrics::default()).adapters, Some(Adapters::new("a,b", "w", 2)));
    }
}
