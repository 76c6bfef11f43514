"""Ask a model server whether it is ready, and for the description of its model.

Nothing is predicted, so that nothing of a test is in the prediction log.
"""

import json
import os
import sys
import urllib.error
import urllib.request

TIMEOUT_SECONDS = 10


def ask(url):
    """The body of the answer to a GET."""
    request = urllib.request.Request(url)
    key = os.environ.get("ML_ASSETS_API_KEY")
    if key:
        request.add_header("authorization", f"Bearer {key}")
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
        return response.read()


def main(server, model):
    """Say which version is served; the exit code."""
    try:
        ask(f"{server}/v2/health/ready")
        version = json.loads(ask(f"{server}/models/{model}"))["version"]
    except urllib.error.HTTPError as error:
        print(f"{error.url} answered {error.code}: {error.read().decode()}")
        if error.code in (404, 503):
            print(f"where no version of {model} is deployed yet: train and deploy one")
        return 1
    except OSError as error:
        print(f"{server} cannot be reached: {error}")
        return 1
    print(f"version {version} of {model} is served")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
