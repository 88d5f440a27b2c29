"""C functions that read the cells of a table as `jaxmlp.data.tables` does: source, not a library.

PREFIX stands for the header's name. Each function is written out only if a model needs it.
"""

SPACE = r"""
/* Bytes of the white space that s begins with, of n bytes; 0 if it begins with something else. */
static inline int PREFIX_space(const char *s, int n)
{
    const unsigned char a = (unsigned char)(n > 0 ? s[0] : 1);
    const unsigned char b = (unsigned char)(n > 1 ? s[1] : 0);
    const unsigned char c = (unsigned char)(n > 2 ? s[2] : 0);
    if (a == 0x20 || (a >= 0x09 && a <= 0x0d) || (a >= 0x1c && a <= 0x1f)) {
        return 1;
    }
    if (a == 0xc2 && (b == 0x85 || b == 0xa0)) {
        return 2;
    }
    if (a == 0xe2 && b == 0x80) {
        return (c >= 0x80 && c <= 0x8a) || c == 0xa8 || c == 0xa9 || c == 0xaf ? 3 : 0;
    }
    if (c == 0x80) {
        return (a == 0xe1 && b == 0x9a) || (a == 0xe3 && b == 0x80) ? 3 : 0;
    }
    return a == 0xe2 && b == 0x81 && c == 0x9f ? 3 : 0;
}
"""

TRIM = r"""
/* A text without the white space around it; its bytes in *n. */
static inline const char *PREFIX_trim(const char *s, int *n)
{
    int step;
    *n = 0;
    while (s[*n]) {
        ++*n;
    }
    while ((step = PREFIX_space(s, *n)) > 0) {
        s += step;
        *n -= step;
    }
    for (step = 1; step <= 3 && step <= *n;) {
        if (PREFIX_space(s + *n - step, step) == step) {
            *n -= step;
            step = 1;
        } else {
            ++step;
        }
    }
    return s;
}
"""

SAME = r"""
/* Whether n bytes of text are a word; if folded, in which case does not matter. */
static inline int PREFIX_same(const char *s, int n, const char *word, int folded)
{
    int i = 0;
    while (i < n && *word) {
        char c = s[i];
@FOLDS@        if (folded && c >= 'A' && c <= 'Z') {
            c = (char)(c + ('a' - 'A'));
        }
        if (c != *word) {
            return 0;
        }
        ++i;
        ++word;
    }
    return i == n && *word == 0;
}
"""

FOLDS = r"""        int k = 0, j = 0, l = 0;
        for (k = 0; folded && k < @N_FOLDS@; ++k) {
            const char *upper = PREFIX_folds[k][0], *lower = PREFIX_folds[k][1];
            for (j = 0; upper[j] && i + j < n && upper[j] == s[i + j];) {
                ++j;
            }
            for (l = 0; lower[l] && lower[l] == word[l];) {
                ++l;
            }
            if (!upper[j] && !lower[l]) {
                break;
            }
        }
        if (folded && k < @N_FOLDS@) {
            i += j;
            word += l;
            continue;
        }
"""
"""In PREFIX_same, where words in any case have letters beyond ASCII."""

FILLED = r"""
/* The word of a cell, its bytes in *n; a null pointer if the cell says nothing. */
static inline const char *PREFIX_filled(const char *cell, int *n)
{
    static const char *const missing[@N_MISSING@] = {@MISSING@};
    if (!cell) {
        return 0;
    }
    cell = PREFIX_trim(cell, n);
    for (int k = 0; k < @N_MISSING@; ++k) {
        if (PREFIX_same(cell, *n, missing[k], 1)) {
            return 0;
        }
    }
@ALSO_TEXTS@    return cell;
}
"""

PLACE = r"""
/* The place of a cell among words; n_words of another word, n_words + 1 if it says nothing. */
static inline int PREFIX_place(const char *cell, const char *const *words, int n_words,
                               const double *numbers, int folded)
{
    int n, k = 0;
    const char *const s = PREFIX_filled(cell, &n);
    if (!s) {
        return n_words + 1;
    }
    while (k < n_words && !PREFIX_same(s, n, words[k], folded)) {
        ++k;
    }
@BY_NUMBER@    return k;
}
"""
