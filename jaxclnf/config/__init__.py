"""The settings of a fit: their declarations, names, texts, and presets."""

from jaxclnf.config.fit_config import FitConfig
from jaxclnf.config.parsing import from_plain, from_text
from jaxclnf.config.setting_names import is_static, setting
from jaxclnf.config.settings import Stage

__all__ = ["FitConfig", "Stage", "from_plain", "from_text", "is_static", "setting"]
