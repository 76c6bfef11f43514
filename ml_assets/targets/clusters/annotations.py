"""What deployers write on a pod template, so that another one can tell."""

from ml_assets.targets.clusters.deployment import Object


def annotation(template: Object, name: str) -> str | None:
    """The annotation `name` of a pod template; None where it has none.

    Examples
    --------
    >>> annotation({"metadata": {"annotations": {"a": "1"}}}, "a")
    '1'
    """
    annotations = template.get("metadata", {}).get("annotations") or {}
    found = annotations.get(name)
    return None if found is None else str(found)


def annotate(template: Object, name: str, value: str | None) -> None:
    """Set the annotation `name` of a pod template in place; None takes it away.

    Examples
    --------
    >>> template = {"metadata": {"annotations": None}}
    >>> annotate(template, "a", "1")
    >>> template
    {'metadata': {'annotations': {'a': '1'}}}
    """
    metadata = template.setdefault("metadata", {})
    annotations = {**(metadata.get("annotations") or {})}
    annotations.pop(name, None)
    if value is not None:
        annotations[name] = value
    metadata["annotations"] = annotations
