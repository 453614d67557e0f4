{{- define "paceline.serviceEnv" -}}
{{- $service := .Values.service -}}
- {name: PACELINE_BIND, value: "0.0.0.0:8000"}
- {name: PACELINE_MANAGEMENT_BIND, value: "0.0.0.0:9090"}
- {name: PACELINE_RUN_DIR, value: /run/paceline/pod}
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
{{- with include "paceline.securityRedisSecret" . }}
- {name: SECURITY_REDIS_URL, valueFrom: {secretKeyRef: {name: {{ . | quote }}, key: url}}}
{{- end }}
{{- with include "paceline.tokenSecret" . }}
- {name: API_TOKEN_SECRET, valueFrom: {secretKeyRef: {name: {{ . | quote }}, key: secret}}}
{{- end }}
{{- with $service.mongo.existingSecret }}
- {name: MONGO_URL, valueFrom: {secretKeyRef: {name: {{ . | quote }}, key: url}}}
{{- end }}
{{- with $service.upstream.url }}
- {name: UPSTREAM_URL, value: {{ . | quote }}}
{{- end }}
{{- include "paceline.sharedEnv" . }}
{{- end -}}

{{/* What sends mails knows the mail server's password, and not the secret that signs tokens. */}}
{{- define "paceline.jobsEnv" -}}
- {name: API_JOBS_ALIVE_FILE, value: /tmp/jobs-alive}
{{- if .Values.service.smtp.existingSecret }}
- {name: API_MAIL_SMTP_URL, valueFrom: {secretKeyRef: {name: {{ .Values.service.smtp.existingSecret | quote }}, key: url}}}
{{- else }}
- {name: API_MAIL_SMTP_URL, value: {{ include "paceline.smtpUrl" . | quote }}}
{{- end }}
{{- with .Values.service.smtp.sender }}
- {name: API_MAIL_SENDER, value: {{ . | quote }}}
{{- end }}
{{- include "paceline.sharedEnv" . }}
{{- end -}}

{{/* Of the service and its jobs. What users set comes last: it wins. */}}
{{- define "paceline.sharedEnv" -}}
{{/* Two releases may share a Redis: without it the same application of both would share cached values. */}}
- {name: PACELINE_CACHE_NAMESPACE, value: {{ printf "%s.%s" .Release.Namespace (include "paceline.name" (list . "service")) }}}
{{- with include "paceline.databaseSecret" . }}
- {name: DATABASE_URL, valueFrom: {secretKeyRef: {name: {{ . | quote }}, key: url}}}
{{- end }}
{{- with include "paceline.redisSecret" . }}
- {name: REDIS_URL, valueFrom: {secretKeyRef: {name: {{ . | quote }}, key: url}}}
{{- end }}
{{- range $name, $value := .Values.service.env }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- with .Values.service.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "paceline.serviceMounts" -}}
# A folder, not a subPath: kubelet never updates those.
- {name: tuning, mountPath: /etc/paceline/tuning, readOnly: true}
- {name: run, mountPath: /run/paceline}
- {name: tmp, mountPath: /tmp}
{{- with .Values.service.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "paceline.serviceVolumes" -}}
- name: tuning
  configMap:
    # Written by the operator alone; the pod starts without it.
    name: {{ include "paceline.name" (list . "service") }}-tuning
    optional: true
# An emptyDir, so that the marker of an unclean exit survives the container.
- name: run
  emptyDir: {medium: Memory, sizeLimit: 64Mi}
- {name: tmp, emptyDir: {}}
{{- with .Values.service.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Of the jobs and of both migrations. */}}
{{- define "paceline.jobsMounts" -}}
- {name: tmp, mountPath: /tmp}
{{- with .Values.service.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "paceline.jobsVolumes" -}}
- {name: tmp, emptyDir: {}}
{{- with .Values.service.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}
