"""Delta xDS: what each connected proxy is told, and when.

`subscription` and `conversation` hold the protocol's state and do no I/O; `frames` turns their messages into bytes;
`server` is the gRPC shell; `session` and `credentials` say who may talk.
"""
