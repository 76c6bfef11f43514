{{/* The objects of one model. Pass a dict of root, model, server (its values) and manager, who
     makes them: by default Helm, for each of `models`; the deployer, by the ConfigMap
     <release>-model-template, for every other model. With pool, they are of the shared pool,
     whose servers serve several. */}}

{{- define "ml-assets.modelDeployment" -}}
{{- $part := dict "root" .root "component" "model-server" "model" .model "manager" .manager }}
{{- $server := .server }}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "ml-assets.modelName" $part }}
  labels:
    {{- include "ml-assets.labels" $part | nindent 4 }}
spec:
  {{- if not $server.autoscaling.enabled }}
  replicas: {{ $server.replicas }}
  {{- end }}
  revisionHistoryLimit: 5
  progressDeadlineSeconds: {{ $server.progressDeadlineSeconds }}
  minReadySeconds: 5
  strategy:
    type: RollingUpdate
    rollingUpdate:
      maxSurge: 1
      maxUnavailable: 0
  selector:
    matchLabels:
      {{- include "ml-assets.selector" $part | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "ml-assets.labels" $part | nindent 8 }}
        {{- include "ml-assets.strings" (list $server.podLabels $.root.Values.storage.podLabels) | nindent 8 }}
      # A deployment of a version sets ml-assets.dev/generation here, and a release of the
      # platform ml-assets.dev/release. The chart never writes them, so that no upgrade sets
      # them back.
      annotations:
        {{- include "ml-assets.strings" (list $server.podAnnotations (include "ml-assets.logHints" true | fromYaml)) | nindent 8 }}
    spec:
      {{- include "ml-assets.podDefaults" $.root | nindent 6 }}
      serviceAccountName: {{ include "ml-assets.fullname" $.root }}
      terminationGracePeriodSeconds: {{ add $server.drain.preStopSeconds $server.drain.shutdownSeconds 10 }}
      {{- with $server.spread }}
      topologySpreadConstraints:
        {{- range . }}
        - maxSkew: {{ .maxSkew }}
          topologyKey: {{ .topologyKey }}
          whenUnsatisfiable: {{ .whenUnsatisfiable }}
          labelSelector:
            matchLabels:
              {{- include "ml-assets.selector" $part | nindent 14 }}
          # The pods of a new generation are spread among themselves.
          matchLabelKeys: [pod-template-hash]
        {{- end }}
      {{- end }}
      {{- include "ml-assets.placement" $server | nindent 6 }}
      containers:
        - name: model-server
          image: {{ include "ml-assets.serverImage" (dict "root" $.root "name" (include "ml-assets.modelName" $part)) }}
          imagePullPolicy: {{ $.root.Values.images.server.pullPolicy }}
          args: [ml-assets, serve, --host, 0.0.0.0, --port, "8080", --metrics-port, "8000"]
          env:
            {{- include "ml-assets.environment" (dict "own" (include "ml-assets.modelEnvironment" .) "values" $server.env "path" "modelServer.env") | nindent 12 }}
          {{- with $.root.Values.storage.existingSecret }}
          envFrom:
            - secretRef: {name: {{ . }}}
          {{- end }}
          ports:
            - name: http
              containerPort: 8080
            - name: metrics
              containerPort: 8000
          # Loading may take long; only then does a silent server count as dead.
          startupProbe:
            httpGet: {path: /v2/health/live, port: http}
            periodSeconds: 2
            timeoutSeconds: 2
            failureThreshold: 60
          livenessProbe:
            httpGet: {path: /v2/health/live, port: http}
            periodSeconds: 10
            timeoutSeconds: 3
            failureThreshold: 3
          # Ready means: the plan is loaded, and its probe rows got the stored answers.
          readinessProbe:
            httpGet: {path: /v2/health/ready, port: http}
            periodSeconds: 2
            timeoutSeconds: 2
            failureThreshold: 2
          lifecycle:
            preStop:
              sleep:
                seconds: {{ $server.drain.preStopSeconds }}
          resources:
            {{- toYaml $server.resources | nindent 12 }}
          securityContext:
            {{- include "ml-assets.securityContext" $.root | nindent 12 }}
          volumeMounts:
            - name: home
              mountPath: /var/lib/ml-assets
            {{- if $.root.Values.storage.existingClaim }}
            {{- include "ml-assets.storageMount" $.root | nindent 12 }}
            {{- end }}
            {{- if $server.apiKeysSecret }}
            # A directory, which follows the Secret; a mounted file would not.
            - name: api-keys
              mountPath: /etc/ml-assets/api-keys
              readOnly: true
            {{- end }}
            {{- with $server.extraVolumeMounts }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
            - name: scratch
              mountPath: /tmp
      volumes:
        - name: home
          {{- with $server.home }}
          {{- if .storageClassName }}
          ephemeral:
            volumeClaimTemplate:
              spec:
                accessModes: [ReadWriteOnce]
                storageClassName: {{ .storageClassName }}
                resources:
                  requests:
                    storage: {{ .size }}
          {{- else }}
          emptyDir:
            sizeLimit: {{ .size }}
          {{- end }}
          {{- end }}
        {{- if $.root.Values.storage.existingClaim }}
        {{- include "ml-assets.storageVolume" $.root | nindent 8 }}
        {{- end }}
        {{- with $server.apiKeysSecret }}
        - name: api-keys
          secret:
            secretName: {{ . }}
            # By the group of the pod, which reads no other key of the Secret.
            defaultMode: 0440
            items:
              - {key: keys.json, path: keys.json}
        {{- end }}
        {{- with $server.extraVolumes }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
        - {{- include "ml-assets.scratch" "256Mi" | nindent 10 }}
{{- end }}

{{/* What the chart sets in the environment of a server. */}}
{{- define "ml-assets.modelEnvironment" -}}
- name: ML_ASSETS_HOME
  value: /var/lib/ml-assets
{{- include "ml-assets.storageEnvironment" .root | nindent 0 }}
{{- if not .pool }}
- name: ML_ASSETS_MODEL
  value: {{ .model }}
{{- end }}
- name: ML_ASSETS_GENERATION
  valueFrom:
    fieldRef:
      fieldPath: metadata.annotations['ml-assets.dev/generation']
{{- if .root.Values.traces.endpoint }}
{{- include "ml-assets.traces" .root | nindent 0 }}
{{- end }}
{{- if .server.apiKeysSecret }}
- name: ML_ASSETS_KEYS_FILE
  value: /etc/ml-assets/api-keys/keys.json
{{- end }}
{{- with .server.corsOrigins }}
- name: ML_ASSETS_CORS_ORIGINS
  value: {{ join "," . | quote }}
{{- end }}
- name: ML_ASSETS_WORKERS
  value: {{ .server.workers | quote }}
- name: ML_ASSETS_SHUTDOWN_SECONDS
  value: {{ .server.drain.shutdownSeconds | quote }}
{{- end }}

{{- define "ml-assets.modelService" -}}
{{- $part := dict "root" .root "component" "model-server" "model" .model "manager" .manager }}
apiVersion: v1
kind: Service
metadata:
  name: {{ include "ml-assets.modelName" $part }}
  labels:
    {{- include "ml-assets.labels" $part | nindent 4 }}
  {{- with .server.serviceAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  type: ClusterIP
  selector:
    {{- include "ml-assets.selector" $part | nindent 4 }}
  ports:
    - {name: http, port: 8080, targetPort: http, protocol: TCP, appProtocol: http}
    - {name: metrics, port: 8000, targetPort: metrics, protocol: TCP, appProtocol: http}
{{- end }}

{{- define "ml-assets.modelAutoscaler" -}}
{{- $part := dict "root" .root "component" "model-server" "model" .model "manager" .manager }}
{{- $server := .server }}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {{ include "ml-assets.modelName" $part }}
  labels:
    {{- include "ml-assets.labels" $part | nindent 4 }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {{ include "ml-assets.modelName" $part }}
  minReplicas: {{ $server.autoscaling.minReplicas }}
  maxReplicas: {{ $server.autoscaling.maxReplicas }}
  metrics:
    - type: Resource
      resource:
        name: cpu
        target:
          type: Utilization
          averageUtilization: {{ $server.autoscaling.targetCPUUtilizationPercentage }}
  behavior:
    scaleDown:
      stabilizationWindowSeconds: 300
{{- end }}

{{/* In place of the autoscaler, where KEDA is. KEDA takes what wants the most servers. */}}
{{- define "ml-assets.modelScaledObject" -}}
{{- $part := dict "root" .root "component" "model-server" "model" .model "manager" .manager }}
{{- $scaling := .server.autoscaling }}
{{- /* Of every model of the pool: the label is that of its Service, by the ServiceMonitor. */}}
{{- $series := printf "{%s=%q, namespace=%q}" (ternary "ml_assets_dev_model" "model" (default false .pool)) .model .root.Release.Namespace }}
{{- $prometheus := required "modelServer.autoscaling.keda.prometheusUrl is empty: name where Prometheus answers, see values.yaml" $scaling.keda.prometheusUrl }}
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: {{ include "ml-assets.modelName" $part }}
  labels:
    {{- include "ml-assets.labels" $part | nindent 4 }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {{ include "ml-assets.modelName" $part }}
  minReplicaCount: {{ $scaling.minReplicas }}
  maxReplicaCount: {{ $scaling.maxReplicas }}
  # Seconds without an active trigger, before the last server of a model that may have none goes.
  cooldownPeriod: 300
  advanced:
    horizontalPodAutoscalerConfig:
      behavior:
        scaleDown:
          stabilizationWindowSeconds: 300
  triggers:
    - type: cpu
      metricType: Utilization
      metadata:
        value: {{ $scaling.targetCPUUtilizationPercentage | quote }}
    - type: prometheus
      name: queue
      metadata:
        serverAddress: {{ $prometheus | quote }}
        query: sum(ml_assets_model_queue_requests{{ $series }})
        threshold: {{ $scaling.keda.targetQueue | quote }}
    {{- /* Only the deployer knows which models may have no server. */}}
    {{- with and .manager (not .pool) $scaling.keda.wakeQuery }}
    - type: prometheus
      name: wake
      metadata:
        serverAddress: {{ $prometheus | quote }}
        query: {{ replace "__MODEL__" $.model . | replace "--MODEL--" (replace "_" "-" $.model) | quote }}
        # It says whether there are servers, and never how many.
        threshold: "1000000"
        activationThreshold: "0"
    {{- end }}
{{- end }}

{{- define "ml-assets.modelBudget" -}}
{{- $part := dict "root" .root "component" "model-server" "model" .model "manager" .manager }}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "ml-assets.modelName" $part }}
  labels:
    {{- include "ml-assets.labels" $part | nindent 4 }}
spec:
  maxUnavailable: 1
  # A pod that is not ready serves nobody, and must not hold up a drain.
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "ml-assets.selector" $part | nindent 6 }}
{{- end }}

{{/* The paths of models, behind one host. Pass a dict of root, name, models and manager. */}}
{{- define "ml-assets.modelIngress" -}}
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {{ .name }}
  labels:
    {{- include "ml-assets.labels" (dict "root" .root "component" "model-server" "manager" .manager) | nindent 4 }}
  {{- with .root.Values.ingress.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- with .root.Values.ingress.className }}
  ingressClassName: {{ . }}
  {{- end }}
  {{- with .root.Values.ingress.tlsSecretName }}
  tls:
    - hosts: [{{ $.root.Values.ingress.host }}]
      secretName: {{ . }}
  {{- end }}
  rules:
    - host: {{ .root.Values.ingress.host }}
      http:
        paths:
          {{- range $model := .models }}
          {{- range $prefix := list "/models" "/v2/models" }}
          - path: {{ $prefix }}/{{ $model }}
            pathType: Prefix
            backend:
              service:
                name: {{ include "ml-assets.modelName" (dict "root" $.root "model" $model) }}
                port: {name: http}
          {{- end }}
          {{- end }}
{{- end }}

{{/* The paths of one model, behind a Gateway: a route has at most 16 rules, so each model has its
     own. */}}
{{- define "ml-assets.modelRoute" -}}
{{- $part := dict "root" .root "component" "model-server" "model" .model "manager" .manager }}
{{- $gateway := .root.Values.gateway }}
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: {{ include "ml-assets.modelName" $part }}
  labels:
    {{- include "ml-assets.labels" $part | nindent 4 }}
  {{- with $gateway.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  parentRefs:
    {{- toYaml $gateway.parentRefs | nindent 4 }}
  {{- with $gateway.hostnames }}
  hostnames:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  rules:
    - matches:
        {{- range $prefix := list "/models" "/v2/models" }}
        - path: {type: PathPrefix, value: {{ $prefix }}/{{ $.model }}}
        {{- end }}
      backendRefs:
        - {name: {{ include "ml-assets.modelName" $part }}, port: 8080}
{{- end }}
