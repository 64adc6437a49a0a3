"""One page for each strategy, from its docstring, its settings, the table of docs/strategies.md,
and the results."""

import inspect
from collections.abc import Callable
from typing import Any

from measured import cost, listed, peers, reached, table
from written import default_of, described, kind_of, linked, parity_tests, rows, said_of

from kedge.assign.by_name import STRATEGIES
from kedge.parts import keywords

FACTS = ("reads predictions", "threshold per object", "work grows with", "made for", "published")


def strategy_pages() -> dict[str, str]:
    """Markdown by its path in the site."""
    pages = {f"strategies/{name}.md": _page(name, make) for name, make in STRATEGIES.items()}
    return {"strategies/index.md": _list()} | pages


def settings(make: Callable[..., Any]) -> str:
    """The settings of a part, with defaults and what its docstring says of each."""
    found = [
        {
            "setting": f"`{name}`",
            "type": kind_of(kind).replace("|", "or"),
            "default": default_of(make, name).replace("|", "\\|"),
            "what it does": said_of(make, name).replace("|", "\\|") or "-",
        }
        for name, kind in keywords(make).items()
    ]
    return table(found) if found else "It has none."


def _list() -> str:
    found = [
        {"strategy": f"[{row['strategy'].strip('`')}]({name}.md)", "made for": row["made for"]}
        for name, row in rows("strategies.md").items()
    ]
    how = "[how to choose a strategy](../strategies.md)"
    return listed("Strategies", "One page each, all on the same drawn image.", how, found)


def _page(name: str, make: Callable[..., Any]) -> str:
    title = getattr(make, "__name__", name)
    row = rows("strategies.md")[name]
    first, rule, source = described(make)
    example = next((p for p in inspect.signature(make).parameters.values()), None)
    words = name if example is None else f"{name}:{example.name}={example.default}"
    parts = [
        f"# {title}\n\n{first}",
        table([{key: row[key] for key in FACTS}]),
        f"<!-- view: strategy-{name} -->",
        f"## The rule\n\n{rule or first}",
        f"## Settings\n\n{settings(make)}\n\n"
        f"In Python `kedge.assign.{title}(...)`, in a file or on the command line `{words}`; "
        f"a slider each in [the live page](../live.md). In code: [{title}][{make.__module__}"
        f".{title}].",
        f"## Cost\n\n{_cost(title)}",
        f"## What it reached\n\n{_reached(name)}",
        f"## Parity\n\n{_parity(name, title)}",
        f"## Source\n\n{source or linked(row['source'])}",
    ]
    return "\n\n".join(parts) + "\n"


def _cost(title: str) -> str:
    measured = cost(title)
    if not measured:
        return "Not measured yet."
    return f"Beside a dense form of the same rule; how it was measured: {_BENCHMARK}\n\n{measured}"


_BENCHMARK = "[assignment speed](../benchmarks.md#assignment-speed)."


def _reached(name: str) -> str:
    said = reached(name)
    if not said:
        return "Not part of the comparison."
    why = "One detector and one small budget for all, so it ranks them there and nowhere else"
    return f"{why}: [strategies](../benchmarks.md#strategies).\n\n{said}"


def _parity(name: str, title: str) -> str:
    beside = peers(title)
    tests = parity_tests((name, title))
    parts = []
    if beside:
        parts.append(f"Labels beside other libraries' own code:\n\n{beside}")
    if tests:
        parts.append(tests)
    parts.append(
        ("" if parts else "No other library's code stands beside it. ")
        + "Every strategy is held to examples by hand and a dense brute force "
        "(`tests/assign`), and to one contract (`tests/contracts/test_assigners.py`)."
    )
    return "\n\n".join(parts)
