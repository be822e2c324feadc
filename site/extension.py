"""What the site adds to Sphinx: formulas as MathML, and docstrings in Markdown."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert


def _math(display: str) -> Any:
    """Writes a formula as MathML, which browsers draw without a script and without a network."""

    def visit(writer: Any, node: nodes.Node) -> None:
        formula = convert(node.astext().replace(r"\operatorname*", r"\operatorname"), display=display)
        if display == "block":  # a wide one scrolls, also by keyboard
            formula = formula.replace("<math ", '<math tabindex="0" ', 1)
        writer.body.append(formula)
        raise nodes.SkipNode

    return visit


def markdown(_app: Any, _what: str, _name: str, _object: Any, _options: Any, lines: list[str]) -> None:
    """Turn Markdown headings and tables of a docstring, as Gymnasium writes them, into reStructuredText."""
    found: list[str] = []
    for in_table, part in groupby(lines, key=lambda line: line.startswith("|")):
        if in_table:
            found += ["::", "", *(f"    {line}" for line in part), ""]
        else:
            for line in part:
                found += [f"**{line[3:]}**", ""] if line.startswith("## ") else [line]
    lines[:] = found


def setup(app: Any) -> dict[str, bool]:
    """Register the renderer, which ``html_math_renderer`` chooses, and the hook for docstrings."""
    app.add_html_math_renderer("mathml", (_math("inline"), None), (_math("block"), None))
    app.connect("autodoc-process-docstring", markdown, priority=100)  # before napoleon
    return {"parallel_read_safe": True, "parallel_write_safe": True}
