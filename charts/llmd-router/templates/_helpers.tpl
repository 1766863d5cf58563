{{/* Name of the endpoint picker's objects. The pool and the route have the release's own. */}}
{{- define "llmd-router.name" -}}
{{- .Values.fullnameOverride | default (printf "%s-epp" .Release.Name) | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "llmd-router.selectorLabels" -}}
{{ include "llmd.selectorLabels" . }}
app.kubernetes.io/component: epp
{{- end -}}

{{- define "llmd-router.labels" -}}
{{ include "llmd.labels" . }}
app.kubernetes.io/component: epp
{{- end -}}

{{/* native, envoy, or "" for none. */}}
{{- define "llmd-router.proxy" -}}
{{- $proxy := .Values.router.proxy -}}
{{- $enabled := ternary (eq .Values.mode "standalone") $proxy.enabled (kindIs "invalid" $proxy.enabled) -}}
{{- if $enabled -}}{{ $proxy.proxyType }}{{- end -}}
{{- end -}}

{{/* Address of the endpoint picker for an Envoy in a Deployment of its own. */}}
{{- define "llmd-router.serviceHost" -}}
{{ include "llmd-router.name" . }}.{{ .Release.Namespace }}.svc.{{ .Values.router.clusterDomain }}
{{- end -}}

{{/* "true" unless a flag says otherwise. */}}
{{- define "llmd-router.secureServing" -}}
{{- $flags := .Values.router.epp.flags -}}
{{- ternary (toString (index $flags "secure-serving")) "true" (hasKey $flags "secure-serving") -}}
{{- end -}}

{{/* Whether several replicas elect one that serves. A flag may be written as `name=value: ""` too. */}}
{{- define "llmd-router.electsLeader" -}}
{{- $flags := .Values.router.epp.flags -}}
{{- $isOff := or (hasKey $flags "ha-enable-leader-election=false") (eq (index $flags "ha-enable-leader-election" | toString) "false") -}}
{{- if and (gt (int .Values.router.epp.replicas) 1) (not .Values.router.epp.autoscaling.enabled) (not $isOff) -}}true{{- end -}}
{{- end -}}

{{/* Stops with a message when the values ask for what this chart cannot do. */}}
{{- define "llmd-router.check" -}}
{{- $router := .Values.router -}}
{{- if not $router.modelServers.matchLabels -}}
{{- fail "router.modelServers.matchLabels is missing: set the labels of the model servers' pods" -}}
{{- end -}}
{{- if $router.latencyPredictor.enabled -}}
{{- fail "not supported: router.latencyPredictor.enabled; leave it false and use load and prefix scorers" -}}
{{- end -}}
{{- if dig "priorityRouting" "enabled" false $router -}}
{{- fail "not supported: router.priorityRouting.enabled; leave it false and give requests an InferenceObjective" -}}
{{- end -}}
{{- if ne $router.tokenizer.flavor "python" -}}
{{- fail (printf "not supported: router.tokenizer.flavor %q; use python" $router.tokenizer.flavor) -}}
{{- end -}}
{{- if not (has (include "llmd-router.proxy" .) (list "" "native" "envoy")) -}}
{{- fail (printf "not supported: router.proxy.proxyType %q; use native or envoy" $router.proxy.proxyType) -}}
{{- end -}}
{{- if not (has .Values.provider.name (list "" "none" "istio")) -}}
{{- fail (printf "not supported: provider.name %q; use none or istio, and make the provider's own policies yourself" .Values.provider.name) -}}
{{- end -}}
{{- if and (eq .Values.mode "gateway") (not $router.inferencePool.create) -}}
{{- fail "router.inferencePool.create is false: a gateway finds the endpoint picker through the pool; set it to true or mode to standalone" -}}
{{- end -}}
{{- if and $router.tokenizer.enabled (not $router.tokenizer.modelName) (not $router.tokenizer.args) -}}
{{- fail "router.tokenizer.modelName is missing: set the model whose tokenizer runs" -}}
{{- end -}}
{{- if and $router.epp.pluginsConfig (hasKey $router.epp.pluginsCustomConfig $router.epp.pluginsConfigFile) -}}
{{- fail (printf "router.epp.pluginsConfig and router.epp.pluginsCustomConfig both give %s: keep one" $router.epp.pluginsConfigFile) -}}
{{- end -}}
{{- end -}}

{{/* requests and limits of a container: those given, else by profile. */}}
{{- define "llmd-router.resources" -}}
{{- if .given -}}
{{ toYaml .given }}
{{- else if include "llmd.isProduction" .root -}}
requests: {cpu: "2", memory: 1Gi}
limits: {memory: 4Gi}
{{- else -}}
requests: {cpu: 100m, memory: 64Mi}
limits: {memory: 1Gi}
{{- end -}}
{{- end -}}

{{/* Where pods may run; both Deployments share it. */}}
{{- define "llmd-router.placement" -}}
{{- with .Values.router.epp.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.router.epp.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.router.epp.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.router.epp.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.router.epp.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}

{{/* Ports that clients talk to: those given, else the proxy's. */}}
{{- define "llmd-router.clientPorts" -}}
{{- $router := .Values.router -}}
{{- if $router.extraServicePorts -}}
{{ toYaml $router.extraServicePorts }}
{{- else if include "llmd-router.proxy" . -}}
- name: http
  port: {{ $router.proxy.port }}
  protocol: TCP
  targetPort: {{ $router.proxy.port }}
{{- end -}}
{{- end -}}

{{/* URL of the router in the cluster; empty where a gateway is in front of it. */}}
{{- define "llmd-router.url" -}}
{{- with include "llmd-router.clientPorts" . | fromYamlArray -}}
{{- $isService := and (eq (include "llmd-router.proxy" $) "envoy") (eq $.Values.router.proxy.mode "service") -}}
http://{{ include "llmd-router.name" $ }}{{ ternary "-proxy" "" $isService }}.{{ $.Release.Namespace }}.svc:{{ (first .).port }}
{{- end -}}
{{- end -}}
