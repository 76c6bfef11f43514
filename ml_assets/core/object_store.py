"""The client of obstore for a storage: its credentials, time limits and repetitions."""

import datetime as dt
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from obstore.store import ObjectStore

SCHEMES = ("s3", "s3a", "gs", "az", "azure", "abfs", "abfss")
# A request has so many seconds for its answer.
REQUEST_SECONDS, CONNECT_SECONDS = 30.0, 5.0


def connect(url: str, root: Path | None, patience: float) -> "ObjectStore":
    """A client of the store at `url`, or of the directory `root`.

    Credentials are found as the SDK of each cloud finds them.

    Parameters
    ----------
    patience : float
        For how many seconds a request is repeated that is not answered.

    Raises
    ------
    obstore.exceptions.BaseError
        If the directory cannot be made, or the settings of the cloud are incomplete.
    """
    from obstore.exceptions import GenericError
    from obstore.store import LocalStore, from_url

    if root is not None:
        try:
            # A directory without objects is none, as in a bucket.
            return LocalStore(root, mkdir=True, automatic_cleanup=True)
        except OSError as error:
            raise GenericError(f"it cannot be made a directory: {error}") from error
    allows_http = ("AWS_ALLOW_HTTP", "AZURE_ALLOW_HTTP")
    return from_url(
        url,
        client_options={
            "timeout": f"{min(REQUEST_SECONDS, patience):g}s",
            "connect_timeout": f"{min(CONNECT_SECONDS, patience):g}s",
            "allow_http": any(os.environ.get(name) == "true" for name in allows_http),
        },
        retry_config={
            "max_retries": 8,
            "retry_timeout": dt.timedelta(seconds=patience),
        },
    )
