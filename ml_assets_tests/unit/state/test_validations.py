"""The last validation of a table counts, and its findings are kept with the data."""

from typing import Any

import pytest

from ml_assets.core.storage import storage
from ml_assets.state.validations import Validations, data_version_of

pytestmark = pytest.mark.usefixtures("installation")


def report(passed: bool, finding: str = "") -> dict[str, Any]:
    return {"summary": {"passed": passed}, "expectations": [finding]}


def test_a_table_that_failed_is_found_by_its_report() -> None:
    validations = Validations()
    name = validations.save("churn", "abc", report(False, "a cell is -1"))
    assert name.startswith("reports/churn/validation/abc-")
    assert data_version_of(name) == "abc"
    assert validations.failed("churn", "abc") == name
    assert validations.report("churn", "abc") == report(False, "a cell is -1")
    assert validations.failed("churn", "def") is None
    assert validations.report("churn", "def") is None


def test_a_later_validation_of_the_same_data_counts() -> None:
    validations = Validations()
    first = validations.save("churn", "abc", report(False))
    second = validations.save("churn", "abc", report(True))
    assert validations.failed("churn", "abc") is None
    assert validations.report("churn", "abc") == report(True)
    # What is found again was kept already.
    assert validations.save("churn", "abc", report(False)) == first != second
    assert validations.failed("churn", "abc") == first


def test_a_report_goes_with_its_row_alone() -> None:
    validations = Validations()
    first = validations.save("churn", "abc", report(False))
    second = validations.save("churn", "abc", report(True))
    validations.remove("churn", first)
    assert storage().get(first) is None
    assert validations.report("churn", "abc") == report(True)
    validations.remove("churn", second)
    assert validations.report("churn", "abc") is None
