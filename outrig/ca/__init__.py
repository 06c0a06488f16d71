"""Certificate authorities: who signs what for whom, and the rules a certificate request must keep.

In: public keys and names the control plane has decided on. Out: short-lived certificates from fixed templates.
Refused: weak keys, requests without proof of possession; nothing but the public key of a request is ever used.

Three authorities that never stand in for each other: `control` (the control plane's server certificates and the
identities of agents towards it), `clients` (people and tools that use the API), and one per mesh (workloads among
themselves).
"""
