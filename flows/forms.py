"""What the deployments' parameters may be: the types that the Prefect UI turns into forms and the server holds runs to.

Prefect takes types and bounds from here and each parameter's description from the flow's docstring, which it reads in
Google's format alone.
"""

from typing import Annotated, Literal

from pydantic import Field

StudyName = Literal[
    "celeba32", "cifar10", "enfopath", "faces", "first-look", "imagenet256", "mnist", "theory"
]  # fmt: skip
"""The files of deployments/studies/."""
ClusterName = Literal["address", "cuda", "kubernetes", "local", "slurm"]
"""The files of deployments/clusters/."""

YamlFile = Annotated[str, Field(pattern=r"\.ya?ml$", title="a file of your own")]

Study = StudyName | YamlFile
Cluster = ClusterName | YamlFile
Studies = Annotated[list[Study], Field(min_length=1, max_length=100)]
Place = Annotated[str, Field(pattern=r"^([a-z0-9]+://[^/@?]+(/[^?]*)?|[^:]+)$")]
"""A path, or a URL without a user, a password or a query: the server keeps parameters for good."""
StoreUrl = Place
Folder = Place
Override = Annotated[str, Field(pattern=r"^[^=\s]+=")]
Overrides = list[Override] | None
ShardSize = Annotated[int, Field(ge=1, le=1_000_000)]
Workers = Annotated[int, Field(ge=1, le=1024)] | None
Seconds = Annotated[float, Field(ge=0, le=86_400)]
