"""The floors of versions, and what the online audit leaves out."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from checks import audit, vulnerabilities
from checks.audit import Floor, read_floors, read_pins, violations

LOCK = """\
urllib3==2.8.0 \\
    --hash=sha256:00
contourpy==1.3.3 ; python_full_version < '3.12' \\
    --hash=sha256:01
contourpy==1.4.0 ; python_full_version >= '3.12' \\
    --hash=sha256:02
PyYAML[extra]==6.0.3
"""


def test_the_lock_and_the_lists_of_the_images_are_at_their_floors() -> None:
    assert audit.main() == 0


@pytest.mark.parametrize(
    "floor, output",
    [
        ("urllib3>=2.8.1 # CVE-2026-44431: x", "urllib3 2.8.0 has CVE-2026-44431"),
        ("pyyaml>=6.1 # PYSEC-2021-142: x", "pyyaml 6.0.3 has PYSEC-2021-142"),
        ("contourpy>=1.4 # GHSA-75cm-x2w3-8mgf: x", "contourpy 1.3.3 has GHSA-75cm"),
        ("urllib3>=2.8.0 # CVE-2026-44431: x", ""),
    ],
)
def test_a_pin_below_its_floor_is_reported_with_the_advisory(
    floor: str, output: str
) -> None:
    found = "\n".join(violations(read_floors(floor), read_pins(LOCK)))
    assert found.startswith(output) and bool(found) == bool(output)


@pytest.mark.parametrize(
    "line, output",
    [
        ("urllib3==2.8.0 # CVE-2026-44431: x", "not package>=version"),
        ("urllib3 # CVE-2026-44431: x", "not package>=version"),
        ("urllib3>=2.7,<3 # CVE-2026-44431: x", "not package>=version"),
        ("urllib3>=2.7.0 # somebody said so", "names no advisory"),
    ],
)
def test_a_floor_without_a_version_or_a_source_is_refused(
    line: str, output: str
) -> None:
    with pytest.raises(ValueError, match=f"line 2: .*{output}"):
        read_floors(f"# comment\n{line}\n")


def test_a_pin_for_another_platform_counts_too() -> None:
    assert [str(version) for version in read_pins(LOCK)["contourpy"]] == [
        "1.3.3",
        "1.4.0",
    ]


@pytest.fixture
def audited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], int]:
    """Holds the lock above against a list of floors."""
    (tmp_path / "requirements.lock").write_text(LOCK)
    (tmp_path / "docker").mkdir()
    monkeypatch.setattr(audit, "ROOT", tmp_path)
    monkeypatch.setattr(audit, "LOCK", tmp_path / "requirements.lock")
    monkeypatch.setattr(audit, "MINIMUM", tmp_path / "minimum-versions.txt")

    def run(floors: str) -> int:
        audit.MINIMUM.write_text(floors)
        return audit.main()

    return run


def test_a_name_that_nothing_pins_is_reported(
    audited: Callable[[str], int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert audited("urlib3>=2.7.0 # CVE-2026-44431: x") == 1
    assert "urlib3" in capsys.readouterr().out


def test_an_old_pin_of_an_image_is_reported_with_its_list(
    audited: Callable[[str], int], capsys: pytest.CaptureFixture[str]
) -> None:
    (audit.ROOT / "docker" / "mlflow.txt").write_text("urllib3==2.6.0\n")
    assert audited("urllib3>=2.7.0 # CVE-2026-44431: x") == 1
    assert "mlflow.txt: urllib3 2.6.0" in capsys.readouterr().out


def test_an_empty_list_is_not_a_clean_one(audited: Callable[[str], int]) -> None:
    with pytest.raises(ValueError, match="nothing would be checked"):
        audited("# all is well\n")


SCANNED = {"urllib3": {}, "contourpy": {}, "PyYAML": {}}
SAFE = {"scanned_packages": SCANNED, "vulnerabilities": []}
FAULT = {
    "package_name": "urllib3",
    "analyzed_version": "2.8.0",
    "vulnerability_id": "90000",
    "CVE": None,
    "advisory": "sends what it should not",
}


@pytest.fixture
def online(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Runs the online audit with a program in the place of uvx and Safety."""
    lock, report = tmp_path / "requirements.lock", tmp_path / "safety.json"
    lock.write_text(LOCK)
    monkeypatch.setattr(vulnerabilities, "LOCK", lock)
    monkeypatch.setattr(vulnerabilities, "REPORT", report)
    monkeypatch.setattr(vulnerabilities, "UVX", tmp_path / "uvx")

    def run(answer: object, code: int = 0) -> int:
        text = json.dumps(answer)
        lines = [] if answer is None else [f"cat >{report} <<'E'", text, "E"]
        script = "\n".join(["#!/bin/sh", *lines, f"exit {code}"])
        (tmp_path / "uvx").write_text(script)
        (tmp_path / "uvx").chmod(0o755)
        return vulnerabilities.main([])

    return run


def test_a_report_of_all_packages_without_a_fault_is_well(
    online: Callable[..., int],
) -> None:
    assert online(SAFE) == 0


@pytest.mark.parametrize(
    "answer, code, output",
    [
        (SAFE | {"vulnerabilities": [FAULT]}, 64, "urllib3 2.8.0: 90000: sends what"),
        (SAFE | {"vulnerabilities": [FAULT]}, 0, "urllib3 2.8.0: 90000: sends what"),
        ({**SAFE, "scanned_packages": {"urllib3": {}}}, 0, "pyyaml was not looked at"),
        ({}, 0, "urllib3 was not looked at"),
        (None, 0, "ended with 0 and without a report"),
        (None, 69, "ended with 69 and without a report"),
        (SAFE, 69, ""),
    ],
)
def test_a_fault_or_a_package_that_was_skipped_is_a_failure(
    online: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    answer: object,
    code: int,
    output: str,
) -> None:
    assert online(answer, code) == 1
    assert output in capsys.readouterr().out


def test_floors_are_compared_as_versions() -> None:
    floor = read_floors("idna>=3.7 # CVE-2024-3651: x")
    assert violations(floor, read_pins("idna==3.20\n")) == []
    assert isinstance(floor[0], Floor)
