{{- define "paceline.operatorEnv" -}}
- {name: PACELINE_OPERATOR_MAX_MODE, value: {{ .Values.operator.maxMode | quote }}}
- {name: PACELINE_OPERATOR_NUDGE, value: {{ ternary "true" "false" .Values.operator.nudge | quote }}}
{{- with .Values.operator.class }}
- {name: PACELINE_OPERATOR_CLASS, value: {{ . | quote }}}
{{- end }}
{{- if .Values.operator.namespaced }}
- {name: PACELINE_OPERATOR_NAMESPACES, value: {{ .Release.Namespace }}}
{{- end }}
- {name: OTEL_SERVICE_NAME, value: {{ include "paceline.name" (list . "operator") }}}
{{- with .Values.telemetry.otlpEndpoint }}
- {name: OTEL_EXPORTER_OTLP_ENDPOINT, value: {{ . | quote }}}
{{- end }}
{{- if .Values.console.enabled }}
- {name: PACELINE_OPERATOR_CONSOLE_BIND, value: "127.0.0.1:8082"}
{{- with .Values.console.jaegerUrl }}
- {name: PACELINE_OPERATOR_CONSOLE_JAEGER_URL, value: {{ . | quote }}}
{{- end }}
{{- end }}
{{- range $name, $value := .Values.operator.env }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- end -}}
