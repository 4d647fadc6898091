"""The navigation of the documentation: the five kinds of page in their order, every file of each folder."""

from __future__ import annotations

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig

SECTIONS = {
    "Tutorial": "tutorial",
    "How-to": "howto",
    "Explanation": "explanation",
    "Reference": "reference",
    "Decisions": "decisions",
}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Fill `nav` from the folders; an ``index.md`` stands first in its section."""
    docs = Path(config.docs_dir)
    config.nav = [{"Home": "index.md"}]
    for title, folder in SECTIONS.items():
        pages = sorted((docs / folder).glob("*.md"), key=lambda page: (page.name != "index.md", page.name))
        if pages:
            config.nav.append({title: [page.relative_to(docs).as_posix() for page in pages]})
    config.nav += [page.name for page in sorted(docs.glob("*.md")) if page.name != "index.md"]
    return config
