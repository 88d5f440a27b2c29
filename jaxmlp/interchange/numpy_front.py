"""The input side of a network for tables in the predictor of numpy."""

from jaxmlp.interchange.front_plan import Bins, FrontPlan, Waves
from jaxmlp.interchange.own_source import array_expression

_BINS = """\
    x = h[:, NUMBERS]
    bins = (START[:, 1:] <= x[:, :, None]).sum(axis=2)  # the last that begins at x or below
    at = (np.arange(len(NUMBERS)), bins)
    e = BASE[at] + SLOPE[at] * (x - START[at])[:, :, None]
    parts.append(e.reshape(len(h), -1))
"""
_WAVES = """\
    x = h[:, NUMBERS]
    waves = np.cos(x[:, :, None] * FREQUENCIES + PHASES)
    e = np.einsum("rdk,dkm->rdm", waves, MIXTURE) + SHIFT
    parts.append(np.concatenate([e, x[:, :, None]], axis=2).reshape(len(h), -1))
"""
_AS_THEY_ARE = """\
    parts.append(h[:, NUMBERS])
"""
_CODE = '''\
def members(h):
    """What the layers take of inputs h, (rows, {n_in}): for each member, ({k}, rows, {n})."""
    parts = []
{numbers}    parts.append(h[:, OTHERS])
    for column, n_levels, first in CATEGORIES:
        parts.append(LEVELS[first + h[:, column].astype(int).clip(0, n_levels - 1)])
    return np.concatenate(parts, axis=1) * FACTORS[:, None]


def log_mean_exp(z):
    largest = z.max(axis=0)
    return largest + np.log(np.exp(z - largest).mean(axis=0))


def mean_logits(z):
    """Logits of the mean prediction ({link}) of the members, whose logits are z."""
{mean}


def in_blocks(h):
    """Logits for inputs h, of some rows at a time, since each is there for every member."""
    parts = [h[k : k + 1024] for k in range(0, max(1, len(h)), 1024)]
    return np.concatenate([mean_logits(layers(members(part))) for part in parts])


'''
_MEANS = {
    "identity": "    return z.mean(axis=0)",
    "softmax": (
        "    z = z - z.max(axis=2, keepdims=True)\n"
        "    return log_mean_exp(z - np.log(np.exp(z).sum(axis=2, keepdims=True)))"
    ),
    "sigmoid": (
        "    rest = np.log1p(np.exp(-np.abs(z)))\n"
        "    return log_mean_exp(np.minimum(z, 0) - rest) - log_mean_exp(np.minimum(-z, 0) - rest)"
    ),
    "exp": "    return log_mean_exp(z)",
}


def front_code(front: FrontPlan) -> str:
    """Source of the functions `members` and `mean_logits`."""
    numbers = {Bins: _BINS, Waves: _WAVES}.get(type(front.embedding), _AS_THEY_ARE)
    k, n = front.factors.shape
    said = {"n_in": front.n_in, "k": k, "n": n, "link": front.link}
    return _CODE.format(**said, numbers=numbers, mean=_MEANS[front.link])


def front_data(front: FrontPlan) -> list[str]:
    """Its constants, a line each."""
    names: tuple[str, ...] = ()
    if isinstance(front.embedding, Bins):
        names = ("START", "BASE", "SLOPE")
    elif isinstance(front.embedding, Waves):
        names = ("FREQUENCIES", "PHASES", "MIXTURE", "SHIFT")
    arrays = dict(zip(names, front.embedding or (), strict=True))
    arrays |= {"LEVELS": front.E, "FACTORS": front.factors}
    return [
        f"NUMBERS = {list(front.numbers)}",
        f"OTHERS = {list(front.others)}",
        f"CATEGORIES = {list(front.categories)}",
        *(f"{name} = {array_expression(array)}" for name, array in arrays.items() if array.size),
    ]
