{{/* The model's URI with its own template filled in. */}}
{{- define "llmd-modelservice.uri" -}}
{{- tpl .Values.modelArtifacts.uri . -}}
{{- end -}}

{{/*
Where the model comes from, as JSON: kind (hf, pvc, pvc+hf, file), claim, cache (path of a Hugging Face cache in the
claim), path (as the engine is told, empty for hf) and id (name at Hugging Face).
*/}}
{{- define "llmd-modelservice.source" -}}
{{- $uri := include "llmd-modelservice.uri" . -}}
{{- $mount := .Values.modelArtifacts.mountPath -}}
{{- $rest := regexReplaceAll "^[a-z+]+://" $uri "" -}}
{{- $parts := splitList "/" $rest -}}
{{- if hasPrefix "hf://" $uri -}}
{{- dict "kind" "hf" "id" $rest | toJson -}}
{{- else if hasPrefix "pvc://" $uri -}}
{{- dict "kind" "pvc" "claim" (first $parts) "path" (printf "%s/%s" $mount (rest $parts | join "/")) | toJson -}}
{{- else if hasPrefix "pvc+hf://" $uri -}}
{{- if lt (len $parts) 4 -}}
{{- fail (printf "modelArtifacts.uri is %s; expected pvc+hf://CLAIM/CACHE/ORG/NAME" $uri) -}}
{{- end -}}
{{- $split := sub (len $parts) 2 | int -}}
{{- dict "kind" "pvc+hf" "claim" (first $parts) "cache" (printf "%s/%s" $mount (slice $parts 1 $split | join "/")) "id" (slice $parts $split | join "/") | toJson -}}
{{- else if hasPrefix "file:///" $uri -}}
{{- dict "kind" "file" "path" $rest | toJson -}}
{{- else -}}
{{- fail (printf "not supported: modelArtifacts.uri %s; use hf://, pvc://, pvc+hf:// or file:///" $uri) -}}
{{- end -}}
{{- end -}}

{{/* "true" when a container runs llmd-engine, which serves from a folder: what is at Hugging Face is downloaded first. */}}
{{- define "llmd-modelservice.downloads" -}}
{{- $source := include "llmd-modelservice.source" .root | fromJson -}}
{{- if eq $source.kind "hf" -}}
{{- range .role.containers }}{{ if and (not .image) .mountModelVolume }}true{{ end }}{{ end -}}
{{- end -}}
{{- end -}}

{{/* What a container's program is told to serve. `dict "root" $ "container" it`. */}}
{{- define "llmd-modelservice.model" -}}
{{- $source := include "llmd-modelservice.source" .root | fromJson -}}
{{- if $source.path -}}
{{ $source.path }}
{{- else if and (eq $source.kind "hf") (not .container.image) .container.mountModelVolume -}}
{{ .root.Values.modelArtifacts.mountPath }}/{{ $source.id }}
{{- else -}}
{{ $source.id }}
{{- end -}}
{{- end -}}

{{/* The volume of the model, as a list of one or none. */}}
{{- define "llmd-modelservice.modelVolume" -}}
{{- $source := include "llmd-modelservice.source" . | fromJson -}}
{{- if $source.claim -}}
- name: model-storage
  persistentVolumeClaim:
    claimName: {{ $source.claim }}
    {{- if .Values.modelArtifacts.readOnly }}
    readOnly: true
    {{- end }}
{{- else if eq $source.kind "hf" -}}
- name: model-storage
  emptyDir:
    sizeLimit: {{ .Values.modelArtifacts.size }}
{{- end -}}
{{- end -}}

{{- define "llmd-modelservice.modelMount" -}}
{{- $source := include "llmd-modelservice.source" . | fromJson -}}
{{- if ne $source.kind "file" -}}
- name: model-storage
  mountPath: {{ .Values.modelArtifacts.mountPath }}
  {{- if and .Values.modelArtifacts.readOnly $source.claim }}
  readOnly: true
  {{- end }}
{{- end -}}
{{- end -}}

{{/* Credentials for Hugging Face. */}}
{{- define "llmd-modelservice.tokenEnv" -}}
{{- with .Values.modelArtifacts.authSecretName -}}
- name: HF_TOKEN
  valueFrom:
    secretKeyRef:
      name: {{ . }}
      key: HF_TOKEN
{{- end -}}
{{- end -}}
