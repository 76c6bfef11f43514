"""The check of an arm in a process of its own: its reason is one line."""

import io
import sys
from types import SimpleNamespace

import pytest

from ml_assets.core.digests import BundleError
from ml_assets.records.plan import Arm, encode
from ml_assets.serving.models import preflight

ARM = encode(Arm(version="v1", bundle="none", files={}, runtime="compiled"))


@pytest.mark.parametrize(
    "error, reason",
    [
        (None, ""),
        (BundleError("model.skops was altered"), "model.skops was altered\n"),
        (MemoryError(), "MemoryError: \n"),
        (ValueError("first\n  second"), "ValueError: first second\n"),
    ],
)
def test_whatever_goes_wrong_is_reported_in_one_line(
    monkeypatch, capsys, tmp_path, error, reason
):
    def load(*_):
        if error is not None:
            raise error

    monkeypatch.setattr(preflight, "load_runtime", load)
    monkeypatch.setattr(preflight, "fetch", lambda *_: tmp_path)
    monkeypatch.setattr(sys, "argv", ["preflight", str(tmp_path)])
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(ARM)))
    assert preflight.main() == (error is not None)
    assert capsys.readouterr().err == reason


def test_an_arm_that_is_no_json_is_reported_too(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["preflight", "/"])
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"{")))
    assert preflight.main() == 1
    assert capsys.readouterr().err.startswith("DecodeError: ")
