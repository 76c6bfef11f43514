"""Ask a model server for one prediction: the example row of its own description."""

import json
import os
import sys
import urllib.error
import urllib.request

TIMEOUT_SECONDS = 10


def ask(url, body=None):
    """The JSON answer to a GET, or to a POST of `body`."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json"}
    key = os.environ.get("ML_ASSETS_API_KEY")
    if key:
        headers["authorization"] = f"Bearer {key}"
    request = urllib.request.Request(url, data, headers=headers)
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
        return json.load(response)


def main(server, model):
    """Predict; the exit code."""
    route = f"/models/{model}/predict"
    try:
        paths = ask(f"{server}/openapi.json")["paths"]
        if route not in paths:
            print(f"{server} serves no version of {model} yet: train and deploy one")
            return 1
        content = paths[route]["post"]["requestBody"]["content"]
        answer = ask(server + route, content["application/json"]["example"])
    except urllib.error.HTTPError as error:
        print(f"{server} answered {error.code}: {error.read().decode()}")
        return 1
    except OSError as error:
        print(f"{server} cannot be reached: {error}")
        return 1
    probability = answer["predictions"][0]["probability"]
    print(f"version {answer['version']} of {model} answered {probability}")
    return 0 if 0.0 <= probability <= 1.0 else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
