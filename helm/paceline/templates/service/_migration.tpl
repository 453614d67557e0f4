{{/* The init container that brings the database to the newest schema: of the chart, the environment, the resources. */}}
{{- define "paceline.migration" -}}
{{- $root := index . 0 -}}
{{- $service := $root.Values.service -}}
name: migrate
image: {{ include "paceline.image" $service.image }}
imagePullPolicy: {{ $service.image.pullPolicy }}
args: {{ include "paceline.migrationCommand" $root }}
env: {{- include "paceline.unique" (list "name" (include (index . 1) $root)) | nindent 2 }}
securityContext: {{- include "paceline.securityContext" $root | nindent 2 }}
resources: {{- toYaml (index . 2) | nindent 2 }}
volumeMounts: {{- include "paceline.unique" (list "mountPath" (include "paceline.jobsMounts" $root)) | nindent 2 }}
{{- end -}}
