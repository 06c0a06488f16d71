"""Zone: a part of an installation, which tokens of zone proxies name. There is one control plane: it routes nothing."""

from typing import Final

from pydantic import Field

from outrig.dialects.columns import AGE
from outrig.dialects.findings import NOT_HONOURED, Place
from outrig.dialects.kind import Kind
from outrig.dialects.kuma.form import KumaForm
from outrig.dialects.kuma.group import GROUP, VERSION
from outrig.dialects.schema import parse
from outrig.errors import Finding
from outrig.resources import Resource


class ZoneBody(KumaForm):
    """A zone."""

    enabled: bool = Field(default=True, description="Accepted as in Kuma; has no effect.")


def _findings(resource: Resource) -> tuple[Finding, ...]:
    if parse(ZoneBody, resource).enabled:
        return ()
    hint = "there is one control plane; delete the Zone if its tokens are to serve no more"
    return (Place(resource.key, "enabled").warning(NOT_HONOURED, "false has no effect", hint),)


ZONE: Final = Kind(
    group=GROUP,
    name="Zone",
    plural="zones",
    singular="zone",
    short_names=("z",),
    versions=(VERSION,),
    schema=ZoneBody,
    namespaced=False,
    has_status=False,
    columns=(AGE,),
    default=lambda body: {"enabled": True, **{name: value for name, value in body.items() if value is not None}},
    findings=_findings,
)
