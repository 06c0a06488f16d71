"""The API group that all kinds of this dialect are in."""

from typing import Final

GROUP: Final = "kuma.io"
VERSION: Final = "v1alpha1"
