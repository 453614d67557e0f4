{{/* Names and labels. A component is service, jobs, operator, postgresql, valkey, valkey-security, mail, dashboard or trial. */}}

{{/* At most 63 characters: a Service's name and a label's value may not be longer, and a release's has up to 53. */}}
{{- define "paceline.name" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- printf "%s-%s" ($root.Release.Name | trunc (int (sub 62 (len $component))) | trimSuffix "-") $component -}}
{{- end -}}

{{/* A version as a label's value: no `+`, as build metadata has it, and no more than 63 characters. */}}
{{- define "paceline.labelValue" -}}
{{- . | replace "+" "_" | trunc 63 | trimAll "-_." -}}
{{- end -}}

{{- define "paceline.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: paceline
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- define "paceline.labels" -}}
{{- $root := index . 0 -}}
{{ include "paceline.selector" . }}
app.kubernetes.io/version: {{ include "paceline.labelValue" $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ include "paceline.labelValue" (printf "%s-%s" $root.Chart.Name $root.Chart.Version) }}
{{- end -}}

{{- define "paceline.image" -}}
{{- printf "%s:%s" .repository .tag -}}
{{- end -}}

{{/* Pod security as the Restricted standard asks for, and a read-only root file system on top. */}}
{{- define "paceline.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "paceline.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* Where the service finds its database and its Redis: the user's Secrets, else those of the demo, else none. */}}
{{- define "paceline.databaseSecret" -}}
{{- .Values.service.database.existingSecret | default (ternary (include "paceline.name" (list . "postgresql")) "" .Values.demo.enabled) -}}
{{- end -}}

{{- define "paceline.redisSecret" -}}
{{- .Values.service.redis.existingSecret | default (ternary (include "paceline.name" (list . "valkey")) "" .Values.demo.enabled) -}}
{{- end -}}

{{/* Without one the API keeps revoked tokens in REDIS_URL, and checks that it evicts nothing. */}}
{{- define "paceline.securityRedisSecret" -}}
{{- .Values.service.securityRedis.existingSecret | default (ternary (include "paceline.name" (list . "valkey-security")) "" .Values.demo.enabled) -}}
{{- end -}}

{{- define "paceline.tokenSecret" -}}
{{- .Values.service.auth.existingSecret | default (ternary (include "paceline.name" (list . "auth")) "" .Values.demo.enabled) -}}
{{- end -}}

{{/* The demo's mail server is there for jobs that have no other. */}}
{{- define "paceline.hasDemoMail" -}}
{{- if and .Values.demo.enabled .Values.service.jobs.enabled (not .Values.service.smtp.existingSecret) (not .Values.service.smtp.url) }}true{{ end -}}
{{- end -}}

{{- define "paceline.smtpUrl" -}}
{{- .Values.service.smtp.url | default (ternary (printf "smtp://%s:1025" (include "paceline.name" (list . "mail"))) "" (eq (include "paceline.hasDemoMail" .) "true")) -}}
{{- end -}}

{{- define "paceline.isReferenceApi" -}}
{{- if eq .Values.service.app "paceline_api.app:app" }}true{{ end -}}
{{- end -}}

{{/* The reference API brings its own migrations; any other application says how to run its own. */}}
{{- define "paceline.migrationCommand" -}}
{{- if .Values.service.migrations.command -}}
{{- toJson .Values.service.migrations.command -}}
{{- else if include "paceline.isReferenceApi" . -}}
["python", "-m", "paceline_api.migrate"]
{{- end -}}
{{- end -}}

{{/*
How many pods, as a line of a Deployment: of the chart, the component, the number, and whether an autoscaler has it.
Where nobody gives one, what runs now stays: without the line Kubernetes would go from an earlier release's number to 1.
*/}}
{{- define "paceline.replicas" -}}
{{- $root := index . 0 -}}
{{- $given := index . 2 -}}
{{- if or (index . 3) (kindIs "invalid" $given) -}}
{{- $now := lookup "apps/v1" "Deployment" $root.Release.Namespace (include "paceline.name" (list $root (index . 1))) -}}
{{- if hasKey (dig "spec" dict ($now | default dict)) "replicas" -}}
replicas: {{ $now.spec.replicas }}
{{- end -}}
{{- else -}}
replicas: {{ $given }}
{{- end -}}
{{- end -}}
