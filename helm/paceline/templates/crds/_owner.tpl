{{/*
Whether this release brings a CRD, of the chart and its name: nobody has it yet, or we do. One that an earlier release
has left, that another one brings or that was applied by hand is used as it is; Helm would refuse the whole installation.
*/}}
{{- define "paceline.bringsCrd" -}}
{{- $root := index . 0 -}}
{{- if $root.Values.crds.enabled -}}
{{- $found := lookup "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" (index . 1) | default dict -}}
{{- $said := dig "metadata" "annotations" dict $found -}}
{{- $name := get $said "meta.helm.sh/release-name" -}}
{{- $namespace := get $said "meta.helm.sh/release-namespace" -}}
{{- if or (not $found) (and (eq $name $root.Release.Name) (eq $namespace $root.Release.Namespace)) -}}
true
{{- end -}}
{{- end -}}
{{- end -}}
