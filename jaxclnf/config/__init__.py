"""The settings of a fit: their declarations, names, texts, and presets."""

from jaxclnf.config.names import is_static, setting
from jaxclnf.config.plain import from_plain, from_text
from jaxclnf.config.settings import FitConfig, Stage

__all__ = ["FitConfig", "Stage", "from_plain", "from_text", "is_static", "setting"]
