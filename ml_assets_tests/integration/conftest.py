"""The order of the files: the longest come first, or the last of them runs alone."""

import pytest

LONGEST = (
    "test_guides.py",
    "test_compose.py",
    "test_crashes.py",
    "test_exactly_once.py",
    "test_image.py",
    "test_delivery.py",
    "test_prometheus.py",
    "test_demo.py",
    "test_search_engines.py",
    "test_slack.py",
    "test_parts.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))
