{{/* "true" when a switch is on, or auto and the Prometheus operator is there: `dict "root" $ "switch" …`. */}}
{{- define "llmd-observability.isOn" -}}
{{- $switch := toString .switch -}}
{{- if or (eq $switch "true") (and (eq $switch "auto") (.root.Capabilities.APIVersions.Has "monitoring.coreos.com/v1")) -}}true{{- end -}}
{{- end -}}

{{/* How a monitor shows that it may read. */}}
{{- define "llmd-observability.authorization" -}}
{{- if .Values.monitors.reader.create -}}
authorization:
  credentials:
    name: {{ include "llmd.fullname" . }}-reader
    key: token
{{- end -}}
{{- end -}}
