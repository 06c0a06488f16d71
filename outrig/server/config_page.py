"""The settings as `/config` of Kuma's API shows them: none that is secret, the rest as they would be written."""

from dataclasses import fields
from typing import Any

from outrig.server.settings import Settings, as_text


def config_page(settings: Settings) -> dict[str, Any]:
    """What kind of control plane this is, in Kuma's words, and under `outrig` each setting by its name."""
    return {
        "mode": "zone",
        "environment": "universal",
        "store": {"type": settings.store_type},
        "outrig": {field.name: as_text(getattr(settings, field.name)) for field in fields(settings)},
    }
