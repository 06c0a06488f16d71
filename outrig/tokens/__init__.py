"""Tokens that this control plane signs itself: for data planes, zone proxies and users of the API.

In: what a token shall say, signing keys (Secrets in the store, or a key file offline). Out: RS256 tokens; and, from a
token, what it says, once its signature, its time and its standing hold. Refused: every other algorithm, keys named by
the token itself, tokens without an end or an id.

A token names the serial of its signing key (`kid`). The key with the highest serial signs; deleting a key ends what it
has signed; a list of ids ends single tokens.
"""
