"""Runs in a pod of the cluster: asks a model without pause and says what it got.

``python load.py URL MODEL``: each second a line of JSON with the requests so far, those
that were lost, and the versions that answered, in the order in which they first did.
"""

import json
import sys
import time
import urllib.error
import urllib.request


def ask(url, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        url, data, headers={"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def example(url, model):
    """A row of the model, once it serves."""
    route = f"/models/{model}/predict"
    while True:
        try:
            content = ask(f"{url}/openapi.json")["paths"][route]["post"]
            return content["requestBody"]["content"]["application/json"]["example"]
        except (OSError, KeyError):
            time.sleep(0.5)


def main(url, model):
    body = example(url, model)
    count, lost, versions, reported = 0, [], [], 0.0
    while True:
        count += 1
        try:
            # A connection for each, as most clients behind a Service have.
            version = ask(f"{url}/models/{model}/predict", body)["version"]
            if version not in versions:
                versions.append(version)
        except urllib.error.HTTPError as error:
            lost.append(f"{error.code}: {error.read().decode()[:200]}")
        except (OSError, ValueError) as error:
            lost.append(repr(error))
        if time.monotonic() - reported > 1.0:
            reported = time.monotonic()
            found = {"requests": count, "lost": lost, "versions": versions}
            print(json.dumps(found), flush=True)
        time.sleep(0.01)


if __name__ == "__main__":
    main(*sys.argv[1:])
