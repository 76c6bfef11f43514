"""The plans to which the servers of several models are pinned, as one text."""

from collections.abc import Mapping


def join_pins(pins: Mapping[str, str]) -> str:
    """Model to pin, as the setting ``generation`` of a server has them.

    Examples
    --------
    >>> join_pins({"iris": "2-b7d0e6a1c3f4", "churn": "7-3fa9c1d2e4b5"})
    'churn=7-3fa9c1d2e4b5,iris=2-b7d0e6a1c3f4'
    """
    return ",".join(f"{model}={pin}" for model, pin in sorted(pins.items()))


def split_pins(text: str | None) -> dict[str, str]:
    """Model to pin, of a text by `join_pins`; a pin without a model is left out.

    Examples
    --------
    >>> split_pins("churn=7-3fa9c1d2e4b5,iris=2")
    {'churn': '7-3fa9c1d2e4b5', 'iris': '2'}
    >>> split_pins("7-3fa9c1d2e4b5")
    {}
    """
    pairs = (item.partition("=") for item in (text or "").split(","))
    return {model: pin for model, is_named, pin in pairs if is_named}
