"""The settings of a fit: what they are, how they are named, said and read, and named sets of them."""

from jaxclnf.config.names import is_static, setting
from jaxclnf.config.plain import from_plain, from_text
from jaxclnf.config.settings import FitConfig, Stage

__all__ = ["FitConfig", "Stage", "from_plain", "from_text", "is_static", "setting"]
