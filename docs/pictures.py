"""Pictures of the dashboards for the documentation, drawn from a real Prometheus.

    python -m docs.pictures

starts an exporter, a model server, a Dagster daemon and a Prometheus that scrapes them,
runs the weeks of `ml_assets_tests.kits.observed_weeks`, and draws every panel of every
dashboard as its JSON describes it: the same queries, units and colours. Needs what that
test needs: Debian's prometheus and faketime.
"""

import argparse
import io
import json
import tempfile
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from docs.panels import DRAWN, INK, LINE, PALE, Source, dots
from ml_assets_tests.kits.prometheus import DASHBOARDS, Prometheus

OUT = Path(__file__).parent / "images"
COLUMNS = 24
# Inches of a picture's width and of one row of Grafana's grid; rows above the first.
WIDTH, ROW, HEAD = 15.0, 0.31, 2.5
DPI = 100
COLOURS = 256


def draw(board: dict[str, Any], source: Source) -> Figure:
    """All panels of a dashboard, at their positions in its grid."""
    panels = board["panels"]
    rows = HEAD + max(item["gridPos"]["y"] + item["gridPos"]["h"] for item in panels)
    figure = pyplot.figure(figsize=(WIDTH, ROW * rows), dpi=DPI)
    unit = 1 / rows
    note = f"{board['description']} Rates and rises are those of a minute."
    figure.text(0.01, 1 - unit, board["title"], size=15, weight="bold", color=INK)
    figure.text(0.01, 1 - 1.9 * unit, note, size=9, color="#57606a")
    for panel in panels:
        position = panel["gridPos"]
        left, top = position["x"] / COLUMNS, 1 - unit * (position["y"] + HEAD)
        if panel["type"] == "row":
            at = (left + 0.01, top - 0.72 * unit)
            figure.text(*at, panel["title"], size=11, weight="bold", color=INK)
            continue
        width, height = position["w"] / COLUMNS, unit * position["h"]
        box = (left + 0.004, top - 0.98 * height, width - 0.008, 0.96 * height)
        _panel(figure.add_axes(box, facecolor=PALE), panel, source)
    return figure


def _panel(frame: Axes, panel: dict[str, Any], source: Source) -> None:
    frame.set(xticks=[], yticks=[], xlim=(0, 1), ylim=(0, 1))
    for side in frame.spines.values():
        side.set_color(LINE)
    width, height = dots(frame)
    # Of a narrow panel the title is smaller: a letter is 0.66 of its size wide.
    size = min(8.5, (width - 10) / (0.66 * len(panel["title"])))
    at = (6 / width, 1 - 10 / height)
    name = frame.text(*at, panel["title"], size=size, weight="bold", va="center")
    name.set_color(INK)
    DRAWN[panel["type"]](frame, panel, source)


def save(figure: Figure, path: Path) -> None:
    """Write a small PNG: its colours fit a palette."""
    raw = io.BytesIO()
    figure.savefig(raw, format="png", dpi=DPI)
    pyplot.close(figure)
    image = Image.open(raw).convert("RGB")
    image.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)


def draw_all(source: Source, directory: Path) -> None:
    """A picture of each dashboard."""
    directory.mkdir(parents=True, exist_ok=True)
    for board in DASHBOARDS:
        path = directory / f"dashboard-{board.stem}.png"
        save(draw(json.loads(board.read_text()), source), path)
        print(f"{path}: {path.stat().st_size / 1e3:.0f} kB")


def main() -> None:
    """Draw from the Prometheus that is named, or from one that is started."""
    matplotlib.use("Agg")
    parser = argparse.ArgumentParser(description="Draw the dashboards.")
    parser.add_argument("--out", type=Path, default=OUT, help="directory of pictures")
    parser.add_argument("--prometheus", help="address of one that runs")
    parser.add_argument("--began", type=float, help="Unix seconds; with --prometheus")
    parser.add_argument("--ended", type=float, help="Unix seconds; with --prometheus")
    given = parser.parse_args()
    if given.prometheus:
        running = Prometheus(given.prometheus)
        draw_all(Source(running, given.began, given.ended), given.out)
        return
    from ml_assets_tests.kits.observed_site import observed
    from ml_assets_tests.kits.observed_weeks import work

    with tempfile.TemporaryDirectory() as home, observed(Path(home)) as site:
        work(site)
        draw_all(Source(site.prometheus, site.began, site.now()), given.out)


if __name__ == "__main__":
    main()
