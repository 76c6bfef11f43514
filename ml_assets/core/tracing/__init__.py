"""OpenTelemetry's traces: what is sampled, spans as values, and their export."""
