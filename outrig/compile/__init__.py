"""Resources into meshes: once for all (`compile_meshes`), or step by step (`Index`). Both say the same of every mesh.

In: resources and the kinds that know them. Out: `Mesh`, or an index that answers as one and says after
each step what it touched. A resource of an unknown kind means nothing here.
"""

from outrig.compile.batch import compile_meshes
from outrig.compile.index import Index
from outrig.compile.mesh_index import MeshIndex, ServiceId, Touched

__all__ = ["Index", "MeshIndex", "ServiceId", "Touched", "compile_meshes"]
