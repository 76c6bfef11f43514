"""The model server: whether it answers, and with what."""

import os
from collections.abc import Iterator
from typing import Any

from ml_assets.cli.checks import Finding, ok, problem, warning
from ml_assets.cli.client import ServerClient
from ml_assets.cli.output import Failed
from ml_assets.state.plans import Plans, publish

SECONDS = 5.0
START = "start one: ml-assets serve, or ml-assets dev"


def default_url() -> str:
    """Where ``ml-assets serve`` listens in this environment."""
    return f"http://127.0.0.1:{os.environ.get('ML_ASSETS_PORT') or 8080}"


def check_published(repair: bool) -> Iterator[Finding]:
    """Compare what servers read with the active plans; with `repair`, publish them."""
    late = Plans().late()
    for model in late:
        if repair:
            publish(model)
            yield ok(f"plan of {model}", "it was late in the storage and is published")
        else:
            yield problem(
                f"plan of {model}",
                "the active plan is not the one in the storage, which servers read",
                "ml-assets doctor --repair",
            )
    if not late:
        yield ok("plans", "servers read the active plan of every model")


def check(url: str | None) -> Iterator[Finding]:
    """Ask the server at `url`; one that was not named need not run."""
    try:
        with ServerClient(url or default_url(), SECONDS) as client:
            is_ready = client.get("/v2/health/ready").status == 200
            served = client.get("/models").value["models"]
    except Failed as error:
        finding = problem if url else warning
        yield finding("server", error.message.partition(";")[0], START)
        return
    if not is_ready:
        message = f"{client.url} answers and is not ready: it serves {len(served)}"
        todo = "train and deploy a model, or see the server's log"
        yield warning("server", message, todo)
        return
    yield ok("server", f"{client.url} is ready and serves {len(served)} model(s)")
    for model in served:
        yield _generation(model)


def _generation(model: dict[str, Any]) -> Finding:
    name, generation = str(model["name"]), int(model["generation"])
    plan = Plans().serving(name)
    wanted = plan.generation if plan else None
    if generation == wanted:
        return ok(f"server: {name}", f"version {model['version']}, plan {generation}")
    return problem(
        f"server: {name}",
        f"it serves plan {generation}, the active plan is {wanted}",
        "does the server read this storage (ML_ASSETS_STORAGE)? See its log",
    )
