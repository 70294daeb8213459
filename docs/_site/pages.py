"""Pages of the site made from other files: the README, the experiments, the API reference by rooms."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "jaxclnf"
COPIED = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "params/MODEL_CARD.md": "model-card.md",
}
FIRST = ("types", "config", "fitting", "models", "batch", "media", "tracking", "output", "data")
LEFT_OUT = ("commands",)  # `jaxclnf --help` says what they do

OPTIONS = "    options:\n      show_root_heading: false"
INHERITED = "      inherited_members: true\n"  # the fields and presets of `FitConfig`


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """List the pages that are made under their headings."""
    for section in config.nav or []:
        for title, place in section.items():
            if place == "reference/":
                section[title] = [page for page, _ in _reference()]
            elif place == "experiments/":
                section[title] = [page.as_posix() for page in _experiments() if page.suffix == ".md"]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    for source, page in COPIED.items():
        text = (ROOT / source).read_text(encoding="utf-8").replace("](docs/", "](")
        files.append(File.generated(config, page, content=text))
    for page in _experiments():
        files.append(File.generated(config, page.as_posix(), abs_src_path=str(ROOT / page)))
    for page, text in _reference():
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Lead links out of docs/ to where the site has the same pages."""
    in_docs = "/" not in page.file.src_uri
    if not in_docs:
        return markdown
    return markdown.replace("](../experiments/", "](experiments/").replace("](../README.md", "](index.md")


def _experiments() -> list[Path]:
    """The experiments' pages and pictures, relative to the project."""
    folder = ROOT / "experiments"
    return sorted(p.relative_to(ROOT) for p in folder.rglob("*") if p.suffix in (".md", ".png"))


def _reference() -> Iterator[tuple[str, str]]:
    """A page of the public names, and one of each room."""
    yield (
        "reference/index.md",
        f"# Public names\n\n::: jaxclnf\n{OPTIONS}\n{INHERITED}      members: {_public()}\n",
    )
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")} - {*LEFT_OUT}
    for room in (*FIRST, *sorted(rooms - {*FIRST})):
        yield f"reference/{room}.md", _room(PACKAGE / room)


def _public() -> list[str]:
    """The public names: functions, then classes."""
    for node in ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return sorted(ast.literal_eval(node.value), key=lambda name: (not name[0].islower(), name))
    return []


def _room(folder: Path) -> str:
    """A room's page: what its ``__init__`` says, then its modules."""
    said = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in sorted(folder.rglob("*.py"))]
    modules = [name.removesuffix(".__init__") for name in names]
    blocks = [
        f"::: {name}" for name in modules if name != f"jaxclnf.{folder.name}" or folder.name == "native"
    ]
    return "\n\n".join([f"# {folder.name}", said, *blocks, ""])
