{{- define "tickets.image" -}}
{{ .Values.image }}:{{ .Values.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "tickets.labels" -}}
app.kubernetes.io/name: tickets
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
