"""Every data set by name."""

from kpe_core.data.sets.array import ARRAY
from kpe_core.data.sets.celeba import CELEBA
from kpe_core.data.sets.cifar import CIFAR
from kpe_core.data.sets.folders import FOLDERS
from kpe_core.data.sets.idx import IDX
from kpe_core.data.sets.latents import LATENTS
from kpe_core.data.sets.packaged import PACKAGED
from kpe_core.data.source import DataSet

SETS: dict[str, DataSet] = PACKAGED | IDX | CIFAR | CELEBA | FOLDERS | LATENTS | ARRAY
