"""The Deployment whose pods serve a model, and the annotation that pins them."""

import os
from collections.abc import Mapping
from typing import NamedTuple

from ml_assets.records.pins import join_pins, split_pins
from ml_assets.targets.clusters import (
    Deployment,
    Edit,
    Object,
    OvertakenError,
    annotate,
    annotation,
)

ANNOTATION = "ml-assets.dev/generation"
# In the place of a model's name; no model has a hyphen in its own.
POOL = "shared-pool"


class ModelServers(NamedTuple):
    """Where a model is served.

    `others` are the pins of the other models of the shared pool; None where the servers
    are the model's own.
    """

    deployment: Deployment
    model: str
    others: Mapping[str, str] | None = None

    def value(self, pin: str | None) -> str | None:
        """The annotation with which the model has this pin; without one, it has none.

        None where nothing is left to be pinned to.
        """
        if self.others is None:
            return pin
        own = {} if pin is None else {self.model: pin}
        return join_pins({**self.others, **own}) or None

    def pin_in(self, value: str | None) -> str | None:
        """The pin that the model has in an annotation."""
        return value if self.others is None else split_pins(value).get(self.model)


def deployment_name(model: str) -> str:
    """The Deployment of a model, as the chart names it.

    ``ML_ASSETS_RELEASE`` is the stem of its names, by default ``ml-assets``.

    Examples
    --------
    >>> deployment_name("census_income")
    'ml-assets-census-income'
    """
    stem = os.environ.get("ML_ASSETS_RELEASE") or "ml-assets"
    return f"{stem}-{model.replace('_', '-')}"


def value_of(deployment: Object) -> str | None:
    """What the pods of a Deployment are pinned to."""
    return annotation(deployment["spec"]["template"], ANNOTATION)


def pin_to(value: str | None, instead_of: str | None = "") -> Edit:
    """Pins a pod template; with `instead_of`, only one that has that pin (or none)."""

    def edit(template: Object) -> None:
        found = annotation(template, ANNOTATION)
        if found == value:
            return
        if instead_of != "" and found != instead_of:
            raise OvertakenError(
                f"it is pinned to plan {found}, expected {instead_of or 'no plan'}:"
                " another deployer was first"
            )
        annotate(template, ANNOTATION, value)

    return edit
