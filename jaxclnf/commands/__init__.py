"""The sub-commands, a module each.

A command's module holds a function whose annotated parameters are typer's options, or a ``typer.Typer`` app
if the command has sub-commands of its own; `jaxclnf.commands.app` registers it. What users ask for is in
`options`, `asked` and `choices`; what they are told in `messages`, `said_of_photos`, `progress_bars` and
`progress_lines`; the files that commands write in `outputs`. Modules that end in ``_here`` and
``_on_cluster`` do what `fit` and `track` are asked for, with `on_cluster`; those that begin with ``train_``
are parts of `train`. The process itself is the matter of `streams`, `interrupt` and `garbage`. Slow imports
(matplotlib, dlib, polars, optax) stand inside the functions, so that ``jaxclnf --help`` stays quick. A
mistake of the user raises ValueError or OSError with one sentence, which `jaxclnf.cli.main` prints.
"""
