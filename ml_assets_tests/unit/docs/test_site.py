"""The site of the documentation: every document is on it, and so are the references."""

import re
from pathlib import Path

import pytest

from docs import site
from ml_assets.cli import COMMANDS
from ml_assets.components import TabularRegressor
from ml_assets_tests.kits.docs import DOCUMENTS, ROOT


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        # What the references are made with is not that of this process.
        patch.setenv("ML_ASSETS_HOME", str(out))
        patch.setenv("DAGSTER_HOME", str(out))
        site.write(out / "docs")
    return out / "docs" / "sources"


def test_every_document_is_on_the_site(sources: Path) -> None:
    named = {name for pages in site.NAV.values() for name in pages}
    assert {str(path.relative_to(ROOT)) for path in DOCUMENTS} <= named
    assert [name for name in named if not (sources / name).is_file()] == []


def test_the_references_are_those_of_the_code(sources: Path) -> None:
    def page(name: str) -> str:
        return (sources / "reference" / f"{name}.md").read_text(encoding="utf-8")

    assert [
        name for name in COMMANDS if f"## ml-assets {name}" not in page("commands")
    ] == []
    keys = TabularRegressor.model_fields.keys() - {"task"}
    assert [key for key in keys if f"| `{key}` |" not in page("yaml")] == []
    catalogue = (ROOT / "docs" / "observability.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^\| `(ml_assets_\w+)`", catalogue, re.MULTILINE))
    made = set(re.findall(r"^\| `(ml_assets_\w+)`", page("metrics"), re.MULTILINE))
    assert made <= listed
    assert "`POST /models/demo/predict`" in page("http-api")
    assert "`ML_ASSETS_MAX_ROWS` | `10000` |" in page("settings")


def test_a_link_to_a_directory_leads_to_its_files(sources: Path) -> None:
    listed = (sources / "helm/ml-assets/files/grafana/files.md").read_text("utf-8")
    name, *_ = re.findall(r"\[(\S+\.json)\]", listed)
    assert (sources / "helm/ml-assets/files/grafana" / name).is_file()
