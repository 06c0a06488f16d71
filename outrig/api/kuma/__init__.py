"""The API that Kuma's tools speak: kumactl's resources, overviews and tokens, on the same ports as kubectl's.

Ours is stricter: nothing but what the server is can be read without a credential, and nothing can be written.
"""
