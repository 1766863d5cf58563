{{/* URL of the quickstart's router in the cluster, "" without one. */}}
{{- define "llmd.quickstartUrl" -}}
{{- if and .Values.quickstart.enabled (ne (dig "enabled" true (index .Values "llmd-router") | toString) "false") -}}
http://{{ .Release.Name }}-epp.{{ .Release.Namespace }}.svc:8081
{{- end -}}
{{- end -}}
