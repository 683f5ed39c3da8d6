"""Tables and numbers as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from edgeconv.bench.statistics import Interval


def table(head: Sequence[str], rows: Sequence[Sequence[str]], align: str) -> list[str]:
    """Return the lines of a Markdown table."""
    marks = ["---:" if side == "r" else "---" for side in align]
    full = [[*row, *(len(head) - len(row)) * [""]] for row in rows]
    return [f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |" for line in (head, marks, *full)]


def spread(seen: Interval | None, unit: str = "", *, brackets: bool = True) -> str:
    """Return a value with its interval."""
    if not seen:
        return "—"
    value = f"{number(seen.value)}{unit}"
    return f"{value} ({number(seen.low)}–{number(seen.high)})" if brackets else value


def number(value: float) -> str:
    """Return a number with three digits that count."""
    if value == 0 or not abs(value) < 1e6:
        return f"{value:.0f}"
    if abs(value) >= 99.95:
        return f"{value:.0f}"
    return f"{value:.3g}" if abs(value) < 1e-3 else f"{float(f'{value:.3g}'):.{decimals(abs(value))}f}"


def decimals(value: float) -> int:
    """Return how many digits behind the point make three that count."""
    for places, limit in ((1, 9.995), (2, 0.9995), (3, 0.09995), (4, 0.009995)):
        if value >= limit:
            return places
    return 5


def with_unit(text: str, unit: str) -> str:
    """Return a number with its unit, apart but for ×."""
    return f"{text}{unit}" if unit in ("×", "") else f"{text} {unit}"
