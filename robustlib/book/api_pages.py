"""API reference pages that list themselves: one page per package, found by looking at the files."""

from __future__ import annotations

import ast
from pathlib import Path


def _summary(path: Path) -> str:
    """First line of a module's docstring, as Markdown text."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return (text.splitlines() or [""])[0].replace("|", "\\|").replace("``", "`")


def modules(package: Path) -> dict[str, list[tuple[str, Path]]]:
    """Public modules by the page they belong to: the package itself, then each subpackage.

    Returns:
        page name to ``(dotted name, file)`` pairs, each page's package first; names with a leading
        underscore are private and absent.
    """
    pages: dict[str, list[tuple[str, Path]]] = {}
    for path in sorted(package.rglob("*.py")):
        parts = list(path.relative_to(package.parent).with_suffix("").parts)
        if parts[-1] == "__init__":
            parts.pop()
        elif parts[-1].startswith("_"):
            continue
        if any(part.startswith("_") for part in parts):
            continue
        folder = path.parent.relative_to(package.parent).parts
        pages.setdefault(".".join(folder), []).append((".".join(parts), path))
    for found in pages.values():
        found.sort(key=lambda item: (item[1].name != "__init__.py", item[0]))
    return pages


def write_api_pages(package: Path, destination: Path) -> list[Path]:
    """Write ``NAME.md`` for each package and ``modules.md``, a table of all modules; returns the pages."""
    destination.mkdir(parents=True, exist_ok=True)
    written, rows = [], []
    for page, found in modules(package).items():
        lines = [f"# `{page}`", ""]
        for name, path in found:
            if not _summary(path) and path.name == "__init__.py":
                continue
            rows.append(f"| {{py:mod}}`{name}` | {_summary(path)} |")
            if path.name != "__init__.py":
                lines += [f"## `{name}`", ""]
            # A package only re-exports: its members are described where they are defined.
            members = [] if path.name == "__init__.py" else [":members:", ":member-order: bysource"]
            directive = [f".. automodule:: {name}", *(f"   {option}" for option in members)]
            lines += ["```{eval-rst}", *directive, "```", ""]
        target = destination / f"{page}.md"
        target.write_text("\n".join(lines), encoding="utf-8")
        written.append(target)
    table = ["| module | what it is for |", "|---|---|", *rows]
    (destination / "modules.txt").write_text("\n".join(table) + "\n", encoding="utf-8")
    return written
