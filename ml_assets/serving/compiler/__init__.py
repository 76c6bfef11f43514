"""Turns a fitted pipeline into the tables of the compiled runtime."""

from ml_assets.serving.compiler.encoding import NotCompiled
from ml_assets.serving.compiler.pipeline import compile_pipeline

__all__ = ["NotCompiled", "compile_pipeline"]
