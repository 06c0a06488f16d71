"""The sidecar agent: proves what the task is, joins, runs Envoy, renews, drains.

`main` is the way in. Pure: `configuration`, `signing`, `bootstrap`, `readiness`, `sds`. The rest does I/O and
decides little. Only the standard library, `cryptography`, `websockets` and `yaml`: every task carries this process.
"""
