"""The target of commands, and a plain sentence where it cannot be used."""

from ml_assets.cli.output import told
from ml_assets.targets import Target, TargetError


def chosen_target() -> Target:
    """The target that ``ML_ASSETS_TARGET`` names.

    Raises
    ------
    Failed
        If it names none, or one whose settings are missing here.
    """
    from ml_assets.targets import configured_target

    with told(TargetError):
        return configured_target()
