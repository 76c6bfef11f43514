"""The API key that our own clients of the model server send."""

import os
from pathlib import Path

API_KEY, API_KEY_FILE = "ML_ASSETS_API_KEY", "ML_ASSETS_API_KEY_FILE"


def credentials() -> dict[str, str]:
    """The header with the key of ``ML_ASSETS_API_KEY``, or of the file that
    ``ML_ASSETS_API_KEY_FILE`` names; empty where neither is set.

    Raises
    ------
    ValueError
        If the file cannot be read.
    """
    key = os.environ.get(API_KEY, "").strip()
    file = os.environ.get(API_KEY_FILE)
    if not key and file:
        try:
            key = Path(file).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"{API_KEY_FILE} {file} cannot be read: {error}") from None
    return {"authorization": f"Bearer {key}"} if key else {}
