"""The only reader of OpenFace's files: model texts that name each other, and their binary patch experts."""

from jaxclnf.models.openface.model_files import convert_openface, is_openfaces, named_validator

__all__ = ["convert_openface", "is_openfaces", "named_validator"]
