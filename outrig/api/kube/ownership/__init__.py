"""Who owns which fields of an object, and what applying a configuration makes of it: pure functions on JSON values.

The rules are those of Kubernetes' server-side apply (sigs.k8s.io/structured-merge-diff); nothing here knows of
requests, kinds or stores.
"""
