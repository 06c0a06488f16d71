"""The API that kubectl talks to. `app` answers requests; `about` and `resources` are its two halves.

Pure: documents, metadata, schemas, validation, selectors, patches, strategic, tables, ages, discovery, openapi with
`operations` and `described`. With the store: writes, deletions, watches, and `pages` of lists. A kind is known only by
its `dialects.kind.Kind`: none is named here but Namespace, Service, ServiceAccount and Event, whose names, fields and
answers have rules of the API's own, and kinds that are not served here (`foreign`). `protobuf` also knows the few types
that kubectl sends in that form.
"""
