{{- define "paceline.serviceEnv" -}}
{{- $service := .Values.service -}}
- {name: PACELINE_BIND, value: "0.0.0.0:8000"}
- {name: PACELINE_MANAGEMENT_BIND, value: "0.0.0.0:9090"}
- {name: PACELINE_RUN_DIR, value: /run/paceline}
- {name: PACELINE_TUNING_FILE, value: /etc/paceline/tuning/tuning.json}
- {name: PACELINE_TERMINATION_DELAY_SECONDS, value: {{ $service.terminationDelaySeconds | quote }}}
- {name: PACELINE_GRACEFUL_TIMEOUT_SECONDS, value: {{ $service.gracefulTimeoutSeconds | quote }}}
- {name: PACELINE_POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
- {name: PACELINE_POD_UID, valueFrom: {fieldRef: {fieldPath: metadata.uid}}}
- {name: PACELINE_TRACE_RATIO, value: {{ .Values.telemetry.sampleRatio | quote }}}
- {name: OTEL_SERVICE_NAME, value: {{ include "paceline.name" (list . "service") }}}
{{- with .Values.telemetry.otlpEndpoint }}
- {name: OTEL_EXPORTER_OTLP_ENDPOINT, value: {{ . | quote }}}
{{- end }}
{{- with include "paceline.databaseSecret" . }}
- {name: DATABASE_URL, valueFrom: {secretKeyRef: {name: {{ . | quote }}, key: url}}}
{{- end }}
{{- with include "paceline.redisSecret" . }}
- {name: REDIS_URL, valueFrom: {secretKeyRef: {name: {{ . | quote }}, key: url}}}
{{- end }}
{{- with $service.mongo.existingSecret }}
- {name: MONGO_URL, valueFrom: {secretKeyRef: {name: {{ . | quote }}, key: url}}}
{{- end }}
{{- with $service.upstream.url }}
- {name: UPSTREAM_URL, value: {{ . | quote }}}
{{- end }}
{{- range $name, $value := $service.env }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- with $service.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}
