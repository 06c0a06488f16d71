"""The API that kubectl talks to. `app` answers requests; `about` and `resources` are its two halves.

Pure: documents, metadata, schemas, validation, selectors, patches, strategic, tables, ages, discovery, openapi.
With the store: writes, deletions, watches. A kind is known only by its `dialects.kind.Kind`: none is named here but
Namespace, Service and Event, whose names and fields have rules of the API's own, and kinds Outrig lacks (`foreign`).
`protobuf` also knows the few types that kubectl sends in that form.
"""
