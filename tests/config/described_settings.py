"""What the declarations of settings say of each: the comment above it, and the values it may have."""

from __future__ import annotations

import re
from pathlib import Path

from jaxclnf.config import settings
from jaxclnf.config.setting_names import COLUMNS, WHOLE, is_static

_DECLARED = re.compile(r"((?:^    # .*\n)+)^    (\w+): ", re.M)


def meanings() -> dict[str, str]:
    """Collect the comment above each setting's declaration, by the name that `--set` takes."""
    source = Path(settings.__file__).read_text(encoding="utf-8")
    said = {name: " ".join(re.findall(r"# (.*)", above)) for above, name in _DECLARED.findall(source)}
    return {name: said[field.name] for name, field in (COLUMNS | WHOLE).items()}


def values() -> dict[str, str]:
    """Collect what is expected of each setting's values; a setting without a rule is left out."""
    rules = {name: field.metadata.get("rule") for name, field in (COLUMNS | WHOLE).items()}
    return {name: rule.expected for name, rule in rules.items() if rule}


def row(name: str) -> str:
    """Make the row of a setting in the table of docs/settings.md."""
    anew = "yes" if is_static(name) else "no"
    return f"| `{name}` | {meanings()[name]} | {values().get(name, 'names of parts')} | {anew} |"
