"""What answers a request: the compiled tables, or scikit-learn itself."""

from ml_assets.serving.runtime.protocol import Refused, Runtime

__all__ = ["Refused", "Runtime"]
