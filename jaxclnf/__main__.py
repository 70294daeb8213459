"""``python -m jaxclnf`` is ``jaxclnf``."""

from jaxclnf.cli import main

main()
