{{- define "paceline.operatorEnv" -}}
- {name: PACELINE_OPERATOR_MAX_MODE, value: {{ .Values.operator.maxMode | quote }}}
- {name: PACELINE_OPERATOR_NUDGE, value: {{ ternary "true" "false" .Values.operator.nudge | quote }}}
{{- if .Values.operator.namespaced }}
- {name: PACELINE_OPERATOR_NAMESPACES, value: {{ .Release.Namespace }}}
{{- end }}
- {name: OTEL_SERVICE_NAME, value: {{ include "paceline.name" (list . "operator") }}}
{{- with .Values.telemetry.otlpEndpoint }}
- {name: OTEL_EXPORTER_OTLP_ENDPOINT, value: {{ . | quote }}}
{{- end }}
{{- range $name, $value := .Values.operator.env }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- end -}}
