{{/* Everything here takes a role: `dict "root" $ "name" "decode" "role" .Values.decode`. */}}

{{- define "llmd-modelservice.labels" -}}
{{- toYaml .root.Values.modelArtifacts.labels }}
llm-d.ai/role: {{ .name }}
{{- end -}}

{{/* Labels of pods, which select them: the model's, the role and the release, so that two releases stay apart. */}}
{{- define "llmd-modelservice.selectorLabels" -}}
{{ include "llmd-modelservice.labels" . }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end -}}

{{- define "llmd-modelservice.serviceAccountName" -}}
{{- .Values.serviceAccountOverride | default (include "llmd.fullname" .) -}}
{{- end -}}

{{/* "true" when a sidecar stands before the engine. */}}
{{- define "llmd-modelservice.hasSidecar" -}}
{{- if and (eq .name "decode") .root.Values.routing.proxy.enabled }}true{{ end -}}
{{- end -}}

{{/* Port of the engine. */}}
{{- define "llmd-modelservice.port" -}}
{{- ternary .root.Values.routing.proxy.targetPort .root.Values.routing.servicePort (eq (include "llmd-modelservice.hasSidecar" .) "true") -}}
{{- end -}}

{{- define "llmd-modelservice.sidecar" -}}
{{- $routing := .root.Values.routing -}}
{{- $proxy := $routing.proxy -}}
- name: routing-proxy
  image: {{ $proxy.image | default (include "llmd.image" (dict "root" .root "image" .root.Values.images.sidecar)) }}
  imagePullPolicy: {{ $proxy.imagePullPolicy }}
  restartPolicy: Always
  args:
    - --port={{ $routing.servicePort }}
    - --vllm-port={{ $proxy.targetPort }}
    - --kv-connector={{ $proxy.connector }}
    - --secure-proxy={{ $proxy.secure }}
    {{- if hasKey $proxy "prefillerUseTLS" }}
    - --prefiller-use-tls={{ $proxy.prefillerUseTLS }}
    {{- end }}
    {{- with $proxy.certPath }}
    - --cert-path={{ . }}
    {{- end }}
    {{- with (.role.parallelism | default dict).dataLocal }}
    {{- if gt (int .) 1 }}
    - --data-parallel-size={{ . }}
    {{- end }}
    {{- end }}
    {{- with $proxy.zapEncoder }}
    - --zap-encoder={{ . }}
    {{- end }}
    {{- with $proxy.zapLogLevel }}
    - --zap-log-level={{ . }}
    {{- end }}
    {{- with $proxy.args }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with include "llmd-modelservice.tracingEnv" (dict "root" .root "service" "routing-proxy") }}
  env:
    {{- . | nindent 4 }}
  {{- end }}
  ports:
    - name: http
      containerPort: {{ $routing.servicePort }}
  readinessProbe:
    httpGet:
      path: /health
      port: http
    periodSeconds: 5
    timeoutSeconds: 2
  {{- if not $proxy.image }}
  securityContext:
    {{- include "llmd.containerSecurityContext" . | nindent 4 }}
  {{- end }}
{{- end -}}

{{- define "llmd-modelservice.tracingEnv" -}}
{{- with .root.Values.tracing -}}
{{- if .enabled -}}
- name: OTEL_SERVICE_NAME
  value: {{ $.service }}
- name: OTEL_TRACES_EXPORTER
  value: otlp
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ .otelCollectorEndpoint }}
- name: OTEL_TRACES_SAMPLER
  value: {{ .sampling.sampler }}
- name: OTEL_TRACES_SAMPLER_ARG
  value: {{ .sampling.samplerArg | quote }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Downloads the model for llmd-engine. */}}
{{- define "llmd-modelservice.storage" -}}
{{- $source := include "llmd-modelservice.source" .root | fromJson -}}
{{- $mount := .root.Values.modelArtifacts.mountPath -}}
- name: model
  image: {{ include "llmd.image" (dict "root" .root "image" .root.Values.images.storage) }}
  imagePullPolicy: {{ .root.Values.images.storage.pullPolicy }}
  args: ["hf://{{ $source.id }}", "{{ $mount }}/{{ $source.id }}"]
  {{- with include "llmd-modelservice.tokenEnv" .root }}
  env:
    {{- . | nindent 4 }}
  {{- end }}
  securityContext:
    {{- include "llmd.containerSecurityContext" . | nindent 4 }}
  terminationMessagePolicy: FallbackToLogsOnError
  volumeMounts:
    - name: model-storage
      mountPath: {{ $mount }}
{{- end -}}

{{/* command and args of a container. */}}
{{- define "llmd-modelservice.command" -}}
{{- $container := .container -}}
{{- $command := $container.modelCommand | default "vllmServe" -}}
{{- $model := include "llmd-modelservice.model" . -}}
{{- $serving := list "--port" (include "llmd-modelservice.port" .) "--served-model-name" .root.Values.modelArtifacts.name -}}
{{- $tensor := int ((.role.parallelism | default dict).tensor | default 1) -}}
{{- if gt $tensor 1 }}{{ $serving = concat $serving (list "--tensor-parallel-size" (toString $tensor)) }}{{ end -}}
{{- if and .root.Values.tracing.enabled $container.image (ne $command "custom") -}}
{{- $serving = concat $serving (list "--otlp-traces-endpoint" .root.Values.tracing.otelCollectorEndpoint) -}}
{{- end -}}
{{- if eq $command "custom" -}}
{{- if not $container.command }}{{ fail (printf "%s.containers: %s has modelCommand custom and no command" .name $container.name) }}{{ end -}}
command:
  {{- toYaml $container.command | nindent 2 }}
{{- with $container.args }}
args:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- else if eq $command "vllmServe" -}}
command: [vllm, serve]
args:
  {{- toYaml (concat (list $model) $serving ($container.args | default list)) | nindent 2 }}
{{- else if eq $command "imageDefault" -}}
args:
  {{- toYaml (concat (list "--model" $model) $serving ($container.args | default list)) | nindent 2 }}
{{- else -}}
{{- fail (printf "%s.containers: %s has modelCommand %q; use vllmServe, imageDefault or custom" .name $container.name $command) -}}
{{- end -}}
{{- end -}}

{{- define "llmd-modelservice.env" -}}
{{- $source := include "llmd-modelservice.source" .root | fromJson -}}
{{- $parallelism := .role.parallelism | default dict -}}
{{- if not .container.image }}
- name: HOME
  value: /tmp
- name: VLLM_NIXL_SIDE_CHANNEL_HOST
  valueFrom:
    fieldRef:
      fieldPath: status.podIP
{{- end }}
{{- if and .container.mountModelVolume .container.image (eq $source.kind "hf") }}
- name: HF_HOME
  value: {{ .root.Values.modelArtifacts.mountPath }}
{{- end }}
{{- with $source.cache }}
- name: HF_HUB_CACHE
  value: {{ . }}
{{- end }}
{{- if .container.image }}
{{ include "llmd-modelservice.tokenEnv" .root }}
{{- end }}
{{- if .root.Values.multinode }}
- name: DP_SIZE
  value: {{ $parallelism.data | default 1 | quote }}
- name: DP_SIZE_LOCAL
  value: {{ $parallelism.dataLocal | default 1 | quote }}
- name: TP_SIZE
  value: {{ $parallelism.tensor | default 1 | quote }}
{{- end }}
{{ include "llmd-modelservice.tracingEnv" (dict "root" .root "service" (printf "vllm-%s" .name)) }}
{{- with index .root.Values.accelerator.env (include "llmd-modelservice.accelerator" . | default "cpu") }}
{{ toYaml . }}
{{- end }}
{{- with .container.env }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* What llmd's own engine has when the values say nothing: probes, security, a folder for temporary files. */}}
{{- define "llmd-modelservice.ownDefaults" -}}
{{- $port := include "llmd-modelservice.port" . -}}
ports:
  - {name: metrics, containerPort: {{ $port }}}
startupProbe:
  httpGet: {path: /health, port: {{ $port }}}
  periodSeconds: 2
  failureThreshold: 900
livenessProbe:
  httpGet: {path: /health, port: {{ $port }}}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 10
readinessProbe:
  httpGet: {path: /health, port: {{ $port }}}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 2
securityContext:
  {{- include "llmd.containerSecurityContext" . | nindent 2 }}
terminationMessagePolicy: FallbackToLogsOnError
{{- end -}}

{{/* A container: what the chart makes of it, and every other field as it is. */}}
{{- define "llmd-modelservice.container" -}}
{{- $own := not .container.image -}}
{{- $made := list "image" "imagePullPolicy" "modelCommand" "command" "args" "env" "resources" "mountModelVolume" "volumeMounts" "extraConfig" -}}
{{- $container := mergeOverwrite (deepCopy (.container.extraConfig | default dict)) (omit .container "extraConfig" | deepCopy) -}}
{{- range $made }}{{ $_ := unset $container . }}{{ end -}}
{{- if $own }}{{ $container = mergeOverwrite (include "llmd-modelservice.ownDefaults" . | fromYaml) $container }}{{ end -}}
{{- $_ := set $container "image" (.container.image | default (include "llmd.image" (dict "root" .root "image" .root.Values.images.engine))) -}}
{{- with .container.imagePullPolicy | default (ternary .root.Values.images.engine.pullPolicy "" $own) }}{{ $_ := set $container "imagePullPolicy" . }}{{ end -}}
{{- $container = merge $container (include "llmd-modelservice.command" . | fromYaml) -}}
{{- with include "llmd-modelservice.env" . | fromYamlArray }}{{ $_ := set $container "env" . }}{{ end -}}
{{- with include "llmd-modelservice.resources" . | fromYaml }}{{ $_ := set $container "resources" . }}{{ end -}}
{{- $mounts := .container.volumeMounts | default list -}}
{{- if .container.mountModelVolume }}{{ $mounts = concat $mounts (include "llmd-modelservice.modelMount" .root | fromYamlArray) }}{{ end -}}
{{- if $own }}{{ $mounts = append $mounts (dict "name" "llmd-tmp" "mountPath" "/tmp") }}{{ end -}}
{{- with $mounts }}{{ $_ := set $container "volumeMounts" . }}{{ end -}}
{{- toYaml $container -}}
{{- end -}}

{{/* The pod of a role, without metadata. */}}
{{- define "llmd-modelservice.podSpec" -}}
{{- $role := . -}}
{{- $hasModel := false -}}
{{- $hasOwn := false -}}
{{- range .role.containers -}}
{{- if .mountModelVolume }}{{ $hasModel = true }}{{ end -}}
{{- if not .image }}{{ $hasOwn = true }}{{ end -}}
{{- end -}}
{{- $init := .role.initContainers | default list -}}
{{- if include "llmd-modelservice.downloads" . -}}
{{- $init = append $init (include "llmd-modelservice.storage" . | fromYamlArray | first) -}}
{{- end -}}
{{- if include "llmd-modelservice.hasSidecar" . -}}
{{- $init = append $init (include "llmd-modelservice.sidecar" . | fromYamlArray | first) -}}
{{- end -}}
{{- $volumes := .role.volumes | default list -}}
{{- if $hasModel }}{{ $volumes = concat $volumes (include "llmd-modelservice.modelVolume" .root | fromYamlArray) }}{{ end -}}
{{- if $hasOwn }}{{ $volumes = append $volumes (dict "name" "llmd-tmp" "emptyDir" dict) }}{{ end -}}
{{- $names := list "nodeSelector" "tolerations" "affinity" "topologySpreadConstraints" "hostIPC" "hostPID" "enableServiceLinks" "terminationGracePeriodSeconds" "priorityClassName" "runtimeClassName" -}}
{{- $spec := deepCopy (.role.extraConfig | default dict) -}}
{{- range $name := $names -}}
{{- if hasKey $role.role $name }}{{ $_ := set $spec $name (index $role.role $name) }}{{ end -}}
{{- end -}}
{{- with .role.podSecurityContext | default .role.securityContext }}{{ $_ := set $spec "securityContext" . }}{{ end -}}
{{- with .role.schedulerName | default .root.Values.schedulerName }}{{ $_ := set $spec "schedulerName" . }}{{ end -}}
{{- with .role.acceleratorTypes -}}
{{- if .labelKey -}}
{{- $term := dict "matchExpressions" (list (dict "key" .labelKey "operator" "In" "values" .labelValues)) -}}
{{- $node := dict "requiredDuringSchedulingIgnoredDuringExecution" (dict "nodeSelectorTerms" (list $term)) -}}
{{- $_ := set $spec "affinity" (mergeOverwrite (dict "nodeAffinity" $node) ($spec.affinity | default dict)) -}}
{{- end -}}
{{- end -}}
{{- with include "llmd-modelservice.claims" . | fromYamlArray }}{{ $_ := set $spec "resourceClaims" . }}{{ end -}}
serviceAccountName: {{ include "llmd-modelservice.serviceAccountName" .root }}
{{- if not .root.Values.serviceAccountOverride }}
automountServiceAccountToken: false
{{- end }}
{{- include "llmd.imagePullSecrets" (dict "root" .root) }}
{{- with $spec }}
{{ toYaml . }}
{{- end }}
{{- with $init }}
initContainers:
  {{- toYaml . | nindent 2 }}
{{- end }}
containers:
  {{- range .role.containers }}
  -
    {{- include "llmd-modelservice.container" (merge (dict "container" .) $role) | nindent 4 }}
  {{- end }}
{{- with $volumes }}
volumes:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "llmd-modelservice.podTemplate" -}}
metadata:
  labels:
    {{- include "llmd-modelservice.selectorLabels" . | nindent 4 }}
    {{- with .role.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .role.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- include "llmd-modelservice.podSpec" . | nindent 2 }}
{{- end -}}
