"""``GET /docs``: a page for people, whole in itself."""

import html
import json
from collections.abc import Mapping
from pathlib import Path
from string import Template

from ml_assets.records.plan import LISTED, Column, Signature
from ml_assets.serving.models.router import ServedModel
from ml_assets.serving.openapi.schemas import example
from ml_assets.serving.requests.messages import Response
from ml_assets.serving.requests.values import expected

_STATIC = Path(__file__).parent / "static"
# The page may talk to its own server and load nothing else.
_POLICY = (
    b"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline';"
    b" connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def page(models: Mapping[str, ServedModel]) -> Response:
    """The page about `models`."""
    template = Template((_STATIC / "docs.html").read_text())
    section = Template((_STATIC / "model.html").read_text())
    sections = "".join(_section(section, model) for model in models.values())
    links = "".join(f'<a href="#{name}">{name}</a>' for name in models)
    text = template.substitute(
        links=links, models=sections or "<p>No model has a version loaded.</p>"
    )
    return Response(
        text.encode(),
        content_type=b"text/html; charset=utf-8",
        headers=(
            (b"content-security-policy", _POLICY),
            (b"x-content-type-options", b"nosniff"),
        ),
    )


def _section(template: Template, model: ServedModel) -> str:
    signature = model.live.signature
    rows = "".join(
        f"<tr><td><code>{html.escape(item.name)}</code></td>"
        f"<td>{html.escape(_words(item))}</td></tr>"
        for item in signature.columns
    )
    body = json.dumps({"rows": [example(signature)]}, indent=2)
    return template.substitute(
        name=model.name,
        version=html.escape(model.live.version),
        generation=model.plan.generation,
        runtime=model.live.runtime.kind,
        predicts=_predicts(signature),
        columns=rows,
        count=len(signature.inputs),
        example=html.escape(body),
    )


def _predicts(signature: Signature) -> str:
    """What the model predicts, as a sentence of HTML."""
    target = f"<code>{html.escape(signature.target)}</code>"
    if signature.task == "regression":
        return f"Predicts the number {target}."
    labels = [f"<code>{html.escape(str(item))}</code>" for item in signature.labels]
    if signature.task == "binary":
        negative, positive = labels
        return f"Predicts whether {target} is {positive} (positive) or {negative}."
    shown = ", ".join(labels[:LISTED])
    more = f" and {len(labels) - LISTED} more" if len(labels) > LISTED else ""
    return f"Predicts which of {shown}{more} is the {target}."


def _words(column: Column) -> str:
    if column.ignored:
        return "ignored: it may be there, or not"
    return expected(column) + (", or left out" if column.optional else "")
