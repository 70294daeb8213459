"""``python -m jaxclnf`` is ``jaxclnf``."""

from jaxclnf.cli import program

program()
