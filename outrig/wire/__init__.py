"""What agent and control plane say to each other: frozen dataclasses and their strict JSON form.

Imports nothing of ours, so that the agent stays lean. Version 1 of the protocol: HTTPS requests under `/v1`, and one
WebSocket, `/v1/stream`, for as long as the agent lives.
"""
