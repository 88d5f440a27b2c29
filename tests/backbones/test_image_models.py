"""Backbones of images, against the libraries called by hand."""

import io

import numpy as np
import pytest

from jaxmlp.backbones import Backbone
from jaxmlp.backbones.images import _read_image

torch = pytest.importorskip("torch", reason="needs PyTorch")
from torch_without_detection import prepare_torchvision  # noqa: E402

prepare_torchvision()
torchvision = pytest.importorskip("torchvision", reason="needs torchvision")
timm = pytest.importorskip("timm", reason="needs timm")
pillow = pytest.importorskip("PIL.Image", reason="needs Pillow")
pytestmark = pytest.mark.filterwarnings("ignore:The default weight initialization of inception")

RNG = np.random.default_rng(0)
ARRAYS = [RNG.integers(0, 256, size, np.uint8) for size in ((40, 60, 3), (80, 50, 3), (30, 30))]


def png(array, **options):
    buffer = io.BytesIO()
    pillow.fromarray(array).save(buffer, "PNG", **options)
    return buffer.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "width", "cut"),
    [
        ("resnet18", 512, lambda m: setattr(m, "fc", torch.nn.Identity())),
        ("efficientnet_b0", 1280, lambda m: m.classifier.__setitem__(1, torch.nn.Identity())),
        ("inception_v3", 2048, lambda m: setattr(m, "fc", torch.nn.Identity())),
        ("vgg11", 4096, lambda m: m.classifier.__setitem__(6, torch.nn.Identity())),
        ("vit_b_16", 768, lambda m: setattr(m.heads, "head", torch.nn.Identity())),
    ],
)
def test_features_of_torchvision_are_those_before_the_head(model, width, cut):
    backbone = Backbone.load(f"torchvision:{model}", weights="random", seed=3)
    assert (backbone.kind, backbone.n_features) == ("image", width)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        module = torchvision.models.get_model(model, weights=None)
    cut(module)
    transform = torchvision.models.get_model_weights(model).DEFAULT.transforms()
    images = [pillow.fromarray(array).convert("RGB") for array in ARRAYS]
    with torch.no_grad():
        wanted = module.eval()(torch.stack([transform(image) for image in images])).numpy()
    got = backbone([png(array) for array in ARRAYS])
    assert got.shape == (3, width)
    scale = np.abs(wanted).max()
    np.testing.assert_allclose(got / scale, wanted / scale, atol=1e-6)


@pytest.mark.parametrize("model", ["resnet18", "mobilenetv3_small_050"])
def test_features_of_timm_are_its_own(model):
    backbone = Backbone.load(f"timm:{model}", weights="random", seed=1)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        module = timm.create_model(model, num_classes=0).eval()
    config = timm.data.resolve_model_data_config(module)
    transform = timm.data.create_transform(**config, is_training=False)
    images = [pillow.fromarray(array).convert("RGB") for array in ARRAYS]
    with torch.no_grad():
        wanted = module(torch.stack([transform(image) for image in images])).numpy()
    got = backbone(ARRAYS)
    assert got.shape == (3, backbone.n_features)
    np.testing.assert_allclose(got, wanted, atol=1e-6 * np.abs(wanted).max())


@pytest.fixture(scope="module")
def small():
    return Backbone.load("timm:mobilenetv3_small_050", weights="random")


def test_batches_and_order_have_no_say(small):
    items = [*map(png, ARRAYS), ARRAYS[0][:20]]
    together = small(items)
    alone = np.concatenate([small([item]) for item in items[::-1]])[::-1]
    np.testing.assert_allclose(together, alone, atol=1e-6 * np.abs(together).max())


def test_bytes_paths_and_arrays_are_the_same_image(small, tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(png(ARRAYS[0]))
    forms = [path.read_bytes(), path, str(path), ARRAYS[0], ARRAYS[0] / 255]
    found = small(forms)
    for row in found[1:]:
        np.testing.assert_array_equal(row, found[0])


def test_the_name_says_what_is_computed():
    names = {
        Backbone.load("timm:mobilenetv3_small_050", weights="random", seed=seed).name
        for seed in (0, 0, 1)
    }
    assert len(names) == 2
    for name in names:
        assert name.startswith(f"timm {timm.__version__} mobilenetv3_small_050 sha256:")
        assert "input_size (3, 224, 224), interpolation bicubic, mean" in name


def test_weights_of_a_file_are_loaded_and_others_refused(tmp_path):
    torch.save(timm.create_model("resnet18", num_classes=0).state_dict(), tmp_path / "w.pth")
    one = Backbone.load("timm:resnet18", weights=tmp_path / "w.pth")
    other = Backbone.load("timm:resnet18", weights=tmp_path / "w.pth", seed=5)
    assert one.name == other.name != Backbone.load("timm:resnet18", weights="random").name
    with pytest.raises(ValueError, match=r"w\.pth holds no weights of this model: "):
        Backbone.load("torchvision:resnet18", weights=tmp_path / "w.pth")
    with pytest.raises(FileNotFoundError, match=r"there is no file none\.pth; weights= takes"):
        Backbone.load("torchvision:resnet18", weights="none.pth")


@pytest.mark.parametrize("library", ["torchvision", "timm"])
def test_unknown_models_are_refused_with_the_nearest(library):
    with pytest.raises(ValueError, match="resnet50"):
        Backbone.load(f"{library}:resnet5O")
    with pytest.raises(ValueError, match="pools by itself; leave pooling='cls' out"):
        Backbone.load(f"{library}:resnet18", pooling="cls")


def test_weights_that_cannot_be_had_are_named(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def offline(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr("torch.hub.download_url_to_file", offline)
    sentence = (
        r"the weights of torchvision:resnet18 are not here and could not be fetched "
        r"\(no network\); put resnet18-\w+\.pth into .*checkpoints, pass weights="
    )
    with pytest.raises(FileNotFoundError, match=sentence):
        Backbone.load("torchvision:resnet18")


@pytest.mark.parametrize(
    ("item", "sentence"),
    [
        (b"no image", r"no image that can be read \(unknown format\)"),
        (png(ARRAYS[0])[:200], "no image that can be read"),
        (np.zeros((2, 3, 5), np.uint8), r"an array of shape \(2, 3, 5\)"),
        (np.full((4, 4), 2.0), "floats between 0 and 1"),
    ],
)
def test_what_is_no_image_is_refused(item, sentence):
    with pytest.raises(ValueError, match=sentence):
        _read_image(item)


def test_images_of_all_kinds_are_read_in_three_colours():
    grey, seen = np.linspace(0, 65535, 100).reshape(10, 10), []
    deep = pillow.fromarray(grey.astype(np.uint16))
    palette = pillow.fromarray(ARRAYS[0]).convert("P")
    clear = pillow.fromarray(np.zeros((6, 8, 4), np.uint8))  # transparent black
    for image in (deep, palette, clear):
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        seen.append(_read_image(buffer.getvalue()))
    assert {image.mode for image in seen} == {"RGB"}
    np.testing.assert_allclose(np.asarray(seen[0])[..., 0], grey / 257, atol=1)
    assert np.asarray(seen[2]).min() == 255  # what is transparent is white


def test_a_camera_that_was_turned():
    image = pillow.fromarray(ARRAYS[0])
    exif = image.getexif()
    exif[0x0112] = 6  # a quarter to the right
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", exif=exif)
    assert _read_image(buffer.getvalue()).size == (40, 60)
