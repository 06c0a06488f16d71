"""The fields that WorkloadEntry and the template of WorkloadGroup share."""

from typing import Annotated

from pydantic import Field

from outrig.dialects import syntax
from outrig.dialects.schema import DnsLabel, Form, Labels, Port, empty_or

Weight = Annotated[int, Field(ge=0, le=(1 << 32) - 1)]
Account = Annotated[str, empty_or(syntax.is_dns_subdomain, "the name of a service account: a-z, 0-9, '-', '.'")]


class WorkloadTemplate(Form):
    """What is known of a workload."""

    address: str = Field(
        default="", max_length=256, description="IP address of the workload. Filled in for onboarded workloads."
    )
    ports: dict[DnsLabel, Port] = Field(
        default={}, max_length=128, description="Named ports. A Service port of that name leads to this number."
    )
    labels: Labels = Field(default={}, max_length=256, description="Labels of the workload; Services select by them.")
    network: str = Field(default="", max_length=2048, description="Network of the workload. Has no effect yet.")
    locality: str = Field(default="", max_length=2048, description="Where it runs: region/zone/subzone.")
    weight: Weight = Field(default=0, description="Share of the calls relative to others; 0 means 1.")
    service_account: Account = Field(default="", description="The workload's identity; empty means default.")
