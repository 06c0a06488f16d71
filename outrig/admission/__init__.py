"""The join: from a request to a registered workload with certificates, or to a refusal that says why.

`Admission.join` is the use case. What it needs (attestor, store, authorities, clock) it asks for as protocols, in
`ports`. Refusals are `Refused`, each kind with a code; every outcome is one line in the audit log, except that callers
who ask too often get an answer and nothing else.
"""
