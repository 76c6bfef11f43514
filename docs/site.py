"""The documentation as the sources of a site, with references made from the code.

    python -m docs.site build/docs

copies the documents and what they link to, under the paths that they have here, so that
their links hold; writes the references of the YAML, the commands, the metrics and the
HTTP API; and writes the ``mkdocs.yml`` that builds them. `make docs` does both.
"""

import argparse
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import yaml

from docs import reference
from ml_assets_tests.kits.docs import LINK, ROOT, read

NAV: dict[str, tuple[str, ...]] = {
    "Start": ("README.md", "docs/index.md", "docs/getting-started.md"),
    "Models": (
        *("docs/add-a-model.md", "docs/models.md", "docs/costs.md"),
        *("docs/own-python.md", "docs/experiments.md"),
    ),
    "Operation": (
        *("docs/containers.md", "docs/kubernetes.md", "helm/ml-assets/README.md"),
        *("docs/serving.md", "benchmarks/RESULTS.md", "docs/operate.md"),
        *("docs/observability.md", "observability/README.md", "docs/runbooks.md"),
        *("docs/logs-and-traces.md", "docs/troubleshooting.md", "docs/faq.md"),
        *("docs/delivery.md", "docs/ci.md", "docs/extend.md", "docs/library.md"),
    ),
    "Audit": (
        *("docs/security.md", "docs/decisions.md", "ARCHITECTURE.md"),
        "docs/architecture.md",
    ),
    "Reference": tuple(f"reference/{name}.md" for name in reference.PAGES),
    "Project": ("CHANGELOG.md", "CONTRIBUTING.md"),
}
SETTINGS = {
    "site_name": "ml_assets",
    "docs_dir": "sources",
    "site_dir": "site",
    # So that it can be read from a directory, without a server.
    "use_directory_urls": False,
    "theme": {
        "name": "material",
        # Not fetched from elsewhere.
        "font": False,
        "features": ["navigation.indexes", "navigation.tabs", "toc.follow"],
        "palette": [
            {
                "media": f"(prefers-color-scheme: {scheme})",
                "scheme": name,
                "primary": "blue grey",
                "toggle": {"icon": icon, "name": f"To the {other} colours"},
            }
            for scheme, name, icon, other in (
                ("light", "default", "material/weather-sunny", "dark"),
                ("dark", "slate", "material/weather-night", "light"),
            )
        ],
    },
    "plugins": ["search"],
    "markdown_extensions": [
        "tables",
        {"toc": {"permalink": True, "slugify": "__slugify__"}},
        {
            "pymdownx.superfences": {
                "custom_fences": [
                    {"name": "mermaid", "class": "mermaid", "format": "__mermaid__"}
                ]
            }
        },
    ],
    # Lists of the files of a directory, which are reached by links.
    "not_in_nav": "files.md\n",
    "validation": {
        "omitted_files": "warn",
        "absolute_links": "warn",
        "unrecognized_links": "warn",
        "anchors": "warn",
    },
}
# Names of Python that YAML would quote.
NAMES = {
    "__slugify__": "!!python/object/apply:pymdownx.slugs.slugify {kwds: {case: lower}}",
    "__mermaid__": "!!python/name:pymdownx.superfences.fence_code_format",
}


def write(out: Path) -> None:
    """Write the sources and the settings of the site into an empty directory."""
    shutil.rmtree(out, ignore_errors=True)
    sources = out / "sources"
    for name in _documents():
        _copy(ROOT / name, sources)
    for name, text in reference.pages():
        target = sources / "reference" / f"{name}.md"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    nav = [{title: [*pages]} for title, pages in NAV.items()]
    text = yaml.safe_dump({**SETTINGS, "nav": nav}, sort_keys=False)
    for name, value in NAMES.items():
        text = text.replace(name, value)
    (out / "mkdocs.yml").write_text(text, encoding="utf-8")


def _documents() -> Iterator[str]:
    """The documents of the repository that the site has."""
    made = NAV["Reference"]
    return (name for pages in NAV.values() for name in pages if name not in made)


def _copy(document: Path, sources: Path) -> None:
    """Copy a document with the files that it links to."""
    text = document.read_text(encoding="utf-8")
    for line in (line for _, line in read(document).prose):
        for found in LINK.finditer(line):
            target = found["target"].partition("#")[0]
            if not target or re.match(r"[a-z]+:", target):
                continue
            path = (document.parent / target).resolve()
            if path.is_dir():
                text = text.replace(
                    f"]({target})", f"]({_listed(path, sources, target)})"
                )
            elif path.suffix != ".md":
                _copy_file(path, sources)
    target = sources / document.relative_to(ROOT)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")


def _copy_file(path: Path, sources: Path) -> None:
    target = sources / path.relative_to(ROOT)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, target)


def _listed(path: Path, sources: Path, link: str) -> str:
    """The link to a list of the files in a directory."""
    names = sorted(item.name for item in path.iterdir() if item.is_file())
    lines = [f"# {path.relative_to(ROOT)}", ""]
    for name in names:
        _copy_file(path / name, sources)
        lines.append(f"- [{name}]({name})")
    page = sources / path.relative_to(ROOT) / "files.md"
    page.write_text("\n".join([*lines, ""]), encoding="utf-8")
    return f"{link.rstrip('/')}/files.md"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    write(parser.parse_args().out)
