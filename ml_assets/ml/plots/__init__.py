"""Plots as PNG, for the width that the Dagster UI gives an image."""
