"""C functions that read and scale numbers as the encoders of tables do: source, not a library.

PREFIX stands for the header's name; what stands between @ signs, for what a model knows.
"""

PARSE = r"""
static inline int PREFIX_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* A number in plain digits, such as -1.5e3; NAN of anything else. */
static inline double PREFIX_decimal(const char *s)
{
    const int minus = *s == '-';
    unsigned long long digits = 0;
    int exponent = 0, read = 0, given = 0, down = 0;
    double size;
    s += minus || *s == '+';
    for (int behind = 0; PREFIX_digit(*s) || (*s == '.' && !behind); ++s) {
        if (*s == '.') {
            behind = 1;
            continue;
        }
        read = 1;
        if (digits < 1000000000000000000ULL) {
            digits = 10 * digits + (unsigned long long)(*s - '0');
            exponent -= behind;
        } else {
            exponent += !behind;
        }
    }
    if (read && (*s == 'e' || *s == 'E')) {
        ++s;
        down = *s == '-';
        s += down || *s == '+';
        read = 0;
        for (; PREFIX_digit(*s); ++s) {
            read = 1;
            given = given < 1000 ? 10 * given + (*s - '0') : given;
        }
        exponent += down ? -given : given;
    }
    if (!read || *s) {
        return NAN;
    }
    size = exponent < 0 ? (double)digits / pow(10.0, -exponent)
                        : (digits ? (double)digits * pow(10.0, exponent) : 0.0);
    return minus ? -size : size;
}

/* Whether s, signed or not, has groups of three digits between separators, then perhaps a
 * fraction behind one of `decimals`. */
static inline int PREFIX_grouped(const char *s, const char *separators, const char *decimals)
{
    int digits = 0, groups = 0;
    s += *s == '-' || *s == '+';
    if (*s == '0') {
        return 0;
    }
    for (; PREFIX_digit(*s); ++s) {
        ++digits;
    }
    if (digits < 1 || digits > 3) {
        return 0;
    }
    for (; *s && (*s == separators[0] || *s == separators[1] || *s == separators[2]); s += 4) {
        if (!PREFIX_digit(s[1]) || !PREFIX_digit(s[2]) || !PREFIX_digit(s[3])) {
            return 0;
        }
        ++groups;
    }
    if (*s && (*s == decimals[0] || *s == decimals[1])) {
        for (++s; PREFIX_digit(*s);) {
            ++s;
        }
    }
    return groups > 0 && *s == 0;
}

/* Leave three characters out of a text. */
static inline void PREFIX_remove(char *s, const char *which)
{
    char *to = s;
    for (; *s; ++s) {
        if (*s != which[0] && *s != which[1] && *s != which[2]) {
            *to++ = *s;
        }
    }
    *to = 0;
}

static inline char *PREFIX_undecorated(char *s)
{
    char *end = s;
    while (*s == '$' || *s == '%' || *s == ' ' || *s == '\t') {
        ++s;
    }
    for (end = s; *end;) {
        ++end;
    }
    while (end > s && (end[-1] == '$' || end[-1] == '%' || end[-1] == ' ' || end[-1] == '\t')) {
        *--end = 0;
    }
    return s;
}

static inline int PREFIX_blank(char c)
{
    return c == ' ' || c == '\1' || (c >= '\t' && c <= '\r');
}

/* n bytes of text as a number: with currency, percent, brackets for what is negative, thousands
 * apart, k for a thousand and M for a million; `point` is its decimal sign. NAN if it is none. */
static inline double PREFIX_parse(const char *s, int n, char point)
{
    char buffer[68], *to = buffer, *text, *from, sign;
    int length, counted = 0;
    for (int i = 0; i < n; ++i) {
        const unsigned char a = (unsigned char)s[i], b = (unsigned char)(i + 1 < n ? s[i + 1] : 0),
                            c = (unsigned char)(i + 2 < n ? s[i + 2] : 0);
        char plain = 0;
        if (to - buffer > 60) {
            return NAN;
        }
        if (a == 0xc2 && (b == 0xa3 || b == 0xa0)) {
            plain = b == 0xa3 ? '$' : '\1';  /* a pound; a space that does not break */
            i += 1;
        } else if (a == 0xe2 && ((b == 0x82 && c == 0xac) || (b == 0x88 && c == 0x92) ||
                                 (b == 0x80 && (c == 0x89 || c == 0xaf || c == 0x99)))) {
            plain = b == 0x82 ? '$' : b == 0x88 ? '-' : c == 0x99 ? '\'' : '\1';
            i += 2;
        } else {
            plain = s[i];
        }
        *to++ = plain;
    }
    *to = 0;
    text = PREFIX_undecorated(buffer);
    if (*text == '(') {  /* (5) is -5 */
        for (from = text + 1; *from && *from != ')' && *from != '(';) {
            ++from;
        }
        to = text + 1 + (text[1] == '$');
        while (PREFIX_blank(*to)) {
            ++to;
        }
        if (*from != ')' || !PREFIX_digit(*to)) {
            return NAN;
        }
        *text = '-';
        do {
            from[0] = from[1];
        } while (*from++);
    }
    for (from = to = text; *from; ++from) {
        char *next = from + 1;
        while (*from == '$' && PREFIX_blank(*next)) {
            ++next;
        }
        if (*from == '$' && (PREFIX_digit(*next) || *next == '.' || *next == ',')) {
            from = next - 1;
        } else {
            *to++ = *from;
        }
    }
    *to = 0;
    text = PREFIX_undecorated(text);
    if (PREFIX_grouped(text, " \1'", ".,")) {
        PREFIX_remove(text, " \1'");
    }
    for (length = 0; text[length];) {
        ++length;
    }
    sign = length > 1 ? text[length - 1] : 0;
    if (sign == 'k' || sign == 'K' || sign == 'M') {
        int last = length - 2 - (length > 2 && text[length - 2] == ' ');
        counted = PREFIX_digit(text[last]);
        for (int i = (text[0] == '-' || text[0] == '+'); counted && i <= last; ++i) {
            counted = PREFIX_digit(text[i]) || text[i] == '.' || text[i] == ',';
        }
        if (counted) {
            text[last + 3] = 0;
            text[last + 2] = sign == 'M' ? '6' : '3';
            text[last + 1] = 'e';
        }
    }
    {
        int commas = 0, points = 0;
        for (from = text; *from; ++from) {
            commas += *from == ',';
            points += *from == '.';
        }
        if (commas > 0 || (point == ',' && points > 0)) {
            if (point == '.' && !PREFIX_grouped(text, ",,,", "..")) {
                return NAN;
            }
            if (point == ',' && points > 0 && !PREFIX_grouped(text, "...", ",,")) {
                return NAN;
            }
            PREFIX_remove(text, point == '.' ? ",,," : "...");
            for (from = text; point == ',' && *from; ++from) {
                *from = *from == ',' ? '.' : *from;
            }
        }
    }
    return PREFIX_decimal(text);
}
"""

NUMBERED = r"""
/* Where the number is that a word says, 1.0 for 1; n_numbers if it is none of them. */
static inline int PREFIX_numbered(const char *s, int n, const double *numbers, int n_numbers)
{
    int zeros = n, k = 0;
    double value;
    while (zeros > 0 && s[zeros - 1] == '0' && n - zeros < 2) {
        --zeros;
    }
    if (zeros > 0 && (s[zeros - 1] == '.' || s[zeros - 1] == ',')) {
        int i = zeros - 1;
        while (i > 0 && PREFIX_digit(s[i - 1])) {
            --i;
        }
        if (i < zeros - 1 && (i == 0 || (i == 1 && (s[0] == '-' || s[0] == '+')))) {
            n = zeros - 1;
        }
    }
    value = PREFIX_parse(s, n, '.');
    while (k < n_numbers && numbers[k] != value) {
        ++k;
    }
    return k;
}
"""

TIDY = r"""
/* Finite numbers within +-1e100; NAN of others. */
static inline double PREFIX_tidy(double v)
{
    return v - v != 0.0 ? (double)NAN : fabs(v) < 1e-100 ? 0.0 : fmin(fmax(v, -1e100), 1e100);
}
"""

GIVEN = r"""
/* A number as the model takes it; NAN where it says nothing. */
static inline double PREFIX_given(double v)
{
@ALSO_NUMBERS@    return PREFIX_tidy(v);
}
"""

NUMBER = r"""
/* The number in a cell, such as "$1,200" or "(5)", where point is the decimal sign; or NAN. */
static inline double PREFIX_number(const char *cell, char point)
{
    int n;
    const char *const s = PREFIX_filled(cell, &n);
    return s ? PREFIX_tidy(PREFIX_parse(s, n, point)) : (double)NAN;
}
"""

SCALED = r"""
static inline float PREFIX_limited(double z)
{
    return (float)fmin(fmax(z, -1e6), 1e6);
}

/* (v - center) / scale, bent so that nothing exceeds the bound, if that is not 0; 0 of NAN. */
static inline float PREFIX_scaled(double v, double center, double scale, double bound)
{
    const double z = (v - center) / scale;
    return z != z ? 0.0f : PREFIX_limited(bound > 0.0 ? z / hypot(1.0, z / bound) : z);
}
"""

RANK = r"""
/* The normal quantile of v's rank (Wichura, 1988, AS 241) among sorted knots; 0 of NAN. */
static inline float PREFIX_rank(double v, const double *knots, const double *base,
                                const double *start, const double *slope, int n)
{
    int low = 0, high = n, k;
    double share, p, r, z;
    if (v != v) {
        return 0.0f;
    }
    while (low < high) {
        k = low + (high - low) / 2;
        if (knots[k] < v) {
            low = k + 1;
        } else {
            high = k;
        }
    }
    high += high < n && knots[high] == v;
    share = (base[low] + slope[low] * (v - start[low]) + base[high] +
             slope[high] * (v - start[high])) / 2.0;
    share = fmin(fmax(share, 1e-7), 1.0 - 1e-7);
    p = share - 0.5;
    if (fabs(p) <= 0.425) {
        r = 0.180625 - p * p;
        z = p * (((@A3@ * r + @A2@) * r + @A1@) * r + @A0@);
        return (float)(z / (((@B3@ * r + @B2@) * r + @B1@) * r + 1.0));
    }
    r = sqrt(-log(p < 0.0 ? share : 1.0 - share)) - 1.6;
    z = (((@C3@ * r + @C2@) * r + @C1@) * r + @C0@) / ((@D2@ * r + @D1@) * r + 1.0);
    return (float)(p < 0.0 ? -z : z);
}
"""

CYCLE = r"""
/* Sine and cosine of where day v is in a period; 0 of NAN. */
static inline void PREFIX_cycle(double v, double shift, double period, float *x)
{
    const double turns = (v + shift) / period, angle = 6.283185307179586 * (turns - floor(turns));
    x[0] = v != v ? 0.0f : (float)sin(angle);
    x[1] = v != v ? 0.0f : (float)cos(angle);
}
"""
