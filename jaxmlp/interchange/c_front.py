"""The input side of a network for tables in the C header."""

from typing import NamedTuple

import numpy as np

from jaxmlp.interchange.c_text import c_table
from jaxmlp.interchange.front_plan import Bins, FrontPlan, Waves


class FrontCode(NamedTuple):
    """What a header holds of an input side.

    Attributes:
        constants: its arrays.
        code: the functions `<name>_embed` and `<name>_logits`, the layers being `<name>_layers`.
        n_bytes: of the constants.
        stack: bytes of its buffers.
    """

    constants: str
    code: str
    n_bytes: int
    stack: int


_BINS = """\
    for (int i = 0; i < {d}; ++i) {{
        const float v = x[{name}_numbers[i]], *start = {name}_bin_start + i * {T};
        const float *base, *slope;
        int t = 0;
        while (t < {T} - 1 && start[t + 1] <= v) {{
            ++t;
        }}
        base = {name}_bin_base + (i * {T} + t) * {m};
        slope = {name}_bin_slope + (i * {T} + t) * {m};
        for (int j = 0; j < {m}; ++j) {{
            *e++ = base[j] + slope[j] * (v - start[t]);
        }}
    }}
"""
_WAVES = """\
    for (int i = 0; i < {d}; ++i) {{
        const float v = x[{name}_numbers[i]];
        for (int j = 0; j < {m} - 1; ++j) {{
            e[j] = {name}_wave_a[i * ({m} - 1) + j];
        }}
        for (int k = 0; k < {K}; ++k) {{
            const float wave = cosf({name}_wave_w[i * {K} + k] * v + {name}_wave_c[i * {K} + k]);
            for (int j = 0; j < {m} - 1; ++j) {{
                e[j] += wave * {name}_wave_V[(i * {K} + k) * ({m} - 1) + j];
            }}
        }}
        e[{m} - 1] = v;
        e += {m};
    }}
"""
_AS_THEY_ARE = """\
    for (int i = 0; i < {count}; ++i) {{
        *e++ = x[{name}_{which}[i]];
    }}
"""
_LEVELS = """\
    for (int i = 0; i < {count}; ++i) {{
        const float v = x[{name}_categories[3 * i]];
        const int last = {name}_categories[3 * i + 1] - 1;
        const int level = v > 0.0f ? (v < (float)last ? (int)v : last) : 0;
        const float *vector = {name}_levels + ({name}_categories[3 * i + 2] + level) * {width};
        for (int j = 0; j < {width}; ++j) {{
            *e++ = vector[j];
        }}
    }}
"""
_CODE = """\
/* Numbers and levels embedded, beside the other inputs: {n} numbers in e. */
static inline void {name}_embed(const float *x, float *e)
{{
{embed}}}

{add_exp}/* The outputs for the inputs x[{NAME}_INPUTS], in y[{NAME}_OUTPUTS]: logits of the mean
 * prediction of {k} members. */
static inline void {name}_logits(const float *x, float *y)
{{
    float e[{n}], h[{n}], z[{NAME}_OUTPUTS]{arrays};
    {name}_embed(x, e);
    for (int j = 0; j < {NAME}_OUTPUTS; ++j) {{
        y[j] = {zeros}0.0f;
    }}
    for (int k = 0; k < {k}; ++k) {{
        for (int i = 0; i < {n}; ++i) {{
            h[i] = e[i] * {name}_factors[k * {n} + i];
        }}
        {name}_layers(h, z);
{add}    }}
    for (int j = 0; j < {NAME}_OUTPUTS; ++j) {{
        {mean}
    }}
}}
"""
_ADD_EXPONENTIAL = """\
/* Add exp(z) to a sum of exponentials, which is sum * exp(*largest). */
static inline void {name}_add_exp(float z, float *largest, float *sum)
{{
    if (*sum == 0.0f || z > *largest) {{
        *sum = *sum == 0.0f ? 1.0f : *sum * expf(*largest - z) + 1.0f;
        *largest = z;
    }} else {{
        *sum += z == z ? expf(z - *largest) : z;
    }}
}}

"""
_EACH = """\
        for (int j = 0; j < {NAME}_OUTPUTS; ++j) {{
            {each}
        }}
"""
_ADD_EXP = "{name}_add_exp(z[j], y + j, sum + j);"
_LOG_SUM = "y[j] += logf(sum[j] / {k}.0f);"
_MEANS = {
    "identity": ("", "y[j] += z[j];", "y[j] /= {k}.0f;"),
    "exp": ("", _ADD_EXP, _LOG_SUM),
    "softmax": (
        """\
        float all = 0.0f, largest = 0.0f;
        for (int j = 0; j < {NAME}_OUTPUTS; ++j) {{
            {name}_add_exp(z[j], &largest, &all);
        }}
        for (int j = 0; j < {NAME}_OUTPUTS; ++j) {{
            z[j] -= largest + logf(all);
        }}
""",
        _ADD_EXP,
        _LOG_SUM,
    ),
    "sigmoid": (
        "",
        "const float rest = log1pf(expf(-fabsf(z[j])));\n"
        "            {name}_add_exp((z[j] < 0.0f ? z[j] : 0.0f) - rest, y + j, sum + j);\n"
        "            {name}_add_exp((z[j] < 0.0f ? 0.0f : -z[j]) - rest, no + j, no_sum + j);",
        "y[j] += logf(sum[j]) - no[j] - logf(no_sum[j]);",
    ),
}
"""Of each link: what happens to a member's logits z, how they are added, and the mean."""


def front_code(front: FrontPlan, name: str, n_out: int) -> FrontCode:
    """Write an input side in C.

    Args:
        front: its plan.
        name: prefix of everything.
        n_out: outputs of the network.

    Returns:
        Its code.
    """
    k, n = front.factors.shape
    tables = {"factors": front.factors, "levels": front.E}
    said = {"name": name, "NAME": name.upper(), "k": k, "n": n, "d": len(front.numbers)}
    embed = _AS_THEY_ARE.format(**said, count=len(front.numbers), which="numbers")
    if isinstance(front.embedding, Bins):
        tables |= {f"bin_{field}": part for field, part in front.embedding._asdict().items()}
        _, T, m = front.embedding.base.shape
        embed = _BINS.format(**said, T=T, m=m)
    elif isinstance(front.embedding, Waves):
        tables |= {f"wave_{field}": part for field, part in front.embedding._asdict().items()}
        _, K, m = front.embedding.V.shape
        embed = _WAVES.format(**said, K=K, m=m + 1)
    embed = embed if front.numbers else ""
    if front.others:
        embed += _AS_THEY_ARE.format(**said, count=len(front.others), which="others")
    if front.categories:
        embed += _LEVELS.format(**said, count=len(front.categories), width=front.E.shape[1])
    whole = {"numbers": front.numbers, "others": front.others, "categories": front.categories}
    written = {key: np.array(values, int) for key, values in whole.items() if values}
    used = {key: table for key, table in tables.items() if table.size}
    prepare, each, mean = (text.format(**said) for text in _MEANS[front.link])
    sums = {"identity": (), "sigmoid": ("sum", "no", "no_sum")}.get(front.link, ("sum",))
    add = prepare + _EACH.format(**said, each=each)
    return FrontCode(
        "".join(c_table(f"{name}_{key}", table) for key, table in used.items())
        + "".join(c_table(f"{name}_{key}", table, "int") for key, table in written.items()),
        _CODE.format(
            **said,
            embed=embed,
            add=add,
            mean=mean,
            add_exp=_ADD_EXPONENTIAL.format(**said) if sums else "",
            arrays="".join(f", {key}[{name.upper()}_OUTPUTS]" for key in sums),
            zeros="".join(f"{key}[j] = " for key in sums),
        ),
        4 * sum(table.size for table in (*used.values(), *written.values())),
        4 * (2 * n + (1 + len(sums)) * n_out),
    )
