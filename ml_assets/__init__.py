"""ml_assets: one YAML file in, a trained, gated, deployed and served model out."""

from importlib import import_module

__version__ = "0.1.0"
__all__ = ["TabularClassifier", "TabularRegressor"]


def __getattr__(name: str) -> object:
    # Not before somebody asks: a server imports nothing of Dagster.
    if name in __all__:
        return getattr(import_module("ml_assets.components"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
