"""The guide's three documents, as they stand there."""

from outrig.model import Address, Egress, Group, Import, Ingress, Policy, Protocol, ProxyShape, Selector
from tests.unit.dialect_making import facts, found, resource, schema_problems

GROUP = """
apiVersion: networking.istio.io/v1alpha3
kind: WorkloadGroup
metadata:
  name: ratings
  namespace: bookinfo
  labels:
    app: ratings
spec:
  template:
    labels:
      app: ratings
      class: ecs
      cloud: aws
    serviceAccount: bookinfo-ratings
"""
SIDECAR = """
apiVersion: networking.istio.io/v1beta1
kind: Sidecar
metadata:
  name: bookinfo-ratings-no-iptables
  namespace: bookinfo
spec:
  workloadSelector:                  # (1)
    labels:
      app: ratings
      class: ecs
  ingress:
  - defaultEndpoint: 127.0.0.1:9080  # (2)
    port:
      name: http
      number: 9080                   # (3)
      protocol: HTTP
  egress:
  - bind: 127.0.0.2                  # (4)
    port:
      number: 9080                   # (5)
    hosts:
    - ./*                            # (6)
"""
POLICY = """
apiVersion: authorization.onboarding.tetrate.io/v1alpha1
kind: OnboardingPolicy
metadata:
  name: allow-ecs
  namespace: bookinfo            # (1)
spec:
  allow:
  - workloads:
    - aws:
        accounts:
        - "123456789012"         # (2)
        ecs: {}                  # (3)
    onboardTo:
    - workloadGroupSelector: {}  # (4)
"""


def test_the_three_documents_are_accepted_without_a_word() -> None:
    for text in (GROUP, SIDECAR, POLICY):
        assert schema_problems(text) == []
        assert found(resource(text)) == []


def test_the_group_promises_its_labels_and_the_identity_of_its_service_account() -> None:
    group = resource(GROUP)
    labels = (("app", "ratings"), ("class", "ecs"), ("cloud", "aws"))
    assert facts(group) == (
        Group(group.key, "bookinfo", labels, ("spiffe://cluster.local/ns/bookinfo/sa/bookinfo-ratings",)),
    )


def test_the_sidecar_shapes_the_proxies_its_selector_chooses() -> None:
    (policy,) = facts(resource(SIDECAR))
    assert isinstance(policy, Policy)
    assert policy.applies_to == Selector("bookinfo", (("app", "ratings"), ("class", "ecs")))
    assert policy.settings == ProxyShape(
        ingress=(Ingress(9080, Protocol.HTTP, Address("127.0.0.1", 9080)),),
        egress=(Egress((Import("bookinfo", "*"),), 9080, "127.0.0.2", Protocol.UNSPECIFIED),),
    )


def test_an_account_without_quotes_is_refused_with_the_advice_to_quote_it() -> None:
    for unquoted in ("123456789012", "012345670123", "12345678901.0"):
        assert schema_problems(POLICY.replace('"123456789012"', unquoted)) == [
            "spec.allow.0.workloads.0.aws.accounts.0: "
            "quote it: YAML reads 012345678901 as a number and drops leading zeros"
        ]
