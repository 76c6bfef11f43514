"""The code location loads without errors, and it is the new one that does."""

import time

from ml_assets.delivery.checks.finding import Finding, Site
from ml_assets.delivery.webserver import Webserver, WebserverError

NAME = "code_location"
POLL_SECONDS = 2.0


def check(site: Site) -> list[Finding]:
    """Reload it until the server of the code names the new image."""
    webserver = Webserver(site.settings.webserver, site.settings.location)
    wanted = site.image.images["base"]
    deadline = time.monotonic() + site.settings.patience
    while True:
        passed, sentence = _look(webserver, wanted)
        if passed or time.monotonic() > deadline:
            return [Finding(NAME, passed, sentence, {"image": wanted})]
        time.sleep(POLL_SECONDS)


def _look(webserver: Webserver, wanted: str) -> tuple[bool, str]:
    try:
        webserver.reload()
        found = webserver.look()
    except WebserverError as error:
        return False, str(error)
    if found.error is not None:
        return False, f"{webserver.location} does not load: {found.error.strip()}"
    if found.image != wanted:
        return False, f"{webserver.location} runs {found.image}, expected {wanted}"
    return True, f"{webserver.location} loads without errors"
