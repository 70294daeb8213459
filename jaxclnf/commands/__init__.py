"""The sub-commands, a module each.

A module holds a function of its command's name, whose annotated parameters are typer's options, or a
``typer.Typer`` app of that name if the command has sub-commands of its own; `jaxclnf.commands.app` registers
it. Slow imports (matplotlib, dlib, polars, optax) stand inside the functions, so that ``jaxclnf --help``
stays quick. A mistake of the user raises ValueError or OSError with one sentence, which `jaxclnf.cli.main`
prints.
"""
