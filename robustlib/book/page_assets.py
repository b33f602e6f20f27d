"""Head of a page and what it loads: its description, the icons in use, pictures as they come into view."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from pathlib import Path

ICONS = Path("_static/scripts/fontawesome.js")
"""Script of the theme with the outlines of every icon there is, 1.5 MB."""
_ICON = re.compile(r'(?P<name>"[\w-]+"|\b\w+):\[\d+,\d+,\[(?P<aliases>[^\]]*)\],"[0-9a-f]+",(?:"[^"]*"|\[[^\]]*\])\],?')
STYLES = Path("_static/styles/pydata-sphinx-theme.css")
"""The theme's style sheet, a quarter of it a rule for each icon."""
_RULE = re.compile(r'(?:\.fa-[\w-]+:{1,2}before,?)+\{content:"[^"]*"\}')
_USED = re.compile(r"\bfa-([a-z0-9-]+)")


def keep_icons(script: str, used: set[str]) -> str:
    """The script with the outlines of the used icons alone, by name or alias."""

    def kept(match: re.Match[str]) -> str:
        names = {match["name"].strip('"'), *re.findall(r'"([\w-]+)"', match["aliases"])}
        return match[0] if names & used else ""

    return _ICON.sub(kept, script)


def keep_rules(styles: str, used: set[str]) -> str:
    """The style sheet without the rules that draw an icon that is not used."""

    def kept(match: re.Match[str]) -> str:
        return match[0] if set(_USED.findall(match[0])) & used else ""

    return _RULE.sub(kept, styles)


def trim_icons(site: Path) -> None:
    """Leave out of the theme's script and style sheet all icons that no page and no other script of the site names."""
    script, styles = site / ICONS, site / STYLES
    if not script.is_file():
        return
    # Style sheets name every icon there is.
    others = [path for ending in ("html", "js") for path in site.rglob(f"*.{ending}") if path != script]
    used = {name for path in others for name in _USED.findall(path.read_text(encoding="utf-8", errors="replace"))}
    script.write_text(keep_icons(script.read_text(encoding="utf-8"), used), encoding="utf-8")
    if styles.is_file():
        styles.write_text(keep_rules(styles.read_text(encoding="utf-8"), used), encoding="utf-8")


def lazy_images(body: str) -> str:
    """HTML in which the pictures are loaded as they come near the view, all but the first."""
    first, image, rest = body.partition("<img ")
    return first + image + rest.replace("<img ", '<img loading="lazy" decoding="async" ')


def plain_links(body: str) -> str:
    """HTML whose links within the book hold their words alone: wrappers and classes that no style names are left out.

    They are a tenth of a chapter with hundreds of records.
    """
    body = re.sub(r'<span class="std std-ref">([^<]*)</span>(?=</a>)', r"\1", body)
    return body.replace('<a class="reference internal" href="', '<a href="')


PICTURE = "_static/overview.png"
"""Picture of a shared link."""
SHORTEST, LONGEST = 60, 180
"""Characters of a description."""


def described(paragraphs: Iterable[str]) -> str:
    """The first paragraph that says something, cut at a word; "" where none does."""
    # Citations are in brackets.
    texts = (" ".join(re.sub(r"\s*\[[^\]]*\]", "", each).split()) for each in paragraphs)
    text = next((text for text in texts if len(text) >= SHORTEST), "")
    return text if len(text) <= LONGEST else text[: text.rfind(" ", 0, LONGEST)].rstrip(",;:") + " …"


def metatags(description: str, title: str, up: str, address: str = "") -> str:
    """Elements for a page's head: its description, and what a shared link shows.

    Args:
        description: plain text; "" for none.
        title: of the page.
        up: from the page to the site's root, or the site's address.
        address: of the page, whole; "" where the site does not know its own.
    """
    picture = f"{up.rstrip('/')}/{PICTURE}" if up else PICTURE
    told = {"og:title": title, "og:type": "article", "og:image": picture} | (
        {"og:description": description} if description else {}
    )
    if address:
        told["og:url"] = address
    lines = [f'<meta property="{name}" content="{html.escape(text)}" />' for name, text in told.items()]
    if description:
        lines.insert(0, f'<meta name="description" content="{html.escape(description)}" />')
    return "\n" + "\n".join(lines) + "\n"
