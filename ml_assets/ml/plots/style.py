"""What all plots share: size, colours, title, grid, and the PNG encoding."""

import io

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# Okabe and Ito's colours, distinct to every kind of colour vision.
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#767676"
COLOURS = (
    BLUE, ORANGE, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8A7A00",
)  # fmt: skip
GRID = "#E5E5E5"
INCHES, DPI = (6.4, 4.4), 100


def figure_of(title: str, inches: tuple[float, float] = INCHES) -> tuple[Figure, Axes]:
    """A figure of its own with one plot; pyplot would keep it in a global list."""
    figure = blank(inches)
    axes = figure.add_subplot()
    dress(axes, title)
    return figure, axes


def blank(inches: tuple[float, float] = INCHES) -> Figure:
    """A figure without a plot."""
    figure = Figure(figsize=inches, dpi=DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def dress(axes: Axes, title: str, size: float = 13) -> None:
    """Title, light grid, and no frame where no axis is."""
    axes.set_title(title, fontsize=size, loc="left")
    axes.grid(True, color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def short(name: object, most: int = 24) -> str:
    """A name that fits beside a bar, and in which a dollar starts no formula."""
    text = str(name).replace("$", r"\$")
    return text if len(text) <= most else text[: most - 1] + "…"


def png(figure: Figure) -> bytes:
    """The figure as a PNG image."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return stream.getvalue()
