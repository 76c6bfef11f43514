{{/* The stem of every name: the release's name, with the chart's where it lacks it. */}}
{{- define "ml-assets.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- default $full .Values.fullnameOverride | trunc 30 | trimSuffix "-" -}}
{{- end }}

{{/* What selects the pods of a part: pass a dict of root and component. */}}
{{- define "ml-assets.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- with .model }}
ml-assets.dev/model: {{ . }}
{{- end }}
{{- end }}

{{/* The labels of every object: pass a dict of root and component, and of who makes it where
     Helm does not. */}}
{{- define "ml-assets.labels" -}}
{{ include "ml-assets.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .manager | default .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{/* An image by digest or by tag, as docker/publish.sh names them: pass a dict of root and
     image, which is a key of images. */}}
{{- define "ml-assets.image" -}}
{{- $image := get .root.Values.images .image -}}
{{- $target := get (dict "server" "production") .image | default .image -}}
{{- $repository := required (printf "images.%s.repository is empty: name where that image is, see values.yaml" .image) $image.repository -}}
{{- if $image.digest -}}
{{ $repository }}@{{ $image.digest }}
{{- else -}}
{{ $repository }}:{{ $image.tag | default (printf "v%s-%s" .root.Chart.AppVersion $target) }}
{{- end -}}
{{- end }}

{{/* What the Deployment of a model runs: pass a dict of root and name. Where releases of the
     platform change it, the image is theirs (docs/kubernetes.md, "Who owns which field"):
     what the last one put there is written again, so that no upgrade sets it back. */}}
{{- define "ml-assets.serverImage" -}}
{{- $live := dict -}}
{{- if .root.Values.deployer.codeLocation -}}
{{- $live = lookup "apps/v1" "Deployment" .root.Release.Namespace .name | default dict -}}
{{- end -}}
{{- $template := dig "spec" "template" dict $live -}}
{{- if hasKey (dig "metadata" "annotations" dict $template | default dict) "ml-assets.dev/release" -}}
{{- get (first (dig "spec" "containers" list $template)) "image" -}}
{{- else -}}
{{- include "ml-assets.image" (dict "root" .root "image" "server") -}}
{{- end -}}
{{- end }}

{{/* The Deployment and Service of a model: underscores are no part of a DNS name. */}}
{{- define "ml-assets.modelName" -}}
{{- printf "%s-%s" (include "ml-assets.fullname" .root) (replace "_" "-" .model) -}}
{{- end }}

{{/* The URL of the storage. */}}
{{- define "ml-assets.storageUrl" -}}
{{- required "storage.url is empty: name a bucket such as s3://BUCKET/PREFIX, see values.yaml" .Values.storage.url -}}
{{- end }}

{{/* Where the storage is, for a container: pass the root. */}}
{{- define "ml-assets.storageEnvironment" -}}
- name: ML_ASSETS_STORAGE
  value: {{ include "ml-assets.storageUrl" . }}
{{- range $name, $value := .Values.storage.environment }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}

{{/* Its volume and where that is mounted, for a storage that is a directory: pass the root. */}}
{{- define "ml-assets.storageVolume" -}}
- name: storage
  persistentVolumeClaim: {claimName: {{ .Values.storage.existingClaim }}}
{{- end }}
{{- define "ml-assets.storageMount" -}}
- name: storage
  mountPath: {{ trimPrefix "file://" (include "ml-assets.storageUrl" .) }}
{{- end }}

{{/* The model that `helm test` asks. */}}
{{- define "ml-assets.testModel" -}}
{{- default (keys .Values.models | sortAlpha | first) .Values.test.model -}}
{{- end }}

{{/* One security context for every pod, as Pod Security "restricted" wants it. */}}
{{- define "ml-assets.podSecurityContext" -}}
runAsNonRoot: true
{{- if not .Values.openshift }}
runAsUser: {{ .Values.user }}
runAsGroup: {{ .Values.user }}
fsGroup: {{ .Values.user }}
fsGroupChangePolicy: OnRootMismatch
{{- end }}
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* And for every container. */}}
{{- define "ml-assets.securityContext" -}}
allowPrivilegeEscalation: false
privileged: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* What the pods of all parts have in common. */}}
{{- define "ml-assets.podDefaults" -}}
{{- with .Values.imagePullSecrets -}}
imagePullSecrets:
{{ toYaml . }}
{{ end -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  {{- include "ml-assets.podSecurityContext" . | nindent 2 }}
{{- end }}

{{/* Where the pods of a part run: pass its values. */}}
{{- define "ml-assets.placement" -}}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- range $key := list "nodeSelector" "tolerations" "affinity" }}
{{- with get $ $key }}
{{ $key }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}

{{/* Labels or annotations of several sources, of which the first wins: pass a list of maps. */}}
{{- define "ml-assets.strings" -}}
{{- $all := dict -}}
{{- range . }}{{- $all = merge $all (default dict .) }}{{- end }}
{{- with $all }}{{ toYaml . }}{{- end }}
{{- end }}

{{/* The environment of a container. Pass a dict of own, the text of what the chart sets; values,
     what the values add; and path, the name of these values. Two variables of one name
     would be refused by server-side apply. */}}
{{- define "ml-assets.environment" -}}
{{- .own | trim }}
{{- $names := list }}
{{- range fromYamlArray .own }}
{{- if has .name $names }}
{{- fail (printf "storage.environment.%s is set by the chart itself: leave it out" .name) }}
{{- end }}
{{- $names = append $names .name }}
{{- end }}
{{- range $name, $value := .values }}
{{- if has $name $names }}
{{- fail (printf "%s.%s is set by the chart itself: leave it out" $.path $name) }}
{{- end }}
- name: {{ $name }}
{{- if kindIs "string" $value }}
  value: {{ $value | quote }}
{{- else }}
  valueFrom:
    {{- toYaml $value | nindent 4 }}
{{- end }}
{{- end }}
{{- end }}

{{/* The whole DNS name of a Service, which resolvers without a search list know, too: pass a
     dict of root and name. */}}
{{- define "ml-assets.host" -}}
{{ .name }}.{{ .root.Release.Namespace }}.svc.{{ .root.Values.clusterDomain }}
{{- end }}

{{/* A place to write: pass the size. */}}
{{- define "ml-assets.scratch" -}}
name: scratch
emptyDir:
  sizeLimit: {{ . }}
{{- end }}

{{/* Hints for Filebeat: pass whether the lines are JSON. */}}
{{- define "ml-assets.logHints" -}}
co.elastic.logs/enabled: "true"
{{- if . }}
co.elastic.logs/json.add_error_key: "true"
co.elastic.logs/json.expand_keys: "true"
co.elastic.logs/json.overwrite_keys: "true"
{{- end }}
{{- end }}

{{/* Where traces go, as OpenTelemetry wants it: pass the root. */}}
{{- define "ml-assets.traces" -}}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ .Values.traces.endpoint | quote }}
- name: OTEL_TRACES_SAMPLER
  value: parentbased_traceidratio
- name: OTEL_TRACES_SAMPLER_ARG
  value: {{ .Values.traces.share | quote }}
{{- end }}
