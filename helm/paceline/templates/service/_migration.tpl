{{/* The init container that brings the database to the newest schema: of the chart, the environment, the resources. */}}
{{- define "paceline.migration" -}}
{{- $root := index . 0 -}}
{{- $service := $root.Values.service -}}
name: migrate
image: {{ include "paceline.image" $service.image }}
imagePullPolicy: {{ $service.image.pullPolicy }}
args: {{ include "paceline.migrationCommand" $root }}
env: {{- include (index . 1) $root | nindent 2 }}
securityContext: {{- include "paceline.securityContext" $root | nindent 2 }}
resources: {{- toYaml (index . 2) | nindent 2 }}
volumeMounts:
  - {name: tmp, mountPath: /tmp}
  {{- with $service.extraVolumeMounts }}{{ toYaml . | nindent 2 }}{{ end }}
{{- end -}}
