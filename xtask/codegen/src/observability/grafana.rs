//! Grafana's JSON around a dashboard's panels (schema version 39, Grafana 10 and later).

use serde_json::{Value, json};

/// Panels a row; Grafana's grid has 24 columns.
const COLUMNS: usize = 3;
const WIDTH: usize = 24 / COLUMNS;
const HEIGHT: usize = 8;

/// A dashboard.
pub(super) struct Dashboard {
    /// Of the file, and what its identity is derived from.
    pub name: &'static str,
    pub title: &'static str,
    /// The metric whose labels fill the variables.
    pub variables_of: &'static str,
    pub panels: Vec<Panel>,
}

/// A chart with its expressions.
pub(super) struct Panel {
    pub title: &'static str,
    pub unit: Unit,
    pub queries: Vec<Query>,
}

/// An expression of PromQL and how its series are called.
pub(super) struct Query {
    pub expression: String,
    pub legend: String,
}

/// What a panel's values are.
#[derive(Clone, Copy)]
pub(super) enum Unit {
    Count,
    Ratio,
    Seconds,
    PerSecond,
    BytesPerSecond,
}

impl Unit {
    /// Grafana's name.
    const fn id(self) -> &'static str {
        match self {
            Self::Count => "short",
            Self::Ratio => "percentunit",
            Self::Seconds => "s",
            Self::PerSecond => "ops",
            Self::BytesPerSecond => "Bps",
        }
    }
}

/// The dashboard as Grafana imports it.
pub(super) fn dashboard(dashboard: &Dashboard) -> Value {
    let panels: Vec<Value> =
        dashboard.panels.iter().enumerate().map(|(index, it)| panel(index, it)).collect();
    json!({
        "uid": dashboard.name,
        "title": dashboard.title,
        "tags": ["llmd"],
        "schemaVersion": 39,
        "editable": true,
        "refresh": "30s",
        "time": { "from": "now-1h", "to": "now" },
        "templating": { "list": [
            { "name": "DS_PROMETHEUS", "label": "Data source", "type": "datasource", "query": "prometheus" },
            variable("namespace", dashboard.variables_of),
            variable("model_name", dashboard.variables_of),
        ] },
        "panels": panels,
    })
}

/// A choice among a label's values. Everything is chosen at first, also series without the label.
fn variable(label: &str, metric: &str) -> Value {
    json!({
        "name": label, "type": "query", "datasource": datasource(), "refresh": 2,
        "query": { "query": format!("label_values({metric}, {label})"), "refId": label },
        "includeAll": true, "allValue": ".*", "multi": true,
        "current": { "text": "All", "value": "$__all" },
    })
}

fn panel(index: usize, panel: &Panel) -> Value {
    let targets: Vec<Value> =
        panel.queries.iter().zip('A'..).map(|(query, letter)| target(query, letter)).collect();
    let (x, y) = (index % COLUMNS * WIDTH, index / COLUMNS * HEIGHT);
    json!({
        "id": index + 1,
        "title": panel.title,
        "type": "timeseries",
        "datasource": datasource(),
        "gridPos": { "h": HEIGHT, "w": WIDTH, "x": x, "y": y },
        "fieldConfig": { "defaults": { "unit": panel.unit.id(), "min": 0 }, "overrides": [] },
        "targets": targets,
    })
}

fn target(query: &Query, letter: char) -> Value {
    json!({
        "refId": letter.to_string(),
        "datasource": datasource(),
        "expr": query.expression,
        "legendFormat": query.legend,
    })
}

fn datasource() -> Value {
    json!({ "type": "prometheus", "uid": "${DS_PROMETHEUS}" })
}
