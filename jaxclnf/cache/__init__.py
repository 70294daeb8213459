"""Results that later processes need not compute again: compiled programs, models laid out for use."""

from jaxclnf.cache.cache_folder import kept_in, place, read, refusal, subfolder, write
from jaxclnf.cache.programs import Kept, keep, keep_checked, no_array

__all__ = [
    "Kept",
    "keep",
    "keep_checked",
    "kept_in",
    "no_array",
    "place",
    "read",
    "refusal",
    "subfolder",
    "write",
]
