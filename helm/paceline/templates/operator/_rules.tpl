{{/*
What the operator may do. Never `patch pods`, which could change a running image, and no Secrets.
Its writes to ConfigMaps are narrowed to tuning documents by admission.yaml.
*/}}
{{- define "paceline.operatorRules" -}}
- apiGroups: [paceline.dev]
  resources: [tuningpolicies, connectionbudgets]
  verbs: [get, list, watch]
- apiGroups: [paceline.dev]
  resources: [tuningpolicies/status, connectionbudgets/status]
  verbs: [update]
# What was learnt of each policy, under the policy's name.
- apiGroups: [paceline.dev]
  resources: [tuningcheckpoints]
  verbs: [get, create, update]
# How many pods an autoscaler may make: what a ConnectionBudget has to do for.
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [list]
- apiGroups: [apps]
  resources: [deployments, statefulsets]
  verbs: [get, list, watch]
- apiGroups: [apps]
  resources: [deployments/scale, statefulsets/scale]
  verbs: [get]
# Whose a pod is: Pod, ReplicaSet, Deployment.
- apiGroups: [apps]
  resources: [replicasets]
  verbs: [get]
# The annotations that pause a whole namespace. A Role grants this for its own namespace.
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get]
- apiGroups: [""]
  resources: [pods]
  verbs: [list]
{{- if .Values.operator.nudge }}
# An annotation through the status subresource makes kubelet look at the mounted document at once; admission.yaml allows
# nothing else of it.
- apiGroups: [""]
  resources: [pods/status]
  verbs: [patch]
{{- end }}
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, create, update]
# Which of two operators works on the policies of a namespace.
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [get, create, update]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- with .Values.operator.extraRules }}
{{ toYaml . }}
{{- end }}
{{- end -}}
