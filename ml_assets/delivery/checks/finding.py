"""What a check is given, and what it gives."""

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from ml_assets.delivery.environments import Settings
    from ml_assets.delivery.images import Image


class Finding(NamedTuple):
    """The result of one check: a sentence, and the figures behind it."""

    name: str
    passed: bool
    sentence: str
    figures: dict[str, Any] = {}


class Site(NamedTuple):
    """An environment after a release was deployed there.

    Attributes
    ----------
    key : str
        Unique for the attempt: what a check starts, it starts once for it.
    models : dict of str to str
        Model to the Deployment of its servers.
    """

    settings: "Settings"
    image: "Image"
    key: str
    models: dict[str, str]
