"""The repository that releases come from."""

from ml_assets.delivery.environments import SettingsError, image_repository
from ml_assets.delivery.oci import Repository

OFF = "ML_ASSETS_RELEASE_REPOSITORY is not set: nothing is delivered"


def repository() -> Repository:
    """The repository of ``ML_ASSETS_RELEASE_REPOSITORY``.

    Raises
    ------
    SettingsError
        If it is not set.
    RegistryRefusedError
        If it is no repository.
    """
    image = image_repository()
    if image is None:
        raise SettingsError(OFF)
    return Repository(image)
