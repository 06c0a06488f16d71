"""What the control plane must not forget: resources with a numbered change log, nonces and the certificates it issued.

`protocol` is the contract; `memory`, `sqlite` and `postgres` keep it. May import `resources`, `errors` and `kit`.
"""
