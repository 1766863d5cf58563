//! The checked plugin graph: what a configuration means after all defaulting rules.

use std::sync::Arc;

use indexmap::IndexMap;

use crate::config::build::{Builder, wrong_extension};
use crate::config::{ConfigError, EndpointPickerConfig, ProfileSpec, WeightedReference};
use crate::datalayer::{MetricsExtractor, MetricsSource};
use crate::discovery::file::FileDiscovery;
use crate::metrics::Metrics;
use crate::plugin::{Extension, Parser, Plugin, PrefixProducer, ProfileHandler};
use crate::plugins::detector::utilization_detector::UtilizationDetector;
use crate::scheduling::{Profile, Stage};

/// Parsers registered when the configuration names none. The llm-d router has an Anthropic parser among them;
/// here such requests fall to the last one.
const DEFAULT_PARSERS: [&str; 3] = ["openai-parser", "vllmhttp-parser", "passthrough-parser"];

/// Everything a director needs.
#[derive(Debug)]
pub struct Graph {
    /// Decides which profiles run.
    pub handler: Stage<dyn ProfileHandler>,
    /// By name.
    pub profiles: IndexMap<Arc<str>, Profile>,
    /// By slot.
    pub producers: Vec<Stage<dyn PrefixProducer>>,
    /// In order of registration.
    pub parsers: Vec<Arc<dyn Parser>>,
    /// Where endpoints come from, when the file says so.
    pub discovery: Option<FileDiscovery>,
    /// How engine metrics are scraped; none when the file turned it off.
    pub scraping: Option<(MetricsSource, Arc<MetricsExtractor>)>,
    /// Tells when requests of negative priority are dropped.
    pub detector: UtilizationDetector,
    /// Whether adapters are among what is scraped.
    pub reads_adapters: bool,
}

impl Graph {
    /// Builds the plugins of `config` and checks that they fit together.
    ///
    /// # Errors
    /// [`ConfigError`] for the first thing that is wrong.
    pub fn load(config: &EndpointPickerConfig, metrics: &Arc<Metrics>) -> Result<Self, ConfigError> {
        refuse_unsupported(config)?;
        let mut builder = Builder::new(&config.plugins, Arc::clone(metrics))?;
        let plugins = builder.build_all()?;
        let profiles = profiles(config, &plugins, &mut builder, metrics)?;
        let handler = handler(&plugins, &profiles, &mut builder, metrics)?;
        let detector = detector(config, &mut builder)?;
        let parsers = parsers(config, &mut builder)?;
        let scraping = scraping(config, &mut builder)?;
        let discovery = discovery(config, &mut builder)?;
        let producers = builder
            .prefix_producers()
            .into_iter()
            .map(|(plugin, producer)| stage(&plugin, producer, "DataProducer", metrics))
            .collect();
        let reads_adapters = builder.reads_adapters();
        Ok(Self { handler, profiles, producers, parsers, discovery, scraping, detector, reads_adapters })
    }
}

fn refuse_unsupported(config: &EndpointPickerConfig) -> Result<(), ConfigError> {
    for gate in &config.feature_gates {
        let (name, enabled) = gate.split_once('=').unwrap_or((gate, "true"));
        match (name, enabled) {
            ("flowControl", "false") | ("haPopulateNonLeaderDatastore", "true" | "false") => {}
            ("flowControl", "true") => {
                return Err(ConfigError::Unsupported {
                    field: "feature gate flowControl".to_owned(),
                    advice: "remove it; requests are then scheduled as they come",
                });
            }
            _ => {
                return Err(ConfigError::Unsupported {
                    field: format!("feature gate {gate:?}"),
                    advice: "use flowControl or haPopulateNonLeaderDatastore with =true or =false",
                });
            }
        }
    }
    let data_layer = &config.data_layer;
    if data_layer.peer_discovery.is_some() || data_layer.cross_replica_syncer_plugin_ref.is_some() {
        return Err(ConfigError::Unsupported {
            field: "dataLayer.peerDiscovery / crossReplicaSyncerPluginRef".to_owned(),
            advice: "remove it; each replica then works with its own state",
        });
    }
    Ok(())
}

fn stage<T: ?Sized>(plugin: &Plugin, extension: Arc<T>, point: &str, metrics: &Metrics) -> Stage<T> {
    Stage {
        name: Arc::clone(&plugin.name),
        type_name: plugin.type_name,
        plugin: extension,
        duration: metrics.plugin_duration(point, plugin.type_name, &plugin.name),
    }
}

fn profiles(
    config: &EndpointPickerConfig,
    plugins: &[Plugin],
    builder: &mut Builder,
    metrics: &Metrics,
) -> Result<IndexMap<Arc<str>, Profile>, ConfigError> {
    let default_profile = [ProfileSpec { name: "default".to_owned(), plugins: of_scheduling(plugins) }];
    let specs: &[ProfileSpec] =
        if config.scheduling_profiles.is_empty() { &default_profile } else { &config.scheduling_profiles };
    let mut profiles = IndexMap::new();
    for spec in specs {
        let profile = profile(spec, plugins, builder, metrics)?;
        if profiles.insert(Arc::from(spec.name.as_str()), profile).is_some() {
            return Err(ConfigError::DuplicateName { kind: "scheduling profiles", name: spec.name.clone() });
        }
    }
    Ok(profiles)
}

/// Every filter, scorer and picker there is.
fn of_scheduling(plugins: &[Plugin]) -> Vec<WeightedReference> {
    plugins
        .iter()
        .filter(|it| {
            matches!(it.extension, Extension::Filter(_) | Extension::Scorer(_) | Extension::Picker(_))
        })
        .map(|it| WeightedReference { plugin_ref: it.name.as_ref().to_owned(), weight: None })
        .collect()
}

fn profile(
    spec: &ProfileSpec,
    plugins: &[Plugin],
    builder: &mut Builder,
    metrics: &Metrics,
) -> Result<Profile, ConfigError> {
    let problem = |problem: String| ConfigError::Profile { profile: spec.name.clone(), problem };
    let from = format!("scheduling profile {:?}", spec.name);
    let (mut filters, mut scorers, mut picker) = (Vec::new(), Vec::new(), None);
    for WeightedReference { plugin_ref, weight } in &spec.plugins {
        let plugin = builder.plugin(&from, plugin_ref)?;
        match &plugin.extension {
            Extension::Filter(filter) => filters.push(stage(&plugin, Arc::clone(filter), "Filter", metrics)),
            Extension::Scorer(scorer) => {
                let weight = weight.unwrap_or(1.0);
                if !weight.is_finite() {
                    return Err(problem(format!("the weight of {plugin_ref:?} must be a finite number")));
                }
                scorers.push((stage(&plugin, Arc::clone(scorer), "Scorer", metrics), weight));
            }
            Extension::Picker(it) => {
                if let Some(Stage { name, .. }) =
                    picker.replace(stage(&plugin, Arc::clone(it), "Picker", metrics))
                {
                    return Err(problem(format!(
                        "it has two pickers, {name:?} and {plugin_ref:?}: keep one"
                    )));
                }
            }
            _ => return Err(wrong_extension(from, &plugin, "filter, scorer or picker")),
        }
    }
    let picker = match picker {
        Some(picker) => picker,
        None => {
            let configured = plugins.iter().find(|it| matches!(it.extension, Extension::Picker(_)));
            let plugin = match configured {
                Some(plugin) => plugin.clone(),
                None => builder.of_type("max-score-picker")?,
            };
            let Extension::Picker(picker) = &plugin.extension else {
                return Err(wrong_extension(from, &plugin, "picker"));
            };
            stage(&plugin, Arc::clone(picker), "Picker", metrics)
        }
    };
    Ok(Profile { name: spec.name.as_str().into(), filters, scorers, picker })
}

fn handler(
    plugins: &[Plugin],
    profiles: &IndexMap<Arc<str>, Profile>,
    builder: &mut Builder,
    metrics: &Metrics,
) -> Result<Stage<dyn ProfileHandler>, ConfigError> {
    let handlers: Vec<&Plugin> =
        plugins.iter().filter(|it| matches!(it.extension, Extension::ProfileHandler(_))).collect();
    let plugin = match handlers[..] {
        [handler] => handler.clone(),
        [] if profiles.len() == 1 => builder.of_type("single-profile-handler")?,
        [] => {
            return Err(ConfigError::Handler(
                "several scheduling profiles need a profile handler, such as disagg-profile-handler"
                    .to_owned(),
            ));
        }
        [first, second, ..] => {
            return Err(ConfigError::Handler(format!(
                "there are two profile handlers, {:?} and {:?}: keep one",
                first.name, second.name
            )));
        }
    };
    let Extension::ProfileHandler(handler) = &plugin.extension else {
        return Err(wrong_extension("the scheduler".to_owned(), &plugin, "profile handler"));
    };
    let names: Vec<&str> = profiles.keys().map(AsRef::as_ref).collect();
    handler
        .check_profiles(&names)
        .map_err(|problem| ConfigError::Handler(format!("profile handler {:?}: {problem}", plugin.name)))?;
    Ok(stage(&plugin, Arc::clone(handler), "ProfilePicker", metrics))
}

fn parsers(
    config: &EndpointPickerConfig,
    builder: &mut Builder,
) -> Result<Vec<Arc<dyn Parser>>, ConfigError> {
    let named: Vec<&str> = config
        .request_handler
        .parsers
        .iter()
        .chain(&config.parser)
        .filter_map(|it| it.plugin_ref.as_deref())
        .collect();
    let plugins = if named.is_empty() {
        DEFAULT_PARSERS.iter().map(|it| builder.of_type(it)).collect::<Result<Vec<_>, _>>()?
    } else {
        named
            .iter()
            .map(|name| builder.plugin("requestHandler.parsers", name))
            .collect::<Result<Vec<_>, _>>()?
    };
    let mut parsers: Vec<Arc<dyn Parser>> = Vec::new();
    for plugin in plugins {
        let Extension::Parser(parser) = &plugin.extension else {
            return Err(wrong_extension("requestHandler.parsers".to_owned(), &plugin, "parser"));
        };
        parsers.push(Arc::clone(parser));
        // A parser without paths takes what no other claims, so what follows it would never be asked.
        if parser.suffixes().is_empty() {
            break;
        }
    }
    Ok(parsers)
}

type Scraping = (MetricsSource, Arc<MetricsExtractor>);

fn scraping(config: &EndpointPickerConfig, builder: &mut Builder) -> Result<Option<Scraping>, ConfigError> {
    const FROM: &str = "dataLayer.sources";
    let (source, extractor) = match &config.data_layer.sources[..] {
        [] if config.data_layer.inject_defaults == Some(false) => return Ok(None),
        [] => (builder.of_type("metrics-data-source")?, builder.of_type("core-metrics-extractor")?),
        [spec] => match &spec.extractors[..] {
            [reference] => (
                builder.plugin(FROM, &spec.plugin_ref)?,
                builder.plugin(FROM, reference.plugin_ref.as_deref().unwrap_or_default())?,
            ),
            _ => {
                return Err(ConfigError::Unsupported {
                    field: format!("{FROM} with {} extractors", spec.extractors.len()),
                    advice: "name one core-metrics-extractor",
                });
            }
        },
        sources => {
            return Err(ConfigError::Unsupported {
                field: format!("{FROM} with {} entries", sources.len()),
                advice: "name one metrics-data-source",
            });
        }
    };
    match (&source.extension, &extractor.extension) {
        (Extension::MetricsSource(source), Extension::MetricsExtractor(extractor)) => {
            Ok(Some((source.clone(), Arc::clone(extractor))))
        }
        (Extension::MetricsSource(_), _) => {
            Err(wrong_extension(FROM.to_owned(), &extractor, "metrics extractor"))
        }
        _ => Err(wrong_extension(FROM.to_owned(), &source, "metrics source")),
    }
}

fn detector(
    config: &EndpointPickerConfig,
    builder: &mut Builder,
) -> Result<UtilizationDetector, ConfigError> {
    const FROM: &str = "saturationDetector";
    let plugin = match config.saturation_detector.as_ref().and_then(|it| it.plugin_ref.as_deref()) {
        Some(name) => builder.plugin(FROM, name)?,
        None => builder.of_type("utilization-detector")?,
    };
    match plugin.extension {
        Extension::SaturationDetector(detector) => Ok(detector),
        _ => Err(wrong_extension(FROM.to_owned(), &plugin, "saturation detector")),
    }
}

fn discovery(
    config: &EndpointPickerConfig,
    builder: &mut Builder,
) -> Result<Option<FileDiscovery>, ConfigError> {
    const FROM: &str = "dataLayer.discovery";
    let Some(name) = config.data_layer.discovery.plugin() else { return Ok(None) };
    let plugin = builder.plugin(FROM, name)?;
    match plugin.extension {
        Extension::Discovery(discovery) => Ok(Some(discovery)),
        _ => Err(wrong_extension(FROM.to_owned(), &plugin, "endpoint discovery")),
    }
}
