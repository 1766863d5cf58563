{{/* URL of the quickstart's router in the cluster, "" without one. */}}
{{- define "llmd.quickstartUrl" -}}
{{- if and .Values.quickstart.enabled (ne (dig "enabled" true (index .Values "llmd-router") | toString) "false") -}}
http://{{ .Release.Name }}-epp.{{ .Release.Namespace }}.svc:8081
{{- end -}}
{{- end -}}

{{/* Name of the extension server's objects. */}}
{{- define "llmd.envoyGatewayName" -}}
{{- printf "%s-envoy-gateway" (include "llmd.fullname" .) | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "llmd.envoyGatewaySelector" -}}
{{ include "llmd.selectorLabels" . }}
app.kubernetes.io/component: envoy-gateway-extension
{{- end -}}

{{- define "llmd.envoyGatewayLabels" -}}
{{ include "llmd.labels" . }}
app.kubernetes.io/component: envoy-gateway-extension
{{- end -}}

{{/* What Envoy Gateway's own chart needs among its values to ask the extension server. */}}
{{- define "llmd.envoyGatewayValues" -}}
config:
  envoyGateway:
    extensionManager:
      backendResources:
        - {group: inference.networking.k8s.io, version: v1, kind: InferencePool}
      hooks:
        xdsTranslator:
          post: [Cluster, Translation]
          translation:
            listener: {includeAll: true}
            route: {includeAll: true}
            cluster: {includeAll: true}
            secret: {includeAll: true}
      service:
        fqdn:
          hostname: {{ include "llmd.envoyGatewayName" . }}.{{ .Release.Namespace }}.svc.{{ .Values.envoyGateway.clusterDomain }}
          port: 5005
      maxMessageSize: 64Mi
{{- end -}}
