"""Outrig: a service mesh for workloads outside Kubernetes, Amazon ECS tasks first."""

__version__ = "0.1.0"
