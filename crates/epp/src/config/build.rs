//! Builds plugin instances on demand.
//!
//! A plugin that uses another asks for it by name while it is built, which builds the other one first: that is
//! the topological order, and a plugin that is asked for while it is being built closes a circle.

use std::sync::Arc;

use indexmap::IndexMap;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::config::{ConfigError, PluginSpec};
use crate::metrics::Metrics;
use crate::plugin::{Decider, Extension, Plugin, PluginType, PrefixProducer};
use crate::plugins;
use crate::request::PrefixSlot;

/// The type that is made when a consumer of prefixes finds no producer.
const DEFAULT_PREFIX_PRODUCER: &str = "approx-prefix-cache-producer";

/// Types that are there under their own name without being configured.
const INJECTED: [&str; 9] = [
    "core-metrics-extractor",
    "fcfs-ordering-policy",
    "global-strict-fairness-policy",
    "metrics-data-source",
    "openai-parser",
    "passthrough-parser",
    "static-usage-limit-policy",
    "utilization-detector",
    "vllmhttp-parser",
];

/// All plugins of a configuration, built so far or still to build.
#[derive(Debug)]
pub struct Builder {
    specs: IndexMap<String, (&'static PluginType, PluginSpec)>,
    built: IndexMap<String, Plugin>,
    being_built: Vec<String>,
    n_prefix_slots: usize,
    reads_adapters: bool,
    metrics: Arc<Metrics>,
}

impl Builder {
    /// Checks types and names of `specs`; builds nothing yet.
    ///
    /// # Errors
    /// [`ConfigError::UnknownTypes`] with all unknown types, or [`ConfigError::DuplicateName`].
    pub fn new(specs: &[PluginSpec], metrics: Arc<Metrics>) -> Result<Self, ConfigError> {
        let mut known = IndexMap::new();
        let mut unknown = Vec::new();
        for spec in specs {
            let Some(plugin_type) = plugins::find(&spec.type_name) else {
                if !unknown.contains(&spec.type_name) {
                    unknown.push(spec.type_name.clone());
                }
                continue;
            };
            if known.insert(spec.name().to_owned(), (plugin_type, spec.clone())).is_some() {
                return Err(ConfigError::DuplicateName { kind: "plugins", name: spec.name().to_owned() });
            }
        }
        if !unknown.is_empty() {
            return Err(ConfigError::UnknownTypes { types: unknown, known: plugins::known_names() });
        }
        Ok(Self {
            specs: known,
            built: IndexMap::new(),
            being_built: Vec::new(),
            n_prefix_slots: 0,
            reads_adapters: false,
            metrics,
        })
    }

    /// Names of all plugins, in order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.specs.keys().cloned().collect()
    }

    /// The plugin called `name`, which `from` refers to.
    ///
    /// # Errors
    /// When there is none or it cannot be built.
    pub fn plugin(&mut self, from: &str, name: &str) -> Result<Plugin, ConfigError> {
        if let Some(plugin) = self.built.get(name) {
            return Ok(plugin.clone());
        }
        let injected = INJECTED.iter().find(|it| **it == name).and_then(|it| plugins::find(it));
        let configured = self.specs.get(name).cloned();
        let Some((plugin_type, spec)) = configured.or_else(|| Some((injected?, PluginSpec::of_type(name))))
        else {
            return Err(ConfigError::NoSuchPlugin {
                from: from.to_owned(),
                name: name.to_owned(),
                configured: self.names(),
            });
        };
        if self.being_built.iter().any(|it| it == name) {
            let circle = self.being_built.iter().cloned().chain([name.to_owned()]).collect();
            return Err(ConfigError::Circle(circle));
        }
        self.being_built.push(name.to_owned());
        let extension =
            (plugin_type.build)(&mut Build { name, plugin_type, parameters: spec.parameters, builder: self });
        self.being_built.pop();
        let plugin = Plugin { name: name.into(), type_name: plugin_type.name, extension: extension? };
        self.built.insert(name.to_owned(), plugin.clone());
        Ok(plugin)
    }

    /// The first plugin of a type, made with defaults when there is none.
    ///
    /// # Errors
    /// When it cannot be built.
    pub fn of_type(&mut self, type_name: &'static str) -> Result<Plugin, ConfigError> {
        let configured = self.specs.iter().find(|(_, (plugin_type, _))| plugin_type.name == type_name);
        let name = configured.map_or_else(|| type_name.to_owned(), |(name, _)| name.clone());
        if let Some(plugin_type) = plugins::find(type_name) {
            self.specs.entry(name.clone()).or_insert_with(|| (plugin_type, PluginSpec::of_type(type_name)));
        }
        self.plugin("the default configuration", &name)
    }

    /// Builds what nobody asked for yet, in order, and returns every plugin.
    ///
    /// # Errors
    /// When one cannot be built.
    pub fn build_all(&mut self) -> Result<Vec<Plugin>, ConfigError> {
        self.names().iter().map(|name| self.plugin("plugins", name)).collect()
    }

    /// Whether a plugin built so far reads the adapters of endpoints.
    #[must_use]
    pub const fn reads_adapters(&self) -> bool {
        self.reads_adapters
    }

    /// Prefix producers by slot.
    #[must_use]
    pub fn prefix_producers(&self) -> Vec<(Plugin, Arc<dyn PrefixProducer>)> {
        let mut producers: Vec<_> = self
            .built
            .values()
            .filter_map(|plugin| match &plugin.extension {
                Extension::PrefixProducer(slot, producer) => {
                    Some((slot.0, plugin.clone(), Arc::clone(producer)))
                }
                _ => None,
            })
            .collect();
        producers.sort_by_key(|(slot, ..)| *slot);
        producers.into_iter().map(|(_, plugin, producer)| (plugin, producer)).collect()
    }
}

/// What a factory sees of the plugin it builds.
#[derive(Debug)]
pub struct Build<'b, 's> {
    name: &'s str,
    plugin_type: &'static PluginType,
    parameters: Value,
    builder: &'b mut Builder,
}

impl Build<'_, '_> {
    /// Name of the plugin.
    #[must_use]
    pub fn name(&self) -> Arc<str> {
        self.name.into()
    }

    /// Its type.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        self.plugin_type.name
    }

    /// The picker's metrics.
    #[must_use]
    pub fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.builder.metrics)
    }

    /// The parameters as `P`, which denies unknown fields. No parameters at all are the same as `{}`.
    ///
    /// # Errors
    /// [`ConfigError::Parameters`], which names the field.
    pub fn parameters<P: DeserializeOwned>(&mut self) -> Result<P, ConfigError> {
        let parameters = match self.parameters.take() {
            Value::Null => Value::Object(serde_json::Map::new()),
            parameters => parameters,
        };
        serde_json::from_value(parameters).map_err(|source| ConfigError::Parameters {
            plugin: self.name.to_owned(),
            type_name: self.type_name(),
            source,
        })
    }

    /// Checks that there are no parameters.
    ///
    /// # Errors
    /// [`ConfigError::Parameters`], which names the first one.
    pub fn no_parameters(&mut self) -> Result<(), ConfigError> {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct None {}
        self.parameters::<None>().map(|None {}| ())
    }

    /// An error about one parameter.
    #[must_use]
    pub fn invalid(&self, field: &'static str, problem: &str) -> ConfigError {
        ConfigError::Invalid {
            plugin: self.name.to_owned(),
            type_name: self.type_name(),
            field,
            problem: problem.to_owned(),
        }
    }

    /// The decider that parameter `field` names.
    ///
    /// # Errors
    /// When there is no such decider.
    pub fn decider(&mut self, field: &str, name: &str) -> Result<Arc<dyn Decider>, ConfigError> {
        let from = format!("plugin {:?} ({field})", self.name);
        let plugin = self.builder.plugin(&from, name)?;
        match plugin.extension {
            Extension::Decider(decider) => Ok(decider),
            _ => Err(wrong_extension(from, &plugin, "decider")),
        }
    }

    /// The prefix producer called `name`, or the default one.
    ///
    /// # Errors
    /// When there is no such producer.
    pub fn prefix_producer(&mut self, name: Option<&str>) -> Result<PrefixSlot, ConfigError> {
        let from = format!("plugin {:?} (prefixMatchInfoProducerName)", self.name);
        let plugin = match name.filter(|it| !it.is_empty() && *it != DEFAULT_PREFIX_PRODUCER) {
            Some(name) => self.builder.plugin(&from, name)?,
            None => self.builder.of_type(DEFAULT_PREFIX_PRODUCER)?,
        };
        match plugin.extension {
            Extension::PrefixProducer(slot, _) => Ok(slot),
            _ => Err(wrong_extension(from, &plugin, "prefix producer")),
        }
    }

    /// The plugin reads the adapters of endpoints, which are scraped only if somebody does.
    pub const fn read_adapters(&mut self) {
        self.builder.reads_adapters = true;
    }

    /// A slot for the prefix producer that is being built.
    pub fn new_prefix_slot(&mut self) -> PrefixSlot {
        self.builder.n_prefix_slots += 1;
        PrefixSlot(self.builder.n_prefix_slots - 1)
    }
}

/// A reference to a plugin that cannot do what is asked of it.
pub(super) fn wrong_extension(from: String, plugin: &Plugin, expected: &'static str) -> ConfigError {
    ConfigError::WrongExtension {
        from,
        name: plugin.name.as_ref().to_owned(),
        type_name: plugin.type_name,
        expected,
    }
}
