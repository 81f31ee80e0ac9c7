"""InceptionV3 as FID defines it, through torch-fidelity, from a local weights file: 2048 pooled features."""

import io

import torch
from torch import Tensor

from kpe_core.devices import CPU
from kpe_core.errors import UserError
from kpe_core.features.extractor import Extractor
from kpe_core.features.images import Images
from kpe_core.packages import need
from kpe_core.study.specs import InceptionSpace
from kpe_core.weights.files import found
from kpe_core.weights.tensors import read_tensors

FEATURES = 2048
SOURCE = (
    "It is weights-inception-2015-12-05-6726825d.pth of the torch-fidelity project on GitHub (release v0.2.0), "
    "TensorFlow's own weights for FID"
)


def inception(spec: InceptionSpace, images: Images, device: torch.device = CPU) -> Extractor:
    """The last pooled layer, of images in whole grey levels 0…255 as FID is defined; the network resizes them itself,
    as TensorFlow 1 did. So its Fréchet distance, kernel distance, precision and recall compare with published ones.

    Raises
    ------
    UserError
        when the package or the file is missing, or the file holds other weights.
    """
    fidelity = need("torch_fidelity.feature_extractor_inceptionv3", "torch-fidelity")
    path = found(spec.weights, f"space {spec.name}, weights of InceptionV3", SOURCE)
    # The package would unpickle the file with code and all, so it is given tensors that were loaded without.
    safe = io.BytesIO()
    torch.save(read_tensors(path), safe)
    safe.seek(0)
    try:
        network = fidelity.FeatureExtractorInceptionV3("kpe", [str(FEATURES)], feature_extractor_weights_path=safe)
    except (RuntimeError, KeyError) as error:
        raise UserError(f"{path} is not torch-fidelity's InceptionV3: {' '.join(str(error).split())[:200]}") from None

    network = network.to(device)

    def features(x: Tensor) -> Tensor:
        levels = (images(x) * 255).round().to(torch.uint8)
        return torch.as_tensor(network(levels)[0])

    return Extractor(FEATURES, features, device=device)
