"""Values between steps are read by whoever goes on with them."""

import pytest

from ml_assets.state.steps import MissingStepError, StepValues

pytestmark = pytest.mark.usefixtures("database")


def test_a_value_is_read_as_it_was_written_last() -> None:
    values = StepValues()
    values.write("churn", "run", "read[1]/result", {"rows": 3})
    values.write("churn", "run", "read[1]/result", {"rows": 4, "lost": ["a"]})
    assert values.read("churn", "run", "read[1]/result") == {"rows": 4, "lost": ["a"]}


def test_a_value_that_is_gone_is_named() -> None:
    values = StepValues()
    values.write("churn", "run", "read[1]/result", None)
    ((run, made, size),) = values.runs("churn")
    assert run == "run" and made > 0 and size == 4
    values.remove("churn", "run")
    with pytest.raises(MissingStepError, match=r"output read\[1\]/result of run run"):
        values.read("churn", "run", "read[1]/result")
    assert values.runs("churn") == []
