"""`/config` shows every setting but the secret ones."""

import json
from pathlib import Path

from outrig.server.config_page import config_page
from outrig.server.settings import load_settings


def test_settings_are_shown_and_passwords_are_not() -> None:
    flags = {"postgres_password": "letmein", "store_type": "postgres", "data_dir": "/srv/outrig", "xds_port": "7"}
    shown = config_page(load_settings(file=None, environment={}, flags=flags))
    assert "letmein" not in json.dumps(shown)
    assert (shown["store"], shown["mode"]) == ({"type": "postgres"}, "zone")
    assert shown["outrig"]["xds_port"] == "7"
    assert Path(shown["outrig"]["data_dir"]) == Path("/srv/outrig")
