{{/*
The configuration of Envoy: every request goes to the endpoint picker and from there to the endpoint that it names in
x-gateway-destination-endpoint. A client's own header of that name is dropped before any filter sees it: otherwise a
request that passes without the endpoint picker would reach any address.
*/}}
{{- define "llmd-router.envoy" -}}
{{- $router := .Values.router -}}
{{- $isSidecar := eq $router.proxy.mode "sidecar" -}}
admin:
  address:
    socket_address: {address: 127.0.0.1, port_value: 19000}
static_resources:
  listeners:
    - name: ready
      address:
        socket_address: {address: 0.0.0.0, port_value: 19001}
      filter_chains:
        - filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: ready
                route_config:
                  virtual_hosts:
                    - name: stats
                      domains: ["*"]
                      routes:
                        - match: {prefix: /stats/prometheus}
                          route: {cluster: admin}
                http_filters:
                  - name: envoy.filters.http.health_check
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.filters.http.health_check.v3.HealthCheck
                      pass_through_mode: false
                      headers:
                        - name: ":path"
                          string_match: {exact: /ready}
                  - name: envoy.filters.http.router
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
    - name: inference
      address:
        socket_address: {address: 0.0.0.0, port_value: {{ $router.proxy.port }}}
      per_connection_buffer_limit_bytes: 32768
      filter_chains:
        - filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: inference
                use_remote_address: true
                normalize_path: true
                merge_slashes: true
                path_with_escaped_slashes_action: UNESCAPE_AND_REDIRECT
                server_header_transformation: PASS_THROUGH
                common_http_protocol_options:
                  headers_with_underscores_action: REJECT_REQUEST
                http2_protocol_options:
                  max_concurrent_streams: 100
                  initial_stream_window_size: 65536
                  initial_connection_window_size: 1048576
                early_header_mutation_extensions:
                  - name: envoy.http.early_header_mutation.header_mutation
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation
                      mutations:
                        - remove: x-gateway-destination-endpoint
                route_config:
                  virtual_hosts:
                    - name: inference
                      domains: ["*"]
                      routes:
                        - match: {prefix: /}
                          route:
                            cluster: picked_endpoint
                            timeout: 86400s
                            idle_timeout: 86400s
                            upgrade_configs:
                              - upgrade_type: websocket
                http_filters:
                  - name: envoy.filters.http.ext_proc
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor
                      failure_mode_allow: {{ $router.proxy.failOpen }}
                      message_timeout: 1000s
                      grpc_service:
                        envoy_grpc: {cluster_name: endpoint_picker, authority: "localhost:{{ $router.epp.extProcPort }}"}
                        timeout: 10s
                      processing_mode:
                        request_header_mode: SEND
                        response_header_mode: SEND
                        request_body_mode: FULL_DUPLEX_STREAMED
                        response_body_mode: FULL_DUPLEX_STREAMED
                        request_trailer_mode: SEND
                        response_trailer_mode: SEND
                  - name: envoy.filters.http.router
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
                      suppress_envoy_headers: true
  clusters:
    - name: admin
      type: STATIC
      connect_timeout: 0.25s
      load_assignment:
        cluster_name: admin
        endpoints:
          - lb_endpoints:
              - endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 19000}}}
    - name: picked_endpoint
      type: ORIGINAL_DST
      lb_policy: CLUSTER_PROVIDED
      # A model server that is gone must not hold a request.
      connect_timeout: 5s
      original_dst_lb_config:
        use_http_header: true
        http_header_name: x-gateway-destination-endpoint
      {{- if eq $router.modelServers.protocol "grpc" }}
      typed_extension_protocol_options:
        envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
          "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
          explicit_http_config: {http2_protocol_options: {}}
      {{- end }}
      circuit_breakers:
        thresholds:
          - {max_connections: 40000, max_pending_requests: 40000, max_requests: 40000}
    - name: endpoint_picker
      type: {{ ternary "STATIC" "STRICT_DNS" $isSidecar }}
      lb_policy: LEAST_REQUEST
      connect_timeout: 5s
      circuit_breakers:
        thresholds:
          - {max_connections: 40000, max_pending_requests: 40000, max_requests: 40000, max_retries: 1024}
      health_checks:
        - timeout: 2s
          interval: 10s
          unhealthy_threshold: 3
          healthy_threshold: 2
          grpc_health_check: {service_name: envoy.service.ext_proc.v3.ExternalProcessor}
          {{- if ne (include "llmd-router.secureServing" .) "false" }}
          tls_options: {alpn_protocols: [h2]}
          {{- end }}
      {{- if ne (include "llmd-router.secureServing" .) "false" }}
      # The endpoint picker's certificate is its own: traffic is encrypted, the peer is not verified.
      transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
          common_tls_context: {validation_context: {}}
      {{- end }}
      typed_extension_protocol_options:
        envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
          "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
          explicit_http_config:
            http2_protocol_options: {initial_stream_window_size: 65536, initial_connection_window_size: 1048576}
      load_assignment:
        cluster_name: endpoint_picker
        endpoints:
          - lb_endpoints:
              - endpoint:
                  address:
                    socket_address:
                      address: {{ ternary "127.0.0.1" (include "llmd-router.serviceHost" .) $isSidecar }}
                      port_value: {{ $router.epp.extProcPort }}
{{- end -}}

{{/* The container of Envoy, beside the endpoint picker or alone, as an item of a list. */}}
{{- define "llmd-router.envoyContainer" -}}
{{- $proxy := .Values.router.proxy -}}
- name: envoy-proxy
  image: {{ $proxy.image | default "docker.io/envoyproxy/envoy:distroless-v1.33.2" }}
  imagePullPolicy: {{ $proxy.imagePullPolicy }}
  command: [envoy]
  args:
    {{- if $proxy.args }}
    {{- toYaml $proxy.args | nindent 4 }}
    {{- else }}
    - --service-node
    - envoy-proxy
    - --log-level
    - warn
    - --cpuset-threads
    - --drain-strategy
    - immediate
    - --drain-time-s
    - "60"
    - -c
    - /etc/envoy/envoy.yaml
    {{- end }}
  {{- with $proxy.env }}
  env:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  ports:
    - name: http-proxy
      containerPort: {{ $proxy.port }}
    - name: envoy-metrics
      containerPort: 19001
  readinessProbe:
    httpGet:
      path: /ready
      port: envoy-metrics
    periodSeconds: 5
    failureThreshold: 1
  resources:
    {{- include "llmd-router.resources" (dict "root" . "given" $proxy.resources) | nindent 4 }}
  securityContext:
    {{- include "llmd.containerSecurityContext" . | nindent 4 }}
  volumeMounts:
    - name: envoy
      mountPath: /etc/envoy
      readOnly: true
{{- end -}}
