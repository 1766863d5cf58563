{{/*
The values that count, as JSON: the chart's own, and over them those of KServe's chart, which has the same names for
most fields of the Deployment.
*/}}
{{- define "llmd-controller.values" -}}
{{- $values := deepCopy .Values -}}
{{- $kserve := .Values.kserve -}}
{{- $controller := dig "llmisvc" "controller" dict $kserve -}}
{{- range $key := list "replicas" "strategy" "resources" "nodeSelector" "tolerations" "affinity" "topologySpreadConstraints" "podLabels" "podAnnotations" "annotations" "securityContext" "containerSecurityContext" "env" "extraArgs" "extraVolumes" "extraVolumeMounts" "imagePullSecrets" "terminationGracePeriodSeconds" -}}
{{- if hasKey $controller $key -}}
{{- $_ := set $values $key (index $controller $key) -}}
{{- end -}}
{{- end -}}
{{- with $controller.imagePullPolicy }}{{ $_ := set $values.image "pullPolicy" . }}{{ end -}}
{{- with $controller.metricsBindPort }}{{ $_ := set $values.metrics "port" (int .) }}{{ end -}}
{{- with $controller.serviceAnnotations }}{{ $_ := set $values.webhook "serviceAnnotations" . }}{{ end -}}
{{- with dig "serviceAccount" "name" "" $controller }}{{ $_ := set $values.serviceAccount "name" . }}{{ end -}}
{{- if kindIs "invalid" $values.replicas -}}
{{- $_ := set $values "replicas" (ternary 2 1 (eq (include "llmd.isProduction" .) "true")) -}}
{{- end -}}
{{- if eq (dig "inferenceServiceConfig" "enabled" "" $kserve | toString) "false" -}}
{{- $_ := set $values.settings "create" false -}}
{{- end -}}
{{- toJson $values -}}
{{- end -}}

{{- define "llmd-controller.serviceAccountName" -}}
{{- $values := include "llmd-controller.values" . | fromJson -}}
{{- $values.serviceAccount.name | default (include "llmd.fullname" .) -}}
{{- end -}}

{{/*
One controller serves a cluster: the names of its webhooks are fixed by compatibility, and each of two would work on
every service. Stops with a message when another one is there.
*/}}
{{- define "llmd-controller.alone" -}}
{{- if not .Values.adopt -}}
{{- $live := lookup "admissionregistration.k8s.io/v1" "MutatingWebhookConfiguration" "" "llminferenceservice.serving.kserve.io" -}}
{{- if $live -}}
{{- $annotations := $live.metadata.annotations | default dict -}}
{{- $release := index $annotations "meta.helm.sh/release-name" | default "" -}}
{{- $namespace := index $annotations "meta.helm.sh/release-namespace" | default "" -}}
{{- if or (ne $release .Release.Name) (ne $namespace .Release.Namespace) -}}
{{- $owner := ternary (printf "the release %s/%s" $namespace $release) "an installation without Helm" (ne $release "") -}}
{{- fail (printf "\n\nLLMInferenceServices of this cluster are served by %s already, and one controller serves a cluster.\nUninstall that one first. To take its place while it is there (KServe's controller, say), stop its Deployment and\ninstall with --set adopt=true --take-ownership.\n" $owner) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/*
Part of a webhook: what the chart itself ships does not wait for the webhook to answer, which comes up with it.
`dict "root" $ "shipped" true`.
*/}}
{{- define "llmd-controller.matchConditions" -}}
- name: not-shipped-with-the-controller
  expression: >-
    request.operation == 'DELETE' || request.namespace != '{{ .Release.Namespace }}' ||
    !has(object.metadata.labels) || !('llmd.ai/shipped' in object.metadata.labels)
{{- end -}}
