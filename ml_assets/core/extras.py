"""Packages that not everybody needs: the extras of the distribution, by their names."""

from importlib.util import find_spec

# Extra to the modules that are imported of its packages.
MODULES = {
    "serve": ("uvicorn", "httptools", "uvloop"),
    "kubernetes": ("kubernetes",),
    "docker": ("docker",),
    "postgres": ("psycopg2",),
    "delivery": ("kubernetes", "sigstore"),
}


class MissingExtraError(ImportError):
    """Something that is to be used needs an extra that is not installed."""


def require_extra(extra: str, use: str) -> None:
    """Refuse a use whose packages are not all there; nothing of them is imported.

    Parameters
    ----------
    extra : str
        Name of the extra, one of `MODULES`.
    use : str
        What needs it, as the beginning of the message.

    Raises
    ------
    MissingExtraError
        With the modules that are missing, and how to install them.
    """
    missing = [name for name in MODULES[extra] if find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"{use} needs {', '.join(missing)}, not installed here: install the extra"
            f" with `pip install 'ml-assets[{extra}]'`"
        )
