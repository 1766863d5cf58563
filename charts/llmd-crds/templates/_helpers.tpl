{{/* The live object of a definition, empty where there is none or no cluster to ask. */}}
{{- define "llmd-crds.live" -}}
{{- lookup "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" .metadata.name | toJson -}}
{{- end -}}

{{/* Who holds a live definition: "" for nobody or this release. */}}
{{- define "llmd-crds.otherOwner" -}}
{{- if .live.metadata -}}
{{- $annotations := .live.metadata.annotations | default dict -}}
{{- $release := index $annotations "meta.helm.sh/release-name" | default "" -}}
{{- $namespace := index $annotations "meta.helm.sh/release-namespace" | default "" -}}
{{- if not $release -}}
somebody who does not use Helm
{{- else if or (ne $release .root.Release.Name) (ne $namespace .root.Release.Namespace) -}}
the release {{ $namespace }}/{{ $release }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Why `install: auto` leaves a definition as it is; empty when it does not. */}}
{{- define "llmd-crds.leftBecause" -}}
{{- if .live.metadata -}}
{{- $annotations := .live.metadata.annotations | default dict -}}
{{- $bundle := index $annotations "llmd.ai/bundle-version" | default "" -}}
{{- $owner := include "llmd-crds.otherOwner" . -}}
{{- if $owner -}}
owned by {{ $owner }}
{{- else if $bundle -}}
{{- if gt ((semver $bundle).Compare (semver .root.Chart.AppVersion)) 0 -}}
already at the newer version {{ $bundle }}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Paths of the definitions of the chosen variant, as a JSON list. */}}
{{- define "llmd-crds.paths" -}}
{{- $paths := list -}}
{{- range $pattern := list (printf "files/%s/*" .Values.variant) "files/inference/*" -}}
{{- range $path, $_ := $.Files.Glob $pattern -}}
{{- $paths = append $paths $path -}}
{{- end -}}
{{- end -}}
{{- toJson $paths -}}
{{- end -}}

{{/*
The fate of a definition, as JSON: "install" tells whether it is part of the release, "because" why it is not, "live"
is the object in the cluster.
*/}}
{{- define "llmd-crds.decision" -}}
{{- $live := include "llmd-crds.live" .crd | fromJson -}}
{{- $wish := dig .crd.spec.names.plural "install" "auto" .root.Values.crds | toString -}}
{{- $because := "" -}}
{{- if eq $wish "false" -}}
{{- $because = "switched off" -}}
{{- else if eq $wish "auto" -}}
{{- $because = include "llmd-crds.leftBecause" (dict "root" .root "live" $live) -}}
{{- end -}}
{{- dict "install" (not $because) "because" $because "live" $live | toJson -}}
{{- end -}}
