"""The sub-commands, a module each.

A command's module holds a function whose annotated parameters are typer's options, or a ``typer.Typer`` app
if the command has sub-commands of its own; `jaxclnf.commands.app` registers it. What commands share is in
`options`, `asked`, `choices`, `common` and `on_cluster`; modules that end in ``_here`` and ``_on_cluster`` do
what `fit` and `track` are asked for. Slow imports (matplotlib, dlib, polars, optax) stand inside the
functions, so that ``jaxclnf --help`` stays quick. A mistake of the user raises ValueError or OSError with one
sentence, which `jaxclnf.cli.main` prints.
"""
