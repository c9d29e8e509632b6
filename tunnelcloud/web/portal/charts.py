"""Charts as points of SVG, drawn by the server; what they show stands in a table, too."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

SPARK_WIDTH, SPARK_HEIGHT = 240, 40
_WIDTH, _HEIGHT = 288, 96
_STEPS = (1, 2, 5)


@frozen
class Spark:
    """A line without axes.

    :ivar line: the points of a ``polyline``.
    :ivar under: the points of the ``polygon`` below it.
    """

    line: str
    under: str


def spark(values: Sequence[int]) -> Spark:
    """Draw a small line; the highest value touches the top."""
    top = max(values) or 1
    step = SPARK_WIDTH / max(1, len(values) - 1)
    points = [
        f"{index * step:.1f},{SPARK_HEIGHT - 1 - value / top * (SPARK_HEIGHT - 2):.1f}"
        for index, value in enumerate(values)
    ]
    line = " ".join(points)
    return Spark(line, f"0,{SPARK_HEIGHT} {line} {SPARK_WIDTH},{SPARK_HEIGHT}")


@frozen
class Bar:
    """One bar of a chart, in its picture's units."""

    x: float
    y: float
    width: float
    height: float
    value: int


@frozen
class Bars:
    """A chart of bars.

    :ivar lines: where the lines across stand, and the values they stand for.
    :ivar axis: where texts below the bars begin, and the texts.
    """

    bars: tuple[Bar, ...]
    lines: tuple[tuple[float, int], ...]
    axis: tuple[tuple[float, str], ...] = ()


def bars(values: Sequence[int], axis: Sequence[str] = (), *, binary: bool = False) -> Bars:
    """Draw bars from the left to the right.

    :param axis: the texts below them, empty for a bar without one.
    :param binary: the steps of the scale are powers of two: for bytes.
    """
    top = _round_up(max(values), binary)
    step = _WIDTH / len(values)
    drawn = tuple(
        Bar(
            round(index * step + step * 0.1, 1),
            round(_HEIGHT - value / top * _HEIGHT, 1),
            round(step * 0.8, 1),
            round(value / top * _HEIGHT, 1),
            value,
        )
        for index, value in enumerate(values)
    )
    half = () if top == 1 else ((_HEIGHT / 2, top // 2),)
    below = tuple((round(place * step, 1), text) for place, text in enumerate(axis) if text)
    return Bars(drawn, ((0.0, top), *half, (float(_HEIGHT), 0)), below)


def _round_up(value: int, binary: bool) -> int:
    if binary:
        return 1 << max(1, (value - 1).bit_length()) if value > 1 else 1
    scale = 1
    while True:
        for step in _STEPS:
            if value <= step * scale:
                return step * scale
        scale *= 10
