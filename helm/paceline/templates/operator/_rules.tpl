{{/*
The operator's rights, and nothing beside them: never `patch pods`, which could change a running image, and no Secrets.
*/}}
{{- define "paceline.operatorRules" -}}
- apiGroups: [paceline.dev]
  resources: [tuningpolicies]
  verbs: [get, list, watch, patch]
- apiGroups: [paceline.dev]
  resources: [tuningpolicies/status]
  verbs: [get, patch, update]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
{{- if .Values.operator.nudge }}
# An annotation through the status subresource makes kubelet look at the mounted document at once.
- apiGroups: [""]
  resources: [pods/status]
  verbs: [patch]
{{- end }}
- apiGroups: [apps]
  resources: [deployments, statefulsets, replicasets, daemonsets]
  verbs: [get, list, watch]
- apiGroups: [apps]
  resources: [deployments/scale, statefulsets/scale, replicasets/scale]
  verbs: [get]
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, watch, create, update, patch]
- apiGroups: ["", events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- if not .Values.operator.namespaced }}
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get, list, watch]
- apiGroups: [apiextensions.k8s.io]
  resources: [customresourcedefinitions]
  verbs: [get, list, watch]
{{- end }}
{{- end -}}
