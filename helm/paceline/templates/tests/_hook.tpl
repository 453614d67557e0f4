{{/* Made for `helm test`, in this order, and removed when it is over; what failed stays, for its log. */}}
{{- define "paceline.testHook" -}}
helm.sh/hook: test
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end -}}
