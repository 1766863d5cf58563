{{/*
Helpers of all charts of llmd. Every chart carries the same copy of this file, so that each can be packaged alone;
the tests compare them.
*/}}

{{/* Name of a chart's objects: the release, the chart or both, whichever says it without repeating itself. */}}
{{- define "llmd.fullname" -}}
{{- $chart := .Values.nameOverride | default .Chart.Name -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains $chart .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else if hasPrefix (printf "%s-" .Release.Name) $chart -}}
{{- $chart | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $chart | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Name of a cluster-scoped object: releases of the same name in two namespaces do not share it. */}}
{{- define "llmd.clusterName" -}}
{{- printf "%s.%s" .Release.Namespace (include "llmd.fullname" .) -}}
{{- end -}}

{{/* Labels that selectors use; they never change during the life of a release. */}}
{{- define "llmd.selectorLabels" -}}
app.kubernetes.io/name: {{ .Values.nameOverride | default .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* Labels of every object. */}}
{{- define "llmd.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: llmd
{{ include "llmd.selectorLabels" . }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/*
A reference to an image: `dict "root" $ "image" .Values.image`. The image has registry, repository, tag and digest;
`global.imageRegistry` takes the place of `ghcr.io/llmd` and of nothing else, `global.imageTag` that of the chart's
version.
*/}}
{{- define "llmd.image" -}}
{{- $global := .root.Values.global | default dict -}}
{{- $own := "ghcr.io/llmd" -}}
{{- $registry := .image.registry | default $own -}}
{{- $isOwn := eq $registry $own -}}
{{- if and $isOwn $global.imageRegistry -}}
{{- $registry = trimSuffix "/" $global.imageRegistry -}}
{{- end -}}
{{- $tag := .image.tag | default (ternary $global.imageTag "" $isOwn) | default .root.Chart.AppVersion -}}
{{- printf "%s/%s:%s" $registry .image.repository $tag -}}
{{- with .image.digest -}}
@{{ . }}
{{- end -}}
{{- end -}}

{{/* imagePullSecrets of a pod: the release's own and the global ones, by name or as references. */}}
{{- define "llmd.imagePullSecrets" -}}
{{- $global := .root.Values.global | default dict -}}
{{- $names := list -}}
{{- range concat (.secrets | default list) ($global.imagePullSecrets | default list) -}}
{{- $names = append $names (ternary . (dict "name" .) (kindIs "map" .)) -}}
{{- end -}}
{{- with $names }}
imagePullSecrets:
{{ toYaml . | indent 2 }}
{{- end }}
{{- end -}}

{{/* What a pod needs for the level `restricted` of the Pod Security Standards. */}}
{{- define "llmd.podSecurityContext" -}}
runAsNonRoot: true
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "llmd.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop:
    - ALL
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* "true" when `global.profile` is production. */}}
{{- define "llmd.isProduction" -}}
{{- if eq (dig "profile" "dev" (.Values.global | default dict)) "production" }}true{{ end -}}
{{- end -}}
