{{/* How many accelerators a pod of a role has. */}}
{{- define "llmd-modelservice.count" -}}
{{- $parallelism := .role.parallelism | default dict -}}
{{- mul (int ($parallelism.tensor | default 1)) (int ($parallelism.dataLocal | default 1)) -}}
{{- end -}}

{{/* Type of accelerator of a role; empty for none. */}}
{{- define "llmd-modelservice.accelerator" -}}
{{- $type := dig "accelerator" "type" .root.Values.accelerator.type .role -}}
{{- if ne $type "cpu" -}}{{ $type }}{{- end -}}
{{- end -}}

{{/* resources of a container: those given and the accelerators. `dict "root" $ "role" it "container" it`. */}}
{{- define "llmd-modelservice.resources" -}}
{{- $resources := deepCopy (.container.resources | default dict) -}}
{{- $type := include "llmd-modelservice.accelerator" . -}}
{{- $isSimulator := contains "llm-d-inference-sim" (.container.image | default "") -}}
{{- if and $type (not $isSimulator) -}}
{{- if .root.Values.accelerator.dra -}}
{{- $claims := append ($resources.claims | default list) (dict "name" $type) -}}
{{- $_ := set $resources "claims" $claims -}}
{{- else -}}
{{- $resource := index .root.Values.accelerator.resources $type -}}
{{- if not $resource -}}
{{- fail (printf "accelerator.type is %s, which accelerator.resources does not name" $type) -}}
{{- end -}}
{{- $count := include "llmd-modelservice.count" . -}}
{{- range $kind := list "limits" "requests" -}}
{{- $amounts := index $resources $kind | default dict -}}
{{- if not (hasKey $amounts $resource) }}{{ $_ := set $amounts $resource $count }}{{ end -}}
{{- $_ := set $resources $kind $amounts -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml $resources -}}
{{- end -}}

{{/* Name of the claim template of a role. */}}
{{- define "llmd-modelservice.claimTemplate" -}}
{{- $type := include "llmd-modelservice.accelerator" . -}}
{{- $template := index .root.Values.accelerator.resourceClaimTemplates $type | default dict -}}
{{ printf "%s-%s-%s" (include "llmd.fullname" .root) .name ($template.name | default $type) | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{/* resourceClaims of a pod, as a list. */}}
{{- define "llmd-modelservice.claims" -}}
{{- $claims := .role.resourceClaims | default list -}}
{{- $type := include "llmd-modelservice.accelerator" . -}}
{{- if and .root.Values.accelerator.dra $type -}}
{{- $claims = append $claims (dict "name" $type "resourceClaimTemplateName" (include "llmd-modelservice.claimTemplate" .)) -}}
{{- end -}}
{{- toYaml $claims -}}
{{- end -}}
