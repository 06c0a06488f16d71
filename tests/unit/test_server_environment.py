"""Variables that look like settings and are none are pointed out; everybody else's pass without a word."""

import re
from pathlib import Path

from structlog.testing import capture_logs

from outrig.server.environment import ELSEWHERE, unused, warn_of_unused
from outrig.server.settings import PREFIX, Settings

ROOT = Path(__file__).parent.parent.parent


def test_a_misspelt_setting_is_pointed_out_with_the_nearest_one() -> None:
    with capture_logs() as logs:
        warn_of_unused({"OUTRIG_XDS_PRT": "secret", "OUTRIG_XDS_PORT": "1", "PATH": "/bin"})
    assert [(log["log_level"], log["name"], log["hint"]) for log in logs] == [
        ("warning", "OUTRIG_XDS_PRT", "did you mean 'OUTRIG_XDS_PORT'?")
    ]
    assert "secret" not in str(logs)


def test_settings_of_kuma_are_said_not_to_be_used() -> None:
    found = dict(unused({"KUMA_MODE": "zone", "KMESH_LICENSE_PATH": "/x", "KUMAX": ""}))
    assert found.keys() == {"KUMA_MODE", "KMESH_LICENSE_PATH"}
    assert all("not read yet" in hint for hint in found.values())


def test_every_variable_that_outrig_reads_is_known() -> None:
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "outrig").rglob("*.py")]
    named = {name for text in texts for name in re.findall(PREFIX + r"[A-Z]\w*", text)}
    assert named >= ELSEWHERE
    assert list(unused(dict.fromkeys(named, ""))) == []


def test_a_variable_of_another_part_is_no_setting() -> None:
    assert not {name.removeprefix(PREFIX).lower() for name in ELSEWHERE} & set(Settings.__dataclass_fields__)
