{{/* The configuration that the chart brings: load first, then what the prefix cache may hold. */}}
{{- define "llmd-router.defaultPlugins" -}}
{{- $epp := .Values.router.epp -}}
{{- $servers := .Values.router.modelServers -}}
{{- $parsers := $epp.parsers -}}
{{- if not $parsers -}}
{{- with $epp.parser }}{{ $parsers = list . }}{{ end -}}
{{- end -}}
{{- if and (eq $servers.type "vllm") (eq $servers.protocol "grpc") -}}
{{- $parsers = list "vllmgrpc-parser" -}}
{{- else if and (not $parsers) (eq $servers.type "triton") -}}
{{- $parsers = list "passthrough-parser" -}}
{{- end -}}
apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins:
  - type: queue-scorer
  - type: kv-cache-utilization-scorer
  - type: prefix-cache-scorer
  - type: metrics-data-source
    parameters:
      scheme: {{ $epp.metricsDataSource.scheme }}
      path: {{ $epp.metricsDataSource.path }}
      insecureSkipVerify: {{ $epp.metricsDataSource.insecureSkipVerify }}
  - type: core-metrics-extractor
    {{- if ne $servers.type "vllm" }}
    parameters:
      defaultEngine: {{ $servers.type }}
    {{- end }}
  {{- range $parsers }}
  - type: {{ . }}
  {{- end }}
schedulingProfiles:
  - name: default
    plugins:
      - {pluginRef: queue-scorer, weight: 2}
      - {pluginRef: kv-cache-utilization-scorer, weight: 2}
      - {pluginRef: prefix-cache-scorer, weight: 3}
{{- with $parsers }}
requestHandler:
  parsers:
    {{- range . }}
    - pluginRef: {{ . }}
    {{- end }}
{{- end }}
{{- end -}}

{{/* For requests whose body the endpoint picker cannot read: how busy the endpoints are, and the client's session. */}}
{{- define "llmd-router.payloadAgnostic" -}}
apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins:
  - type: passthrough-parser
  - type: active-request-scorer
  - type: session-affinity-scorer
requestHandler:
  parsers:
    - pluginRef: passthrough-parser
schedulingProfiles:
  - name: default
    plugins:
      - {pluginRef: active-request-scorer, weight: 1}
      - {pluginRef: session-affinity-scorer, weight: 1}
{{- end -}}

{{/* All files below /config, as a map. */}}
{{- define "llmd-router.configFiles" -}}
{{- $epp := .Values.router.epp -}}
{{- $files := dict "default-plugins.yaml" (include "llmd-router.defaultPlugins" .) "payload-agnostic.yaml" (include "llmd-router.payloadAgnostic" .) -}}
{{- range $name, $text := $epp.pluginsCustomConfig -}}
{{- $_ := set $files $name (ternary $text (toYaml $text) (kindIs "string" $text)) -}}
{{- end -}}
{{- with $epp.pluginsConfig -}}
{{- $_ := set $files $epp.pluginsConfigFile (toYaml .) -}}
{{- end -}}
{{- if not (hasKey $files $epp.pluginsConfigFile) -}}
{{- fail (printf "router.epp.pluginsConfigFile is %s, which router.epp.pluginsCustomConfig does not give" $epp.pluginsConfigFile) -}}
{{- end -}}
{{- toYaml $files -}}
{{- end -}}
