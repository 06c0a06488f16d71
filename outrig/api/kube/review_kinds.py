"""The reviews as kinds: what discovery lists of them, and the fields that `kubectl explain` shows.

They are asked and answered (`reviews`), and never kept: `create` is all that can be done with them.
https://kubernetes.io/docs/reference/kubernetes-api/authorization-resources/
"""

from typing import Final

from pydantic import Field

from outrig.dialects.kind import Kind
from outrig.dialects.schema import Form

AUTHORIZATION: Final = "authorization.k8s.io"
AUTHENTICATION: Final = "authentication.k8s.io"


class SelectorRequirement(Form):
    """A condition of a selector."""

    key: str = Field(default="", description="The field, or the label.")
    operator: str = Field(default="", description="In, NotIn, Exists or DoesNotExist.")
    values: list[str] = Field(default=[], description="The values that In and NotIn speak of.")


class SelectorAttributes(Form):
    """Which objects of a list are meant. Roles know none, so decisions are those for all."""

    raw_selector: str = Field(default="", description="As a request has it.")
    requirements: list[SelectorRequirement] = Field(default=[], description="Or its conditions.")


class ResourceAttributes(Form):
    """What is asked about: a verb on a resource."""

    verb: str = Field(default="", description="get, list, watch, create, update, patch, delete, deletecollection; *.")
    group: str = Field(default="", description='Group of the resource; "" is the core group, * every group.')
    version: str = Field(default="", description="Version of the group; decisions are the same for all.")
    resource: str = Field(default="", description="Plural name of the kind; * is every one.")
    subresource: str = Field(default="", description="A part of it, such as status.")
    namespace: str = Field(default="", description='Namespace; "" is the whole cluster.')
    name: str = Field(default="", description='Name of the object; "" is every one.')
    field_selector: SelectorAttributes | None = Field(default=None, description="Which are meant, by their fields.")
    label_selector: SelectorAttributes | None = Field(default=None, description="Which are meant, by their labels.")


class PathAttributes(Form):
    """What is asked about: a verb on a path that is no resource."""

    verb: str = Field(default="", description="The method, in small letters.")
    path: str = Field(default="", description="The path.")


class SelfAccessSpec(Form):
    """A question about oneself: exactly one of the two."""

    resource_attributes: ResourceAttributes | None = Field(default=None, description="A question about a resource.")
    non_resource_attributes: PathAttributes | None = Field(default=None, description="A question about a path.")


class AccessSpec(SelfAccessSpec):
    """A question about somebody: a user, groups, or both."""

    user: str = Field(default="", description="Name of the user.")
    groups: list[str] = Field(default=[], description="Groups that the user is in.")
    uid: str = Field(default="", description="Accepted as in Kubernetes; has no effect.")
    extra: dict[str, list[str]] = Field(default={}, description="Accepted as in Kubernetes; has no effect.")


class AccessStatus(Form):
    """The answer."""

    allowed: bool = Field(default=False, description="Whether it is allowed.")
    reason: str = Field(default="", description="By what it is.")


class SelfAccessBody(Form):
    """Whether the caller may do something."""

    spec: SelfAccessSpec = Field(default=SelfAccessSpec(), description="The question.")
    status: AccessStatus | None = Field(default=None, description="The answer.")


class AccessBody(Form):
    """Whether somebody may do something."""

    spec: AccessSpec = Field(default=AccessSpec(), description="The question.")
    status: AccessStatus | None = Field(default=None, description="The answer.")


class RulesSpec(Form):
    """A question about a namespace."""

    namespace: str = Field(default="", description="The namespace.")


class ResourceRule(Form):
    """What may be done with resources."""

    verbs: list[str] = Field(default=[], description="What may be done.")
    api_groups: list[str] = Field(default=[], description="Groups of the resources.")
    resources: list[str] = Field(default=[], description="Plural names of kinds.")
    resource_names: list[str] = Field(default=[], description="Names of objects; none: all.")


class PathRule(Form):
    """What may be done with paths."""

    verbs: list[str] = Field(default=[], description="What may be done.")
    non_resource_urls: list[str] = Field(default=[], alias="nonResourceURLs", description="The paths.")


class RulesStatus(Form):
    """The answer."""

    resource_rules: list[ResourceRule] = Field(default=[], description="What may be done with resources.")
    non_resource_rules: list[PathRule] = Field(default=[], description="What may be done with paths.")
    incomplete: bool = Field(default=False, description="Whether there may be more; never so here.")


class RulesBody(Form):
    """All that the caller may do in a namespace."""

    spec: RulesSpec = Field(default=RulesSpec(), description="The question.")
    status: RulesStatus | None = Field(default=None, description="The answer.")


class UserInfo(Form):
    """Somebody."""

    username: str = Field(default="", description="The name.")
    uid: str = Field(default="", description="The uid, of whom somebody acts as with one.")
    groups: list[str] = Field(default=[], description="The groups.")
    extra: dict[str, list[str]] = Field(default={}, description="What else is said of whom somebody acts as.")


class SelfStatus(Form):
    """The answer."""

    user_info: UserInfo | None = Field(default=None, description="Who the caller is.")


class SelfBody(Form):
    """Who the caller is."""

    status: SelfStatus | None = Field(default=None, description="The answer.")


def _review(group: str, name: str, schema: type[Form], *, namespaced: bool = False) -> Kind:
    plural = f"{name.lower()}s"
    return Kind(group, name, plural, ("v1",), schema, namespaced=namespaced, has_status=False)


REVIEWS: Final[tuple[Kind, ...]] = (
    _review(AUTHENTICATION, "SelfSubjectReview", SelfBody),
    _review(AUTHORIZATION, "LocalSubjectAccessReview", AccessBody, namespaced=True),
    _review(AUTHORIZATION, "SelfSubjectAccessReview", SelfAccessBody),
    _review(AUTHORIZATION, "SelfSubjectRulesReview", RulesBody),
    _review(AUTHORIZATION, "SubjectAccessReview", AccessBody),
)
