{{/*
Each template begins with it. `helm upgrade --reuse-values` brings the values of the release before and none that are
new in this chart; those are taken from files/values.yaml, a copy of values.yaml. What may be removed by null stays so.
*/}}
{{- define "paceline.defaults" -}}
{{- include "paceline.completed" (list .Values (.Files.Get "files/values.yaml" | fromYaml)) -}}
{{- end -}}

{{- define "paceline.completed" -}}
{{- $values := index . 0 -}}
{{- range $name, $default := index . 1 -}}
{{- if has $name (list "replicas" "resources") -}}
{{- else if not (hasKey $values $name) -}}
{{- $_ := set $values $name $default -}}
{{- else if and (kindIs "map" $default) (kindIs "map" (index $values $name)) -}}
{{- include "paceline.completed" (list (index $values $name) $default) -}}
{{- end -}}
{{- end -}}
{{- end -}}
