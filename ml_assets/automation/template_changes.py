"""Changes of the chart's template, which the objects of every model have to follow.

The code location has the ConfigMap of the template as files, which the kubelet brings
up to date; so nothing here asks the Kubernetes API, and needs no right. A run of each
model applies the template, one model after the other.
"""

import datetime as dt
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

import dagster as dg
import msgspec

from ml_assets.assets.common import key
from ml_assets.assets.retries import is_settled, next_attempt
from ml_assets.core.files import is_name
from ml_assets.lifecycle.run_events import UNFINISHED
from ml_assets.spec.model import ModelSpec

# Directory of the files.
VARIABLE = "ML_ASSETS_MODEL_TEMPLATE_FILES"
# On a run that applies the template, the change for which it does.
TAG = "ml-assets/template"
# On all of them, whichever sensor asked.
ALL = {"ml-assets/reapply": "template"}


class TemplateChange(msgspec.Struct):
    """The newest change of the template, and the models that have followed it.

    `change` has the moment as well as the content: what was, may be again.
    """

    sha256: str = ""
    change: str = ""
    followed: list[str] = []


def read_template() -> str:
    """SHA-256 of the template; empty where the code location has none.

    Examples
    --------
    >>> read_template()
    ''
    """
    folder = os.environ.get(VARIABLE)
    if not folder or not Path(folder).is_dir():
        return ""
    # Names with dots are the kubelet's own.
    names = sorted(path.name for path in Path(folder).iterdir() if is_name(path.name))
    texts = [f"{name}\0{(Path(folder) / name).read_text()}" for name in names]
    return hashlib.sha256("\0".join(texts).encode()).hexdigest() if texts else ""


def follow_template(
    instance: dg.DagsterInstance,
    last: TemplateChange,
    models: Iterable[ModelSpec],
    now: dt.datetime,
) -> tuple[dg.RunRequest | None, TemplateChange]:
    """The next run that applies the template, if one is due, and what is known then.

    Parameters
    ----------
    last : TemplateChange
        As it was returned before.
    models : iterable of ModelSpec
        Those in service.
    now : datetime.datetime
    """
    found = read_template()
    if not found:
        return None, last
    if found != last.sha256:
        last = TemplateChange(found, f"{found[:12]}-{now.timestamp():.6f}")
    tags = {TAG: last.change}
    missing = [spec for spec in models if spec.name not in last.followed]
    if not missing or _is_under_way(instance):
        return None, last
    followed = [*last.followed]
    request = None
    for spec in missing:
        job = f"{spec.name}_deploy"
        if is_settled(instance, job, tags):
            followed.append(spec.name)
            continue
        attempt = next_attempt(instance, job, tags, now.timestamp())
        # One that waits for its next attempt keeps no other model back.
        if attempt is not None:
            request = _request(spec, job, last.change, attempt)
            break
    return request, TemplateChange(last.sha256, last.change, followed)


def _is_under_way(instance: dg.DagsterInstance) -> bool:
    unfinished = dg.RunsFilter(tags=ALL, statuses=UNFINISHED)
    return bool(instance.get_runs(unfinished, limit=1))


def _request(spec: ModelSpec, job: str, change: str, attempt: int) -> dg.RunRequest:
    op = "__".join(key(spec, "deployment").path)
    return dg.RunRequest(
        job_name=job,
        run_key=f"{spec.name}:{change}:{attempt}",
        run_config={"ops": {op: {"config": {"reapply": True}}}},
        tags={"model": spec.name, TAG: change, **ALL},
    )
