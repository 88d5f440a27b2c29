"""Backbones of texts and speech, against transformers called by hand; small random models."""

import io

import numpy as np
import pytest

from jaxmlp.backbones import Backbone
from jaxmlp.backbones.sounds import read_sound

torch = pytest.importorskip("torch", reason="needs PyTorch")
from torch_without_detection import prepare_torchvision  # noqa: E402

prepare_torchvision()  # transformers imports it where it is installed
transformers = pytest.importorskip("transformers", reason="needs transformers")

TEXTS = ["the red car", "a blue house is in the car and was not very good", "bad", "the the"]
WORDS = list(dict.fromkeys(" ".join(TEXTS).split()))
SPECIAL = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]"}
SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
KINDS = {
    "bert": transformers.BertConfig(**SIZES, intermediate_size=64, vocab_size=40),
    "roberta": transformers.RobertaConfig(
        **SIZES, intermediate_size=64, vocab_size=40, max_position_embeddings=40, pad_token_id=0
    ),
    "distilbert": transformers.DistilBertConfig(dim=32, n_layers=2, n_heads=4, vocab_size=40),
    "gpt2": transformers.GPT2Config(n_embd=32, n_layer=2, n_head=4, vocab_size=40, n_positions=64),
    "t5": transformers.T5Config(
        d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, vocab_size=40
    ),
}


def make_tokenizer(kind):
    """Words with a vocabulary of their own; GPT-2 has no token that fills up."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    names = [*SPECIAL.values(), *WORDS]
    words = Tokenizer(models.WordLevel({w: k for k, w in enumerate(names)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    special = {} if kind == "gpt2" else SPECIAL
    if kind == "gpt2":
        special = {"eos_token": "[SEP]", "unk_token": "[UNK]"}
    else:
        words.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
        )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, model_max_length=32, **special
    )


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A folder of each kind, as save_pretrained writes it."""
    found = {}
    for kind, config in KINDS.items():
        torch.manual_seed(0)
        found[kind] = tmp_path_factory.mktemp(kind)
        make = transformers.T5EncoderModel if kind == "t5" else transformers.AutoModel.from_config
        make(config).save_pretrained(found[kind])
        make_tokenizer(kind).save_pretrained(found[kind])
    return found


def by_hand(folder, kind, text, pooling):
    """One text at a time, so that nothing fills up."""
    make = transformers.T5EncoderModel if kind == "t5" else transformers.AutoModel
    model = make.from_pretrained(folder).eval()
    tokens = transformers.AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")
    with torch.no_grad():
        hidden = model(tokens["input_ids"]).last_hidden_state[0].numpy()
    return {"cls": hidden[0], "last": hidden[-1], "mean": hidden.mean(axis=0)}[pooling]


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
@pytest.mark.parametrize("kind", KINDS)
def test_features_are_those_of_transformers_whatever_fills_up(folders, kind, pooling):
    backbone = Backbone.load(f"transformers:{folders[kind]}", pooling=pooling)
    assert (backbone.kind, backbone.n_features) == ("text", 32)
    wanted = np.stack([by_hand(folders[kind], kind, text, pooling) for text in TEXTS])
    np.testing.assert_allclose(backbone(TEXTS), wanted, atol=2e-6 * np.abs(wanted).max())
    np.testing.assert_allclose(
        backbone(TEXTS[::-1])[::-1], wanted, atol=2e-6 * np.abs(wanted).max()
    )


def test_pooling_is_what_suits_the_model_and_stands_in_the_name(folders):
    pooled = {
        kind: Backbone.load(f"transformers:{folders[kind]}").name.rsplit(" ", 1)[1]
        for kind in ("bert", "gpt2", "t5")
    }
    assert pooled == {"bert": "mean)", "gpt2": "last)", "t5": "mean)"}
    with pytest.raises(ValueError, match="pooling"):
        Backbone.load(f"transformers:{folders['bert']}", pooling="max")


@pytest.mark.parametrize("kind", ["bert", "roberta", "gpt2"])
def test_long_texts_are_cut_where_the_model_ends(folders, kind):
    backbone = Backbone.load(f"transformers:{folders[kind]}")
    long = " ".join(WORDS * 20)
    assert np.isfinite(backbone([long])).all()


def test_random_weights_are_drawn_by_their_seed(folders):
    def name(seed):
        return Backbone.load(f"transformers:{folders['bert']}", weights="random", seed=seed).name

    state = torch.random.get_rng_state()
    assert name(0) == name(0) != name(1)
    assert torch.equal(state, torch.random.get_rng_state())


def test_a_model_that_cannot_be_had_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(FileNotFoundError, match="transformers:no/model is neither a folder nor"):
        Backbone.load("transformers:no/model")
    with pytest.raises(FileNotFoundError, match="neither a folder nor"):
        Backbone.load(f"transformers:{tmp_path}")


def test_an_empty_text_is_refused_where_nothing_is_left_of_it(folders):
    with pytest.raises(ValueError, match="a text is empty; leave it out"):
        Backbone.load(f"transformers:{folders['gpt2']}")(["", "the"])


@pytest.fixture(scope="module")
def speech(tmp_path_factory):
    """A small Wav2Vec 2.0."""
    folder = tmp_path_factory.mktemp("speech")
    config = transformers.Wav2Vec2Config(
        **SIZES, intermediate_size=64, conv_dim=(16, 16, 16), conv_kernel=(10, 8, 4),
        conv_stride=(5, 4, 2), num_feat_extract_layers=3, num_conv_pos_embeddings=8,
        num_conv_pos_embedding_groups=2,
    )  # fmt: skip
    torch.manual_seed(0)
    transformers.Wav2Vec2Model(config).save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(folder)
    return folder


def test_features_of_speech_are_the_mean_over_time(speech):
    backbone = Backbone.load(f"transformers:{speech}")
    assert (backbone.kind, backbone.n_features) == ("sound", 32)
    rng = np.random.default_rng(0)
    sounds = [rng.normal(0, 0.1, n).astype(np.float32) for n in (4_000, 1_600, 8_000)]
    model = transformers.Wav2Vec2Model.from_pretrained(speech).eval()
    wanted = []
    for sound in sounds:
        scaled = (sound - sound.mean()) / np.sqrt(sound.var() + 1e-7)
        with torch.no_grad():
            hidden = model(torch.tensor(scaled)[None]).last_hidden_state
        wanted.append(hidden[0].mean(dim=0).numpy())
    np.testing.assert_allclose(backbone(sounds), np.stack(wanted), atol=2e-5)


def test_sounds_of_files_are_mixed_and_resampled(tmp_path):
    soundfile = pytest.importorskip("soundfile", reason="needs soundfile")
    time = np.arange(8_000) / 8_000
    tone = 0.5 * np.sin(2 * np.pi * 440 * time)
    stereo = np.stack([tone, 0 * tone], axis=1)
    buffer = io.BytesIO()
    soundfile.write(buffer, stereo, 8_000, format="WAV", subtype="FLOAT")
    sound = read_sound(buffer.getvalue(), 16_000)
    wanted = 0.25 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    assert (sound.dtype, len(sound)) == (np.float32, 16_000)
    np.testing.assert_allclose(sound[200:-200], wanted[200:-200], atol=2e-3)


@pytest.mark.parametrize(
    ("item", "sentence"),
    [
        (b"noise", "no sound that can be read"),
        (np.zeros(16_000), "silent, or holds NaN"),
        (np.full(16_000, np.nan), "silent, or holds NaN"),
        (np.ones(100), "a sound of 6 ms; give at least 25 ms"),
        (np.ones((2, 3, 4)), r"float64 of shape \(2, 3, 4\)"),
        (3, "3 is no sound; pass a path, bytes or an array"),
    ],
)
def test_what_is_no_sound_is_refused(item, sentence):
    if isinstance(item, bytes):
        pytest.importorskip("soundfile", reason="needs soundfile")
    with pytest.raises(ValueError, match=sentence):
        read_sound(item, 16_000)
