//! Services that are refused, each by one rule.

/// Name of the case, its spec, the field that is blamed, and a part of the advice.
pub(super) type Refusal = (&'static str, &'static str, &'static str, &'static str);

/// Every rule that forbids a service. The API server itself judges ranges and enumerations that the schema states.
pub(super) const REFUSALS: [Refusal; 70] = [
    ("base-nameless", "baseRefs: [{}]", "spec.baseRefs[0].name", "or remove the entry"),
    // The route.
    (
        "route-twice",
        "router: {route: {http: {refs: [{name: mine}], spec: {}}}}",
        "spec.router.route.http",
        "keep one of the two",
    ),
    (
        "own-route-default-gateway",
        "router: {gateway: {}, route: {http: {refs: [{name: mine}]}}}",
        "spec.router.route.http.refs",
        "remove spec.router.gateway, or give it refs",
    ),
    (
        "other-gateways",
        "router: {gateway: {refs: [{name: a, namespace: x}]}, route: {http: {spec: {parentRefs: [{name: b}]}}}}",
        "spec.router.route.http.spec",
        "keep one of the two",
    ),
    (
        "other-listener",
        "router: {gateway: {refs: [{name: a, namespace: x}]}, \
         route: {http: {spec: {parentRefs: [{name: a, namespace: x, sectionName: s}]}}}}",
        "spec.router.route.http.spec",
        "keep one of the two",
    ),
    ("group-alone", "router: {route: {group: canary}}", "spec.router.route.weight", "set weight"),
    ("weight-alone", "router: {route: {weight: 3}}", "spec.router.route.group", "name the group"),
    (
        "group-own-route",
        "router: {route: {group: canary, weight: 1, http: {refs: [{name: mine}]}}}",
        "spec.router.route.group",
        "remove spec.router.route.http.refs",
    ),
    (
        "group-ingress",
        "router: {ingress: {refs: [{name: i, namespace: x}]}, route: {group: canary, weight: 1}}",
        "spec.router.route.group",
        "remove spec.router.ingress",
    ),
    ("group-name", "router: {route: {group: -canary, weight: 1}}", "spec.router.route.group", "should match"),
    (
        "weight-high",
        "router: {route: {group: g, weight: 1000001}}",
        "spec.router.route.weight",
        "less than or equal to 1000000",
    ),
    (
        "weight-low",
        "router: {route: {group: g, weight: -1}}",
        "spec.router.route.weight",
        "greater than or equal to 0",
    ),
    // Workloads.
    ("worker-alone", "worker: {containers: []}", "spec.parallelism", "or remove worker"),
    (
        "worker-without-size",
        "{worker: {containers: []}, parallelism: {tensor: 2}}",
        "spec.worker",
        "give spec.parallelism.pipeline",
    ),
    (
        "prefill-worker-alone",
        "prefill: {worker: {containers: []}}",
        "spec.prefill.parallelism",
        "or remove worker",
    ),
    (
        "prefill-worker-without-size",
        "prefill: {worker: {containers: []}, parallelism: {tensor: 2}}",
        "spec.prefill.worker",
        "give spec.prefill.parallelism.pipeline",
    ),
    (
        "pipeline-and-data",
        "parallelism: {pipeline: 2, data: 2, dataLocal: 1}",
        "spec.parallelism.pipeline",
        "remove pipeline, or data and dataLocal",
    ),
    (
        "prefill-pipeline-and-data",
        "prefill: {parallelism: {pipeline: 2, data: 2, dataLocal: 1}}",
        "spec.prefill.parallelism.pipeline",
        "remove pipeline, or data and dataLocal",
    ),
    ("data-alone", "parallelism: {data: 4}", "spec.parallelism.dataLocal", "set dataLocal, or remove data"),
    (
        "data-local-alone",
        "parallelism: {dataLocal: 4}",
        "spec.parallelism.data",
        "set data, or remove dataLocal",
    ),
    ("tensor-zero", "parallelism: {tensor: 0}", "spec.parallelism.tensor", "greater than or equal to 1"),
    (
        "pipeline-zero",
        "parallelism: {pipeline: 0}",
        "spec.parallelism.pipeline",
        "greater than or equal to 1",
    ),
    (
        "data-zero",
        "parallelism: {data: 0, dataLocal: 1}",
        "spec.parallelism.data",
        "greater than or equal to 1",
    ),
    (
        "data-local-negative",
        "parallelism: {data: 1, dataLocal: -1}",
        "spec.parallelism.dataLocal",
        "greater than or equal to 1",
    ),
    (
        "rpc-port",
        "parallelism: {dataRPCPort: 65536}",
        "spec.parallelism.dataRPCPort",
        "less than or equal to 65535",
    ),
    ("replicas-negative", "replicas: -1", "spec.replicas", "greater than or equal to 0"),
    // The scheduler.
    (
        "scheduler-zero",
        "router: {scheduler: {replicas: 0}}",
        "spec.router.scheduler.replicas",
        "set it to 1 or more",
    ),
    (
        "scheduler-config-empty",
        "router: {scheduler: {config: {}}}",
        "spec.router.scheduler.config",
        "give inline",
    ),
    (
        "scheduler-config-twice",
        "router: {scheduler: {config: {inline: {kind: EndpointPickerConfig}, ref: {name: cm, key: epp}}}}",
        "spec.router.scheduler.config",
        "keep one of the two",
    ),
    (
        "scheduler-inline-empty",
        "router: {scheduler: {config: {inline: {}}}}",
        "spec.router.scheduler.config.inline",
        "give an EndpointPickerConfig",
    ),
    (
        "scheduler-ref-nameless",
        "router: {scheduler: {config: {ref: {name: '', key: epp}}}}",
        "spec.router.scheduler.config.ref.name",
        "name the ConfigMap",
    ),
    // Scaling.
    ("replicas-and-scaling", "{replicas: 1, scaling: {maxReplicas: 2, wva: {hpa: {}}}}", "spec", "replicas"),
    (
        "min-over-max",
        "scaling: {minReplicas: 3, maxReplicas: 2, wva: {hpa: {}}}",
        "spec.scaling",
        "lower minReplicas, or raise maxReplicas",
    ),
    (
        "min-zero",
        "scaling: {minReplicas: 0, maxReplicas: 2, wva: {hpa: {}}}",
        "spec.scaling.minReplicas",
        "1",
    ),
    ("max-zero", "scaling: {maxReplicas: 0, wva: {hpa: {}}}", "spec.scaling.maxReplicas", "1"),
    (
        "no-scaler",
        "scaling: {maxReplicas: 2}",
        "spec.scaling",
        "exactly one of wva and keda decides who scales: give one",
    ),
    (
        "two-scalers",
        "scaling: {maxReplicas: 2, wva: {hpa: {}}, keda: {triggers: [{type: cron, metadata: {a: b}}]}}",
        "spec.scaling",
        "exactly one of wva and keda decides who scales: give one",
    ),
    (
        "no-actuator",
        "scaling: {maxReplicas: 2, wva: {}}",
        "spec.scaling.wva",
        "exactly one of hpa and keda is the actuator: give one",
    ),
    (
        "two-actuators",
        "scaling: {maxReplicas: 2, wva: {hpa: {}, keda: {}}}",
        "spec.scaling.wva",
        "exactly one of hpa and keda is the actuator: give one",
    ),
    (
        "no-trigger",
        "scaling: {maxReplicas: 2, keda: {triggers: []}}",
        "spec.scaling.keda.triggers",
        "at least",
    ),
    (
        "modifiers-of-wva",
        "scaling: {maxReplicas: 2, wva: {keda: {advanced: {scalingModifiers: {formula: a}}}}}",
        "spec.scaling.wva",
        "remove keda.advanced.scalingModifiers, or use scaling.keda",
    ),
    (
        "cost",
        "scaling: {maxReplicas: 2, wva: {hpa: {}, variantCost: '-1'}}",
        "spec.scaling.wva.variantCost",
        "match",
    ),
    (
        "polling-zero",
        "scaling: {maxReplicas: 2, keda: {pollingInterval: 0, triggers: [{type: cron, metadata: {a: b}}]}}",
        "spec.scaling.keda.pollingInterval",
        "1",
    ),
    (
        "cooldown-negative",
        "scaling: {maxReplicas: 2, keda: {cooldownPeriod: -1, triggers: [{type: cron, metadata: {a: b}}]}}",
        "spec.scaling.keda.cooldownPeriod",
        "0",
    ),
    (
        "idle-over-min",
        "scaling: {minReplicas: 1, maxReplicas: 2, wva: {keda: {idleReplicaCount: 1}}}",
        "spec.scaling",
        "set minReplicas above it, or remove idleReplicaCount",
    ),
    (
        "hpa-name",
        "scaling: {maxReplicas: 2, wva: {keda: {advanced: {horizontalPodAutoscalerConfig: {name: mine}}}}}",
        "spec.scaling.wva.keda",
        "remove advanced.horizontalPodAutoscalerConfig.name",
    ),
    (
        "mixed-scaling",
        "{scaling: {maxReplicas: 2, wva: {hpa: {}}}, prefill: {scaling: {maxReplicas: 2, wva: {keda: {}}}}}",
        "spec.prefill.scaling",
        "use the same for both",
    ),
    (
        "prefill-scaling",
        "prefill: {scaling: {maxReplicas: 2}}",
        "spec.prefill.scaling",
        "exactly one of wva and keda decides who scales: give one",
    ),
    // The model.
    (
        "adapter-nameless",
        "model: {uri: 'hf://a/b', lora: {adapters: [{uri: 'hf://c/d'}]}}",
        "spec.model.lora.adapters[0].name",
        "give one",
    ),
    (
        "adapter-dots",
        "model: {uri: 'hf://a/b', lora: {adapters: [{name: .., uri: 'hf://c/d'}]}}",
        "spec.model.lora.adapters[0].name",
        "use another name",
    ),
    (
        "adapter-as-base",
        "model: {uri: 'hf://a/b', name: base, lora: {adapters: [{name: base, uri: 'hf://c/d'}]}}",
        "spec.model.lora.adapters[0].name",
        "use another name",
    ),
    (
        "adapter-twice",
        "model: {uri: 'hf://a/b', lora: {adapters: [{name: c, uri: 'hf://c/d'}, {name: c, uri: 'hf://c/d'}]}}",
        "spec.model.lora.adapters[1].name",
        "give each its own",
    ),
    ("lora-rank", "model: {uri: 'hf://a/b', lora: {maxRank: 0}}", "spec.model.lora.maxRank", "1"),
    ("lora-adapters", "model: {uri: 'hf://a/b', lora: {maxAdapters: 0}}", "spec.model.lora.maxAdapters", "1"),
    (
        "lora-cpu-adapters",
        "model: {uri: 'hf://a/b', lora: {maxCpuAdapters: 0}}",
        "spec.model.lora.maxCpuAdapters",
        "1",
    ),
    (
        "resource-id",
        "model: {uri: 'hf://a/b', confidential: {enabled: true, resourceId: 'kbs://a/b'}}",
        "spec.model.confidential.resourceId",
        "kbs:///",
    ),
    // KV cache tiers.
    (
        "tier-without-memory",
        "kvCacheOffloading: {cpu: '0', secondary: [{fileSystem: {emptyDir: {size: 1Gi}}}]}",
        "spec.kvCacheOffloading.cpu",
        "give it a size",
    ),
    (
        "tier-empty",
        "kvCacheOffloading: {cpu: 1Gi, secondary: [{}]}",
        "spec.kvCacheOffloading.secondary[0].fileSystem",
        "emptyDir or pvc",
    ),
    (
        "tier-two-storages",
        "kvCacheOffloading: {cpu: 1Gi, secondary: [{fileSystem: {emptyDir: {size: 1Gi}, pvc: {ref: {name: c}}}}]}",
        "spec.kvCacheOffloading.secondary[0].fileSystem",
        "keep emptyDir or pvc",
    ),
    (
        "claim-empty",
        "kvCacheOffloading: {cpu: 1Gi, secondary: [{fileSystem: {pvc: {}}}]}",
        "spec.kvCacheOffloading.secondary[0].fileSystem.pvc",
        "give spec",
    ),
    (
        "claim-twice",
        "kvCacheOffloading: {cpu: 1Gi, secondary: [{fileSystem: {pvc: {ref: {name: c}, spec: {}}}}]}",
        "spec.kvCacheOffloading.secondary[0].fileSystem.pvc",
        "keep spec or ref",
    ),
    (
        "claim-nameless",
        "kvCacheOffloading: {cpu: 1Gi, secondary: [{fileSystem: {pvc: {ref: {name: ''}}}}]}",
        "spec.kvCacheOffloading.secondary[0].fileSystem.pvc.ref.name",
        "name the existing PersistentVolumeClaim",
    ),
    (
        "prefill-tier",
        "prefill: {kvCacheOffloading: {cpu: 1Gi, secondary: [{fileSystem: {}}]}}",
        "spec.prefill.kvCacheOffloading.secondary[0].fileSystem",
        "emptyDir or pvc",
    ),
    (
        "eviction",
        "kvCacheOffloading: {cpu: 1Gi, evictionPolicy: fifo}",
        "spec.kvCacheOffloading.evictionPolicy",
        "\"lru\", \"arc\"",
    ),
    // Rollouts.
    (
        "rollout-negative",
        "rolloutStrategy: {maxUnavailable: -1}",
        "spec.rolloutStrategy.maxUnavailable",
        "0% to 100%",
    ),
    ("rollout-percent", "rolloutStrategy: {maxSurge: 101%}", "spec.rolloutStrategy.maxSurge", "0% to 100%"),
    (
        "rollout-stuck",
        "rolloutStrategy: {maxUnavailable: 0, maxSurge: 0%}",
        "spec.rolloutStrategy",
        "raise maxUnavailable or maxSurge",
    ),
    (
        "rollout-multi-node",
        "{worker: {containers: []}, parallelism: {pipeline: 2}, rolloutStrategy: {maxUnavailable: 0}}",
        "spec.rolloutStrategy",
        "set maxSurge",
    ),
    (
        "prefill-rollout",
        "prefill: {rolloutStrategy: {maxUnavailable: 0, maxSurge: 0}}",
        "spec.prefill.rolloutStrategy",
        "raise",
    ),
    // Shapes that only the schema knows.
    ("tier-without-cpu", "kvCacheOffloading: {}", "spec.kvCacheOffloading.cpu", "Required value"),
];
