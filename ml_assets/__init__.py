"""ml_assets: one YAML file in, a trained, gated, deployed and served model out."""

__version__ = "0.1.0"
