{{- define "paceline.serviceEnv" -}}
{{- $service := .Values.service -}}
- {name: PACELINE_BIND, value: "0.0.0.0:8000"}
- {name: PACELINE_TRACE_RATIO, value: {{ .Values.telemetry.sampleRatio | quote }}}
{{- include "paceline.otelEnv" (list . "service") }}
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
{{- include "paceline.otelEnv" (list . "jobs") }}
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

{{- define "paceline.otelEnv" -}}
{{- $root := first . }}
- {name: OTEL_SERVICE_NAME, value: {{ include "paceline.name" . }}}
{{- with $root.Values.telemetry.otlpEndpoint }}
- {name: OTEL_EXPORTER_OTLP_ENDPOINT, value: {{ . | quote }}}
{{- end }}
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

{{/* What the templates of charts/paceline-pod want to know of the service's pod. */}}
{{- define "paceline.servicePod" -}}
target: {{ include "paceline.name" (list . "service") }}
terminationDelaySeconds: {{ .Values.service.terminationDelaySeconds }}
gracefulTimeoutSeconds: {{ .Values.service.gracefulTimeoutSeconds }}
{{- end -}}

{{- define "paceline.serviceContainer" -}}
{{- $service := .Values.service -}}
name: service
image: {{ include "paceline.image" $service.image }}
imagePullPolicy: {{ $service.image.pullPolicy }}
{{- with $service.command }}
command: {{- toYaml . | nindent 2 }}
{{- end }}
args: [paceline, serve, {{ $service.app | quote }}]
env: {{- include "paceline.unique" (list "name" (include "paceline.serviceEnv" .)) | nindent 2 }}
ports:
  - {name: http, containerPort: 8000}
securityContext: {{- include "paceline.securityContext" . | nindent 2 }}
resources: {{- toYaml $service.resources | nindent 2 }}
volumeMounts: {{- include "paceline.unique" (list "mountPath" (include "paceline.serviceMounts" .)) | nindent 2 }}
{{- end -}}

{{- define "paceline.serviceMounts" -}}
- {name: tmp, mountPath: /tmp}
{{- with .Values.service.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "paceline.serviceVolumes" -}}
{{ include "paceline.volumes" (include "paceline.servicePod" . | fromYaml) }}
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
