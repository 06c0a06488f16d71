"""The fields of MeshTrafficPermission, with their descriptions."""

from typing import Literal

from pydantic import Field

from outrig.dialects.kuma.form import KumaForm
from outrig.dialects.kuma.target_ref import TargetRef

_SHADOW = "AllowWithShadowDeny allows, and says what it would have denied in logs and statistics."


class Default(KumaForm):
    """What becomes of calls."""

    action: Literal["Allow", "Deny", "AllowWithShadowDeny"] = Field(description=f"Allow or Deny. {_SHADOW}")


class From(KumaForm):
    """Callers, and what becomes of their calls."""

    target_ref: TargetRef = Field(
        description="Who calls: Mesh (anybody, certificate or not), MeshSubset, MeshService, MeshServiceSubset. "
        "A service of the form NAME_NAMESPACE_svc_PORT also means the WorkloadGroups behind it."
    )
    default: Default = Field(description="What becomes of its calls.")


class SpiffeId(KumaForm):
    """An identity."""

    type: Literal["Exact", "Prefix"] = Field(description="How it is compared.")
    value: str = Field(description="The identity, or its beginning: spiffe://…")


class ServerName(KumaForm):
    """A server that is named in clear text."""

    type: Literal["Exact"] = Field(description="How it is compared.")
    value: str = Field(description="Not supported yet.")


class Match(KumaForm):
    """Some calls."""

    spiffe_id: SpiffeId | None = Field(default=None, alias="spiffeID", description="Who calls.")
    sni: ServerName | None = Field(default=None, description="Not supported yet.")


class RuleDefault(KumaForm):
    """What becomes of calls. What is denied stays denied, whatever is allowed; what is in no list is denied."""

    deny: list[Match] = Field(default=[], description="Calls that are denied.")
    allow_with_shadow_deny: list[Match] = Field(default=[], description=f"Calls that are allowed. {_SHADOW}")
    allow: list[Match] = Field(default=[], description="Calls that are allowed.")


class RuleForm(KumaForm):
    """Some lists."""

    default: RuleDefault = Field(description="What becomes of calls.")


class PermissionSpec(KumaForm):
    """Who may call what. Has `from` or `rules`, not both."""

    target_ref: TargetRef | None = Field(
        default=None, description="What is called: Mesh (also if left out), Dataplane, MeshSubset, MeshService, …"
    )
    from_: list[From] = Field(
        default=[], alias="from", description="Callers. Of several that fit one, the last counts, over all policies."
    )
    rules: list[RuleForm] = Field(default=[], description="Lists of calls, by the identities of their callers.")


class PermissionBody(KumaForm):
    """Who may call Dataplanes."""

    spec: PermissionSpec = Field(description="Who may call what.")
