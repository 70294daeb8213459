"""Sub-commands registered with their application."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import typer


def add_command(app: typer.Typer, command: Callable[..., None], name: str | None = None) -> None:
    """Register a sub-command. Its help is its docstring; the terminal's width breaks the lines."""
    paragraphs = inspect.cleandoc(command.__doc__ or "").split("\n\n")
    text = "\n\n".join(" ".join(each.split()) for each in paragraphs)
    app.command(name, help=text)(command)
