{{- define "ray-operator.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "ray-operator.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "ray-operator.labels" -}}
{{ include "ray-operator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "ray-operator.account" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "ray-operator.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name: which account, as serviceAccount.create is false" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "ray-operator.lease" -}}
{{- default (include "ray-operator.fullname" .) .Values.leaseName -}}
{{- end -}}

{{- define "ray-operator.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* The rules of all roles of one kind in files/rbac, with the Lease by the name that it has in this release. */}}
{{- define "ray-operator.rules" -}}
{{- $root := .root -}}
{{- $rules := list -}}
{{- range $path, $_ := $root.Files.Glob "files/rbac/*.yaml" -}}
{{- range $document := regexSplit "(?m)^---\\s*$" ($root.Files.Get $path) -1 -}}
{{- $object := fromYaml $document -}}
{{- if eq (default "" $object.kind) $.kind -}}
{{- range $rule := $object.rules -}}
{{- if and (has "leases" $rule.resources) $rule.resourceNames -}}
{{- $rule = set $rule "resourceNames" (list (include "ray-operator.lease" $root)) -}}
{{- end -}}
{{- $rules = append $rules $rule -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if not $rules -}}
{{- fail (printf "files/rbac has no rules of kind %s" .kind) -}}
{{- end -}}
{{- toYaml $rules -}}
{{- end -}}
