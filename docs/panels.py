"""The types of Grafana's panels that our dashboards use, drawn by matplotlib."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from ml_assets_tests.kits.prometheus import Prometheus, substituted

Panel = dict[str, Any]

PALE, INK, LINE = "#f4f5f7", "#24292e", "#d8dbe0"
NAMED = {
    "green": "#56a64b", "light-green": "#96d98d", "red": "#e02f44",
    "orange": "#ff780a", "yellow": "#e0b400", "blue": "#3274d9",
    "light-blue": "#8ab8ff", "purple": "#a352cc",
}  # fmt: skip
# For series that are neither good nor bad: none is green, orange or red.
ENTITIES = (
    "#3274d9", "#a352cc", "#0f9d9d", "#8c6d31", "#c2458b", "#1f3a93", "#6e7079",
    "#59b3e6", "#7b4f9d", "#a0a85c",
)  # fmt: skip
SECONDS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"), (1e-3, "ms"))
LARGE = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
SUFFIX = {"reqps": " req/s", "rowsps": " rows/s", "bytes": " B"}
SHOWN = 10


class Line(NamedTuple):
    """One series of a panel, by the minute; dashed if it is a threshold."""

    name: str
    colour: str
    is_dashed: bool
    values: dict[float, float]


class Source:
    """A Prometheus, and the range of its queries in Unix seconds."""

    def __init__(self, prometheus: Prometheus, began: float, ended: float) -> None:
        self._prometheus = prometheus
        self._began, self._ended = began, ended

    @property
    def minutes(self) -> list[float]:
        """The range, a value a second."""
        return [second / 60 for second in range(int(self._ended - self._began) + 1)]

    def now(self, panel: Panel) -> list[tuple[str, float, dict[str, str]]]:
        """Name, value and labels of each series of a panel at the end."""
        (target,) = panel["targets"]
        found = self._prometheus.at(substituted(target["expr"]), self._ended)
        return [
            (
                _named(panel, target, item["metric"]),
                float(item["value"][1]),
                item["metric"],
            )
            for item in found
        ]

    def lines(self, panel: Panel) -> Iterator[Line]:
        """The series of a panel from the beginning to the end."""
        number = 0
        for target in panel["targets"]:
            expression = substituted(target["expr"])
            span = (self._began, self._ended, 1)
            for item in self._prometheus.over(expression, *span):
                name = _named(panel, target, item["metric"])
                colour, is_dashed = _style(panel, name)
                values = {
                    round(at - self._began) / 60: float(value)
                    for at, value in item["values"]
                }
                entity = ENTITIES[number % len(ENTITIES)]
                yield Line(name, colour or entity, is_dashed, values)
                number += 1


def formatted(value: float, unit: str, decimals: int | None = None) -> str:
    """A value as Grafana would show it.

    Examples
    --------
    >>> formatted(0.0042, "s"), formatted(0.25, "percentunit")
    ('4.2 ms', '25%')
    >>> formatted(1_500, "short")
    '1.5k'
    """
    if unit == "percentunit":
        return f"{100 * value:.{decimals or 0}f}%"
    if unit == "s":
        for size, name in SECONDS:
            if abs(value) >= size:
                return f"{value / size:.3g} {name}"
        return f"{value / 1e-6:.3g} µs" if value else "0 s"
    suffix = SUFFIX.get(unit, "")
    for size, name in LARGE:
        if abs(value) >= size:
            text = f"{value / size:.3g}"
            return f"{text} {name}B" if unit == "bytes" else text + name + suffix
    number = f"{value:.{decimals}f}" if decimals is not None else f"{value:.3g}"
    return number + suffix


def dots(axes: Axes) -> tuple[float, float]:
    """Width and height in points."""
    box, scale = axes.get_window_extent(), 72 / axes.figure.dpi
    return box.width * scale, box.height * scale


def _stat(frame: Axes, panel: Panel, source: Source) -> None:
    name, value, _ = source.now(panel)[0]
    given = panel["fieldConfig"]["defaults"]
    shown = formatted(value, given["unit"], given.get("decimals"))
    for mapping in given.get("mappings", []):
        shown = mapping["options"].get(f"{value:g}", {}).get("text", shown)
    if panel["options"]["textMode"] == "name":
        shown = name
    colour = _step_colour(panel, value)
    size = 21 if len(shown) < 12 else 13
    text = frame.text(0.5, 0.4, shown, size=size, weight="bold", color=colour)
    text.set(ha="center", va="center")
    if panel["options"]["colorMode"] != "value":
        frame.set_facecolor(colour)
        for item in frame.texts:
            item.set_color("white")


def _table(frame: Axes, panel: Panel, source: Source) -> None:
    (order,) = [item["options"]["indexByName"] for item in panel["transformations"]]
    columns = sorted(order, key=order.__getitem__)
    rows = [[labels[name] for name in columns] for _, _, labels in source.now(panel)]
    for number, row in enumerate([columns, *rows]):
        weight = "normal" if number else "bold"
        for left, text in zip((0.04, 0.24, 0.64, 0.8), row, strict=True):
            at = (left, 0.78 - 0.11 * number)
            frame.text(*at, text, size=8, weight=weight, color=INK, va="center")


def _bars(frame: Axes, panel: Panel, source: Source) -> None:
    found = source.now(panel)
    names, values = [item[0] for item in found], [item[1] for item in found]
    inner = _inner(frame, 14 + 3.9 * max(map(len, names)), 10)
    positions = range(len(found))
    colours = [_step_colour(panel, value) for value in values]
    inner.barh(positions, values, color=colours, height=0.65)
    inner.set_yticks(positions, names)
    # Few bars are no thicker than many.
    inner.set_ylim(max(len(found), 5) - 0.5, -0.5)
    inner.set_xticks([])
    inner.set_xlim(0, 1.25 * max(values) or 1)
    inner.spines["bottom"].set_visible(False)
    unit = panel["fieldConfig"]["defaults"]["unit"]
    for position, value in zip(positions, values, strict=True):
        text = inner.text(
            value, position, f" {formatted(value, unit)}", size=7, color=INK
        )
        text.set_va("center")


def _timeseries(frame: Axes, panel: Panel, source: Source) -> None:
    given = panel["fieldConfig"]["defaults"]
    lines, unit = list(source.lines(panel)), given["unit"]
    columns = 2 if len(lines) > 1 else 1
    rows = -(-min(len(lines), SHOWN) // columns)
    inner = _inner(frame, 46, 30 + 9.5 * rows)
    if given["custom"]["stacking"]["mode"] == "normal":
        _stack(inner, lines, source.minutes)
    else:
        _plot(inner, lines, given["custom"].get("lineInterpolation") == "stepAfter")
    inner.margins(y=0.1)
    if given.get("min") == 0:
        inner.set_ylim(bottom=0)
    inner.set_xlim(0, source.minutes[-1])
    inner.yaxis.set_major_locator(MaxNLocator(4, integer=unit == "short"))
    inner.yaxis.set_major_formatter(
        FuncFormatter(lambda value, _: formatted(value, unit))
    )
    inner.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    inner.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} min"))
    inner.grid(axis="y", color=LINE, linewidth=0.6)
    handles, names = inner.get_legend_handles_labels()
    frame.legend(
        handles[:SHOWN], names[:SHOWN], loc="lower left", bbox_to_anchor=(0.0, 0.0),
        ncols=columns, fontsize=6.5, frameon=False, handlelength=1.4,
        columnspacing=1.0, labelspacing=0.25,
    )  # fmt: skip


def _plot(inner: Axes, lines: Sequence[Line], in_steps: bool) -> None:
    for number, line in enumerate(lines):
        # Of steps that lie on each other, those below are wider.
        wider = 0.8 * min(len(lines) - 1 - number, 2) if in_steps else 0
        inner.plot(
            [*line.values],
            [*line.values.values()],
            label=line.name,
            color=line.colour,
            linewidth=1.3 + wider,
            linestyle="--" if line.is_dashed else "-",
            drawstyle="steps-post" if in_steps else "default",
        )


def _stack(inner: Axes, lines: Sequence[Line], minutes: Sequence[float]) -> None:
    """Areas on top of each other; a series without a value at a moment is 0 there."""
    moments = [round(60 * minute) / 60 for minute in minutes]
    heights = [[line.values.get(at, 0.0) for at in moments] for line in lines]
    inner.stackplot(
        moments, heights, colors=[line.colour for line in lines], step="post",
        labels=[line.name for line in lines], linewidth=0,
    )  # fmt: skip


def _inner(frame: Axes, left: float, bottom: float) -> Axes:
    """Axes inside a panel; margins in points."""
    width, height = dots(frame)
    right, top = 1 - (left + 12) / width, 1 - (bottom + 24) / height
    inner = frame.inset_axes((left / width, bottom / height, right, top))
    inner.set_facecolor("none")
    inner.set_axisbelow(True)
    inner.tick_params(labelsize=7, length=2, color=LINE, labelcolor=INK)
    for name, side in inner.spines.items():
        side.set_visible(name == "bottom")
        side.set_color(LINE)
    return inner


def _named(panel: Panel, target: dict[str, Any], labels: dict[str, str]) -> str:
    legend = target.get("legendFormat") or panel["title"]
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), legend)


def _step_colour(panel: Panel, value: float) -> str:
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    reached = [s["color"] for s in steps if s["value"] is None or value >= s["value"]]
    return NAMED[reached[-1]]


def _style(panel: Panel, name: str) -> tuple[str | None, bool]:
    """The colour that is fixed for a series, and whether its line is dashed."""
    colour, is_dashed = None, False
    for item in panel["fieldConfig"]["overrides"]:
        kind, wanted = item["matcher"]["id"], item["matcher"]["options"]
        is_like = kind == "byRegexp" and re.search(wanted.strip("/"), name)
        if name != wanted and not is_like:
            continue
        for value in item["properties"]:
            if value["id"] == "color":
                fixed = value["value"]["fixedColor"]
                colour = NAMED.get(fixed, fixed)
            is_dashed = is_dashed or value["id"] == "custom.lineStyle"
    return colour, is_dashed


DRAWN: dict[str, Callable[[Axes, Panel, Source], None]] = {
    "stat": _stat,
    "table": _table,
    "bargauge": _bars,
    "timeseries": _timeseries,
}
