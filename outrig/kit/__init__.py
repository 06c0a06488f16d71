"""Small generic pieces with no word of the mesh in them. Imports nothing of ours; async ones live in `kit.aio`."""
