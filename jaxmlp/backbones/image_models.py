"""Backbones of images: the models of torchvision and timm, without their heads."""

from pathlib import Path
from typing import Any

from jaxmlp.backbones.images import prepare_images
from jaxmlp.backbones.source import Extractor, Source, refuse_pooling
from jaxmlp.backbones.torch_modules import (
    Run,
    TorchModel,
    cut_head,
    drawn_from,
    import_torch,
    read_weights,
)
from jaxmlp.checks import unknown_name
from jaxmlp.optional import import_optional


def load_torchvision(source: Source) -> Extractor:
    """Load a classifier of torchvision; its features are what its last linear layer sees.

    Args:
        source: a model that `torchvision.models.list_models()` names.
    """
    refuse_pooling(source)
    vision = import_optional("torchvision", f"{source.spelled} needs torchvision", "jaxmlp[vision]")
    known = vision.models.list_models(module=vision.models)
    if source.model not in known:
        raise unknown_name("model of torchvision", source.model, known)
    weights = vision.models.get_model_weights(source.model).DEFAULT
    if source.weights == "pretrained":
        module = _fetched(
            source, weights, lambda: vision.models.get_model(source.model, weights=weights)
        )
        how = f"weights {weights.name}"
    else:
        with drawn_from(source.seed):
            module = vision.models.get_model(source.model, weights=None)
        if source.weights != "random":
            read_weights(module, source.weights)
        how = source.weights if source.weights == "random" else Path(source.weights).name
    width = cut_head(module)
    transform = weights.transforms()
    said = " ".join(repr(transform).split())
    return image_extractor(
        module, transform, width, source, f"torchvision {vision.__version__}", f"{how}, {said}",
        "code BSD-3-Clause; weights as their model card says",
    )  # fmt: skip


def load_timm(source: Source) -> Extractor:
    """Load a model of timm without its classifier, with the preparation that it was trained with.

    Args:
        source: a model that `timm.list_models()` names, with or without the tag of its weights; or
            a folder.
    """
    refuse_pooling(source)
    timm = import_optional("timm", f"{source.spelled} needs timm", "jaxmlp[vision]")
    bare = source.model.partition(".")[0]
    if bare not in timm.list_models() and not Path(source.model).is_dir():
        raise unknown_name("model of timm", source.model, timm.list_models())
    name = f"local-dir:{source.model}" if Path(source.model).is_dir() else source.model

    def make(pretrained: bool) -> Any:
        return timm.create_model(name, pretrained=pretrained, num_classes=0)

    if source.weights == "pretrained":
        module = _fetched(source, None, lambda: make(True))
    else:
        with drawn_from(source.seed):
            module = make(False)
        if source.weights != "random":
            read_weights(module, source.weights)
    width = getattr(module, "head_hidden_size", None) or module.num_features
    config = timm.data.resolve_model_data_config(module)
    transform = timm.data.create_transform(**config, is_training=False)
    said = ", ".join(f"{key} {config[key]}" for key in sorted(config))
    license = (module.pretrained_cfg or {}).get("license") or "not stated"
    return image_extractor(
        module, transform, width, source, f"timm {timm.__version__}", said, license
    )


def _fetched(source: Source, weights: Any, make: Any) -> Any:
    """Make a model whose weights may have to be fetched, or say where they belong."""
    try:
        return make()
    except (OSError, RuntimeError, ValueError) as error:  # URLError is an OSError
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        place = ""
        if weights is not None:
            folder = Path(import_torch().hub.get_dir()) / "checkpoints"
            place = f" put {weights.url.rsplit('/', 1)[-1]} into {folder},"
        raise FileNotFoundError(
            f"the weights of {source.spelled} are not here and could not be fetched ({reason});"
            f"{place} pass weights= with the path of a file, or go online once."
        ) from error


def image_extractor(
    module: Any, transform: Any, width: int, source: Source, library: str, said: str, license: str
) -> Extractor:
    """Make an extractor of a module that takes a batch of prepared images.

    Args:
        module: (images, 3, height, width) -> (images, features).
        transform: an image of Pillow -> (3, height, width).
        width: features.
        source: what it was loaded from.
        library: and its version.
        said: how images are prepared.
        license: of the weights.
    """
    torch = import_torch()

    def features(run: Run, items: list[Any]) -> Any:
        batch = torch.stack(prepare_images(items, transform)).to(source.device)
        return run(batch).flatten(1)

    model = TorchModel(module, features, source.device)
    name = f"{library} {source.model} sha256:{model.digest()} ({said})"
    return Extractor("image", model.extract, name, width, license, model)
