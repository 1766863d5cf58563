{{/* Key `ingress` of the settings. */}}
{{- define "llmd-controller.ingress" -}}
{{- $ingress := deepCopy .Values.settings.ingress -}}
{{- $gateway := dig "controller" "gateway" dict .Values.kserve -}}
{{- with $gateway.urlScheme }}{{ $_ := set $ingress "urlScheme" . }}{{ end -}}
{{- with $gateway.domain }}{{ $_ := set $ingress "ingressDomain" . }}{{ end -}}
{{- with $gateway.ingressGateway -}}
{{- if hasKey . "enableGatewayApi" }}{{ $_ := set $ingress "enableGatewayApi" .enableGatewayApi }}{{ end -}}
{{- with .kserveGateway }}{{ $_ := set $ingress "kserveIngressGateway" . }}{{ end -}}
{{- with .gateway }}{{ $_ := set $ingress "ingressGateway" . }}{{ end -}}
{{- end -}}
{{- if not (contains "/" $ingress.kserveIngressGateway) -}}
{{- $_ := set $ingress "kserveIngressGateway" (printf "%s/%s" .Release.Namespace $ingress.kserveIngressGateway) -}}
{{- end -}}
{{- toPrettyJson $ingress -}}
{{- end -}}

{{/* Key `storageInitializer` of the settings. */}}
{{- define "llmd-controller.storageInitializer" -}}
{{- $storage := deepCopy .Values.settings.storageInitializer -}}
{{- $kserve := .Values.kserve.storage | default dict -}}
{{- range $key := list "enableModelcar" "uidModelcar" "cpuModelcar" "memoryModelcar" "caBundleConfigMapName" "caBundleVolumeMountPath" -}}
{{- if hasKey $kserve $key }}{{ $_ := set $storage $key (index $kserve $key) }}{{ end -}}
{{- end -}}
{{- range $kind, $field := dict "requests" "Request" "limits" "Limit" -}}
{{- range $resource := list "cpu" "memory" -}}
{{- with dig "resources" $kind $resource "" $kserve }}{{ $_ := set $storage (printf "%s%s" $resource $field) . }}{{ end -}}
{{- end -}}
{{- end -}}
{{- with $kserve.image -}}
{{- $_ := set $storage "image" (printf "%s:%s" . ($kserve.tag | default $.Values.kserve.version | default "latest")) -}}
{{- end -}}
{{- if not $storage.image -}}
{{- $_ := set $storage "image" (include "llmd.image" (dict "root" . "image" .Values.settings.storageImage)) -}}
{{- end -}}
{{- toPrettyJson $storage -}}
{{- end -}}

{{/* Key `credentials` of the settings. */}}
{{- define "llmd-controller.credentials" -}}
{{- $credentials := deepCopy .Values.settings.credentials -}}
{{- $kserve := .Values.kserve.storage | default dict -}}
{{- with $kserve.storageSecretNameAnnotation }}{{ $_ := set $credentials "storageSecretNameAnnotation" . }}{{ end -}}
{{- with $kserve.storageSpecSecretName }}{{ $_ := set $credentials "storageSpecSecretName" . }}{{ end -}}
{{- with $kserve.s3 -}}
{{- $s3 := $credentials.s3 | default dict -}}
{{- range $key, $field := dict "accessKeyIdName" "s3AccessKeyIDName" "secretAccessKeyName" "s3SecretAccessKeyName" "endpoint" "s3Endpoint" "useHttps" "s3UseHttps" "region" "s3Region" "verifySSL" "s3VerifySSL" "useVirtualBucket" "s3UseVirtualBucket" "useAnonymousCredential" "s3UseAnonymousCredential" "CABundle" "s3CABundle" "CABundleConfigMap" "s3CABundleConfigMap" -}}
{{- if hasKey $kserve.s3 $key }}{{ $_ := set $s3 $field (index $kserve.s3 $key | toString) }}{{ end -}}
{{- end -}}
{{- $_ := set $credentials "s3" $s3 -}}
{{- end -}}
{{- toPrettyJson $credentials -}}
{{- end -}}

{{/* Key `localModel` of the settings. */}}
{{- define "llmd-controller.localModel" -}}
{{- $local := deepCopy .Values.settings.localModel -}}
{{- with .Values.kserve.localmodel -}}
{{- range $key := list "enabled" "jobNamespace" "jobTTLSecondsAfterFinished" "disableVolumeManagement" -}}
{{- if hasKey $.Values.kserve.localmodel $key }}{{ $_ := set $local $key (index $.Values.kserve.localmodel $key) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- toPrettyJson $local -}}
{{- end -}}

{{/* "true" unless somebody else owns the ConfigMap, or it is not wanted. */}}
{{- define "llmd-controller.createsSettings" -}}
{{- $create := (include "llmd-controller.values" . | fromJson).settings.create | toString -}}
{{- if eq $create "true" -}}
true
{{- else if eq $create "auto" -}}
{{- $live := lookup "v1" "ConfigMap" .Release.Namespace "inferenceservice-config" -}}
{{- if or (not $live) (eq (dig "metadata" "annotations" "meta.helm.sh/release-name" "" ($live | default dict)) .Release.Name) -}}
true
{{- end -}}
{{- end -}}
{{- end -}}
