{{/* DATABASE_URL and REDIS_URL, each from a Secret: yours, or the one that a bundled database comes with. */}}
{{- define "iocloud.databases" -}}
- name: DATABASE_URL
  valueFrom:
    secretKeyRef:
      {{- if .Values.database.bundled }}
      # CloudNativePG makes it with the database.
      name: {{ include "iocloud.bundled" (dict "root" . "chart" "postgresql") }}-app
      key: uri
      {{- else }}
      name: {{ default .Values.secrets.existingSecret .Values.database.existingSecret }}
      key: {{ .Values.database.key }}
      {{- end }}
{{- if .Values.redis.bundled }}
{{- if ne .Values.valkey.auth.usersExistingSecret .Values.secrets.existingSecret }}
{{- fail "valkey.auth.usersExistingSecret: must be secrets.existingSecret, where redis-password is" }}
{{- end }}
- name: REDIS_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ .Values.secrets.existingSecret }}
      key: redis-password
- name: REDIS_URL
  value: redis://default:$(REDIS_PASSWORD)@{{ include "iocloud.bundled" (dict "root" . "chart" "valkey") }}:6379
{{- else }}
- name: REDIS_URL
  valueFrom:
    secretKeyRef:
      name: {{ default .Values.secrets.existingSecret .Values.redis.existingSecret }}
      key: {{ .Values.redis.key }}
{{- end }}
{{- end -}}

{{/* What follows from the chart itself; settings may not say it again. */}}
{{- define "iocloud.own" -}}
IOCLOUD_HTTP_HOST: 0.0.0.0
IOCLOUD_HTTP_PORT: "8265"
IOCLOUD_SSH_HOST: 0.0.0.0
IOCLOUD_SSH_PORT: "8266"
IOCLOUD_DATA_DIR: /var/lib/iocloud
IOCLOUD_SECRETS_DIR: /etc/iocloud/secrets
{{- if .Values.secrets.bootstrap }}
IOCLOUD_BOOTSTRAP_FILE: /etc/iocloud/bootstrap/bootstrap.json
{{- end }}
{{- with include "iocloud.publicUrl" . }}
IOCLOUD_PUBLIC_URL: {{ . | quote }}
{{- end }}
{{- if .Values.ssh.publicAddress }}
IOCLOUD_PUBLIC_SSH: {{ .Values.ssh.publicAddress | quote }}
{{- else if include "iocloud.publicUrl" . }}
IOCLOUD_PUBLIC_SSH: {{ printf "%s:%v" (include "iocloud.publicUrl" . | urlParse).hostname .Values.ssh.service.port | quote }}
{{- end }}
{{- if .Values.agentRelease.existingSecret }}
IOCLOUD_AGENT_RELEASE_DIR: /run/iocloud/agent-release
IOCLOUD_AGENT_RELEASE_KEY: /run/iocloud/agent-release/release-key.pub
{{- else }}
IOCLOUD_AGENT_RELEASE_DIR: /opt/iocloud/worker-bootstrap/release
{{- end }}
{{- end -}}

{{- define "iocloud.environment" -}}
{{- include "iocloud.databases" . }}
{{- $own := include "iocloud.own" . | fromYaml }}
{{- range $name, $value := $own }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- range $name, $value := .Values.settings }}
{{- if hasKey $own $name }}
{{- fail (printf "settings.%s: the chart sets it; see publicUrl, ssh.publicAddress, secrets and agentRelease" $name) }}
{{- end }}
- name: {{ $name }}
  value: {{ if kindIs "float64" $value }}{{ if eq (floor $value) $value }}{{ $value | int64 | quote }}{{ else }}{{ $value | quote }}{{ end }}{{ else }}{{ $value | quote }}{{ end }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}
