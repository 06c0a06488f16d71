"""ECS on one machine: the AWS API, tasks as real processes in namespaces of their own, and the hosts beside them.

In: a scene (`scene.yaml`).  Out: a running emulator, driven by the real `aws`.  It refuses what Fargate lacks.
"""
