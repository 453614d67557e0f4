{{/*
The pod contract as templates, for any chart. All take one dict:
  target                   name of the workload: its tuning document is ConfigMap <target>-tuning
  container                the container as a dict; what it has of its own wins (paceline.container alone)
  terminationDelaySeconds  5 by default: for load balancers to notice
  gracefulTimeoutSeconds   30 by default: the longest request
*/}}

{{/* The container with variables, port, probes and mounts: `- {{ include "paceline.container" (dict …) | indent 10 | trim }}`. */}}
{{- define "paceline.container" -}}
{{- $own := .container -}}
{{- $merged := deepCopy $own -}}
{{- range $kind, $probe := include "paceline.probes" . | fromYaml -}}
{{- /* Whole or not at all: Kubernetes refuses a probe of two handlers. */ -}}
{{- if not (hasKey $own $kind) -}}{{- $_ := set $merged $kind $probe -}}{{- end -}}
{{- end -}}
{{- range $list, $key := dict "env" "name" "ports" "name" "volumeMounts" "mountPath" -}}
{{- $entries := concat (include (printf "paceline.%s" $list) $ | fromYamlArray) (get $own $list | default list) -}}
{{- $_ := set $merged $list (include "paceline.unique" (list $key (toYaml $entries)) | fromYamlArray) -}}
{{- end -}}
name: {{ $own.name }}
{{ toYaml (omit $merged "name") }}
{{- end -}}

{{/* Entries of the pod's `volumes`. */}}
{{- define "paceline.volumes" -}}
# Written by the operator alone; the pod starts without it.
- {name: tuning, configMap: {name: {{ .target }}-tuning, optional: true}}
# An emptyDir, so that the marker of an unclean exit survives the container.
- {name: run, emptyDir: {medium: Memory, sizeLimit: 64Mi}}
{{- end -}}

{{- define "paceline.probes" -}}
# Preloading and the first workers may take a while on a busy node.
startupProbe: {httpGet: {path: /readyz, port: paceline}, periodSeconds: 1, timeoutSeconds: 2, failureThreshold: 120}
readinessProbe: {httpGet: {path: /readyz, port: paceline}, periodSeconds: 2, timeoutSeconds: 2, failureThreshold: 2}
livenessProbe: {httpGet: {path: /livez, port: paceline}, periodSeconds: 5, timeoutSeconds: 5, failureThreshold: 6}
{{- end -}}

{{/* terminationGracePeriodSeconds. Not ready first, then the longest request, then what each process may take to stop. */}}
{{- define "paceline.gracePeriodSeconds" -}}
{{- add (kindIs "invalid" .terminationDelaySeconds | ternary 5 .terminationDelaySeconds) (kindIs "invalid" .gracefulTimeoutSeconds | ternary 30 .gracefulTimeoutSeconds) 20 -}}
{{- end -}}

{{- define "paceline.env" -}}
- {name: PACELINE_MANAGEMENT_BIND, value: "0.0.0.0:9090"}
- {name: PACELINE_RUN_DIR, value: /run/paceline/pod}
- {name: PACELINE_TUNING_FILE, value: /etc/paceline/tuning/tuning.json}
- {name: PACELINE_TERMINATION_DELAY_SECONDS, value: {{ kindIs "invalid" .terminationDelaySeconds | ternary 5 .terminationDelaySeconds | quote }}}
- {name: PACELINE_GRACEFUL_TIMEOUT_SECONDS, value: {{ kindIs "invalid" .gracefulTimeoutSeconds | ternary 30 .gracefulTimeoutSeconds | quote }}}
- {name: PACELINE_POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
- {name: PACELINE_POD_UID, valueFrom: {fieldRef: {fieldPath: metadata.uid}}}
{{- end -}}

{{- define "paceline.ports" -}}
- {name: paceline, containerPort: 9090}
{{- end -}}

{{- define "paceline.volumeMounts" -}}
# A folder, not a subPath: kubelet never updates those.
- {name: tuning, mountPath: /etc/paceline/tuning, readOnly: true}
- {name: run, mountPath: /run/paceline}
{{- end -}}

{{/*
A list without doubles: of two entries that have the same value in a field the later one stays, which is the user's.
Entries without that field, such as a port without a name, all stay.
Of two with the same name a strategic merge patch keeps either, and server-side apply refuses both.
*/}}
{{- define "paceline.unique" -}}
{{- $field := index . 0 -}}
{{- $entries := index . 1 | fromYamlArray -}}
{{- $taken := dict -}}
{{- $kept := list -}}
{{- range reverse $entries -}}
{{- $key := get . $field -}}
{{- if or (not $key) (not (hasKey $taken $key)) -}}
{{- $_ := set $taken ($key | default "") true -}}
{{- $kept = prepend $kept . -}}
{{- end -}}
{{- end -}}
{{- toYaml $kept -}}
{{- end -}}
