{{/* The objects of one model. Pass a dict of root, model, server (its values) and manager, who
     makes them: by default Helm, for each of `models`; the deployer, by the ConfigMap
     <release>-model-template, for every other model. */}}

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
        {{- with $.root.Values.storage.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      # A deployment of a version sets ml-assets.dev/generation here, and a release of the
      # platform ml-assets.dev/release. The chart never writes them, so that no upgrade sets
      # them back.
      annotations:
        {{- include "ml-assets.logHints" true | nindent 8 }}
        {{- with $server.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      {{- include "ml-assets.podDefaults" $.root | nindent 6 }}
      serviceAccountName: {{ include "ml-assets.fullname" $.root }}
      terminationGracePeriodSeconds: {{ add $server.drain.preStopSeconds $server.drain.shutdownSeconds 10 }}
      topologySpreadConstraints:
        {{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
        - maxSkew: 1
          topologyKey: {{ $key }}
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels:
              {{- include "ml-assets.selector" $part | nindent 14 }}
          # The pods of a new generation are spread among themselves.
          matchLabelKeys: [pod-template-hash]
        {{- end }}
      {{- with $server.nodeSelector }}
      nodeSelector:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $server.tolerations }}
      tolerations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      containers:
        - name: model-server
          image: {{ include "ml-assets.serverImage" (dict "root" $.root "name" (include "ml-assets.modelName" $part)) }}
          imagePullPolicy: {{ $.root.Values.images.server.pullPolicy }}
          args: [ml-assets, serve, --host, 0.0.0.0, --port, "8080", --metrics-port, "8000"]
          env:
            - name: ML_ASSETS_HOME
              value: /var/lib/ml-assets
            {{- include "ml-assets.storageEnvironment" $.root | nindent 12 }}
            - name: ML_ASSETS_MODEL
              value: {{ .model }}
            - name: ML_ASSETS_GENERATION
              valueFrom:
                fieldRef:
                  fieldPath: metadata.annotations['ml-assets.dev/generation']
            {{- if $.root.Values.traces.endpoint }}
            {{- include "ml-assets.traces" $.root | nindent 12 }}
            {{- end }}
            {{- if $server.apiKeysSecret }}
            - name: ML_ASSETS_KEYS_FILE
              value: /etc/ml-assets/api-keys/keys.json
            {{- end }}
            {{- with $server.corsOrigins }}
            - name: ML_ASSETS_CORS_ORIGINS
              value: {{ join "," . | quote }}
            {{- end }}
            - name: ML_ASSETS_SHUTDOWN_SECONDS
              value: {{ $server.drain.shutdownSeconds | quote }}
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
        - {{- include "ml-assets.scratch" "256Mi" | nindent 10 }}
{{- end }}

{{- define "ml-assets.modelService" -}}
{{- $part := dict "root" .root "component" "model-server" "model" .model "manager" .manager }}
apiVersion: v1
kind: Service
metadata:
  name: {{ include "ml-assets.modelName" $part }}
  labels:
    {{- include "ml-assets.labels" $part | nindent 4 }}
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
