"""The task definitions: the example's, with the order of stopping that `docs/agent.md` shows."""

import json
import re
from copy import deepcopy

from tests.e2e.guide import BIN, ROOT, Definition

AGENT_FIRST, TOGETHER = 0, 1  # the page's examples
AGENT = "onboarding-agent"
_SHOWN = "ratings"  # the service in those examples
_TAKEN = ("dependsOn", "entryPoint", "healthCheck", "stopTimeout")


def documented(example: Definition, service: str, number: int) -> Definition:
    """The definition of a service with what the page's example of that number says of both containers."""
    made = deepcopy(example)
    shown = {AGENT if one["name"] == AGENT else service: one for one in _examples()[number]["containerDefinitions"]}
    for container in made["containerDefinitions"]:
        container.pop("dependsOn", None)
        says = shown[container["name"]]
        container.update({field: says[field] for field in _TAKEN if field in says})
        if "entryPoint" in container:
            container["command"] = [str(BIN / "python"), str(ROOT / "examples" / "apps" / f"{service}.py")]
        for dependency in container.get("dependsOn", ()):
            dependency["containerName"] = service if dependency["containerName"] == _SHOWN else AGENT
    return made


def unaware(definition: Definition) -> Definition:
    """As in the guide: neither of the two knows of the other."""
    made = deepcopy(definition)
    for container in made["containerDefinitions"]:
        container.pop("dependsOn", None)
    return made


def _examples() -> list[Definition]:
    text = (ROOT / "docs" / "agent.md").read_text(encoding="utf-8")
    section = text.partition("\n## Stopping\n")[2].partition("\n### ")[0]
    return [json.loads(block) for block in re.findall(r"```json\n(.*?)```", section, re.DOTALL)]
