"""Results of tests and coverage, from the artifacts that a workflow uploads.

An artifact is a zip archive of somebody else's making: how much of it is unpacked is
bounded, whatever it says of its size. JUnit XML has the element ``testcase`` with
``failure``, ``error`` or ``skipped`` inside; Cobertura's ``coverage`` has a
``line-rate``.
"""

import io
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import PurePosixPath

# The parser reads no external entity; a document that declares one is refused below.
from xml.etree import ElementTree  # nosec B405

import msgspec

from ml_assets.delivery.github_session import NotGivenError

# Of one XML file, and of all files of one archive, unpacked.
LARGEST_FILE = 32 * 2**20
LARGEST_ALL = 64 * 2**20
MOST_FILES = 50
# Names of tests that are kept: whoever breaks more has another problem than flaky ones.
MOST_NAMES = 500
SLOWEST = 20
LONGEST_NAME = 300
# `make test-processes` runs once more what failed, and writes that beside it.
AGAIN = "-again"


class Suite(msgspec.Struct, frozen=True):
    """The results of one JUnit file of an artifact, and of the second try beside it.

    `failed` are the tests that never passed, `flaky` those that failed and passed;
    `seconds` is the sum over all tests.
    """

    artifact: str
    artifact_id: int
    name: str
    total: int
    seconds: float
    failed: list[str]
    flaky: list[str]
    skipped: list[str]
    slowest: list[tuple[str, float]]

    @property
    def has_all_names(self) -> bool:
        """Whether all that failed or was skipped is named."""
        return max(len(self.failed), len(self.skipped)) < MOST_NAMES

    @property
    def key(self) -> tuple[int, str]:
        """Which suite of which artifact it is."""
        return self.artifact_id, self.name


class Results(msgspec.Struct, frozen=True):
    """What an artifact has; `coverage` is the share of lines that ran, or None."""

    suites: list[Suite]
    coverage: float | None


def read(archive: bytes, artifact: str, artifact_id: int) -> Results:
    """The suites and the coverage of an artifact.

    Raises
    ------
    NotGivenError
        If it is no zip archive, a file is larger than its bound, or is no XML.
    """
    tests: dict[str, dict[str, set[str]]] = {}
    seconds: dict[str, dict[str, float]] = {}
    coverage = None
    for name, root in _documents(archive, artifact):
        if root.tag == "coverage":
            coverage = _share(root.get("line-rate"))
        elif root.tag in ("testsuites", "testsuite"):
            suite = PurePosixPath(name).stem.removesuffix(AGAIN)
            for test, outcome, duration in _cases(root):
                outcomes = tests.setdefault(suite, {})
                outcomes.setdefault(test, set()).add(outcome)
                durations = seconds.setdefault(suite, {})
                durations[test] = max(duration, durations.get(test, 0.0))
    suites = [
        _suite(artifact, artifact_id, name, outcomes, seconds[name])
        for name, outcomes in sorted(tests.items())
    ]
    return Results(suites, coverage)


def _suite(
    artifact: str,
    artifact_id: int,
    name: str,
    outcomes: dict[str, set[str]],
    seconds: dict[str, float],
) -> Suite:
    def named(wanted: set[str], without: set[str]) -> list[str]:
        found = sorted(
            test
            for test, seen in outcomes.items()
            if wanted <= seen and not without & seen
        )
        return found[:MOST_NAMES]

    slowest = sorted(seconds.items(), key=lambda item: -item[1])[:SLOWEST]
    return Suite(
        artifact=artifact,
        artifact_id=artifact_id,
        name=name,
        total=len(outcomes),
        seconds=sum(seconds.values()),
        failed=named({"failed"}, {"passed"}),
        flaky=named({"failed", "passed"}, set()),
        skipped=named({"skipped"}, set()),
        slowest=slowest,
    )


def _documents(
    archive: bytes, artifact: str
) -> Iterator[tuple[str, ElementTree.Element]]:
    """Each XML file of an archive, with its name."""
    unpacked = 0
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            files = [i for i in opened.infolist() if i.filename.endswith(".xml")]
            for info in files[:MOST_FILES]:
                with opened.open(info) as stream:
                    data = stream.read(LARGEST_FILE + 1)
                unpacked += len(data)
                if len(data) > LARGEST_FILE or unpacked > LARGEST_ALL:
                    raise NotGivenError(
                        f"artifact {artifact}: {info.filename} unpacks to more than"
                        f" {LARGEST_FILE:,} bytes, or all files to more than"
                        f" {LARGEST_ALL:,}"
                    )
                yield info.filename, _parsed(data, f"artifact {artifact}")
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
        raise NotGivenError(
            f"artifact {artifact} is no zip archive that can be read: {error}"
        ) from error


def _parsed(data: bytes, name: str) -> ElementTree.Element:
    try:
        # As text, so that no declared encoding hides a declaration from the search.
        text = data.decode("utf-8-sig")
        if "<!ENTITY" in text:
            raise NotGivenError(f"{name}: an XML file declares entities")
        return ElementTree.fromstring(text)  # nosec B314
    except (UnicodeDecodeError, ElementTree.ParseError, ValueError) as error:
        raise NotGivenError(f"{name}: a file is no XML in UTF-8: {error}") from error


def _cases(root: ElementTree.Element) -> Iterator[tuple[str, str, float]]:
    """Name, outcome and seconds of each test."""
    for case in root.iter("testcase"):
        name = f"{case.get('classname', '')}::{case.get('name', '')}"
        inside = {child.tag for child in case}
        outcome = "failed" if inside & {"failure", "error"} else "passed"
        if outcome == "passed" and "skipped" in inside:
            outcome = "skipped"
        yield name[:LONGEST_NAME], outcome, _seconds(case.get("time"))


def _seconds(text: str | None) -> float:
    try:
        found = float(text or 0.0)
    except ValueError:
        return 0.0
    return found if 0.0 <= found < 1e7 else 0.0


def _share(text: str | None) -> float | None:
    try:
        found = float(text or "nan")
    except ValueError:
        return None
    return found if 0.0 <= found <= 1.0 else None
