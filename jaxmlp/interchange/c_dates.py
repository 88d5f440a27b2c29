"""C functions that read dates as `jaxmlp.data.tables.dates` does: source, not a library.

PREFIX stands for the header's name.
"""

DAYS = r"""
/* Up to `most` digits; how many there are. */
static inline int PREFIX_digits(const char **s, const char *end, int most, int *value)
{
    int n = 0;
    *value = 0;
    for (; n < most && *s < end && **s >= '0' && **s <= '9'; ++n, ++*s) {
        *value = 10 * *value + (**s - '0');
    }
    return n;
}

/* Step over one of these characters, if it is next. */
static inline int PREFIX_skip(const char **s, const char *end, const char *which)
{
    for (; *s < end && *which; ++which) {
        if (**s == *which) {
            ++*s;
            return 1;
        }
    }
    return 0;
}

/* Step over a word in lower case, if it is next, however it is written. */
static inline int PREFIX_next(const char **s, const char *end, const char *word)
{
    const char *t = *s;
    for (; *word; ++word, ++t) {
        if (t == end || (*t != *word && *t != *word - 'a' + 'A')) {
            return 0;
        }
    }
    *s = t;
    return 1;
}

/* Step over what stands behind the 1 of 1st. */
static inline int PREFIX_ordinal(const char **s, const char *end)
{
    return PREFIX_next(s, end, "st") || PREFIX_next(s, end, "nd") || PREFIX_next(s, end, "rd") ||
           PREFIX_next(s, end, "th");
}

/* The month whose name is next, from 1; 0 if none is. */
static inline int PREFIX_month(const char **s, const char *end)
{
    static const char *const names[12] = {"jan", "feb", "mar", "apr", "may", "jun",
                                          "jul", "aug", "sep", "oct", "nov", "dec"};
    static const char *const rests[12] = {"uary", "ruary", "ch", "il", "", "e",
                                          "y", "ust", "tember", "ober", "ember", "ember"};
    for (int k = 0; k < 12; ++k) {
        if (PREFIX_next(s, end, names[k])) {
            if (!PREFIX_next(s, end, rests[k]) && k == 8) {
                PREFIX_next(s, end, "t");
            }
            PREFIX_skip(s, end, ".");
            return k + 1;
        }
    }
    return 0;
}

/* Step over the name of a day of the week and the space behind it, if they are next. */
static inline void PREFIX_weekday(const char **s, const char *end)
{
    static const char *const names[7] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};
    static const char *const rests[7] = {"", "s", "nes", "rs", "", "ur", ""};
    for (int k = 0; k < 7; ++k) {
        const char *t = *s;
        if (PREFIX_next(&t, end, names[k])) {
            PREFIX_next(&t, end, rests[k]);
            PREFIX_next(&t, end, "day");
            PREFIX_skip(&t, end, ".");
            PREFIX_skip(&t, end, ",");
            if (PREFIX_skip(&t, end, " ")) {
                *s = t;
            }
            return;
        }
    }
}

static inline void PREFIX_spaces(const char **s, const char *end)
{
    int n;
    while ((n = PREFIX_space(*s, (int)(end - *s))) > 0) {
        *s += n;
    }
}

/* A time of day, to the end: the share of a day, less what the zone is east; NAN if it is none. */
static inline double PREFIX_clock(const char *s, const char *end)
{
    int hours, minutes, seconds = 0, digit, east = 0, zone_minutes;
    double fraction = 0.0, unit = 0.1;
    if (!PREFIX_digits(&s, end, 2, &hours) || !PREFIX_skip(&s, end, ":") ||
        PREFIX_digits(&s, end, 2, &minutes) != 2) {
        return NAN;
    }
    if (PREFIX_skip(&s, end, ":")) {
        if (PREFIX_digits(&s, end, 2, &seconds) != 2) {
            return NAN;
        }
        if (PREFIX_skip(&s, end, ".")) {
            int n = 0;
            for (; n < 9 && PREFIX_digits(&s, end, 1, &digit); ++n, unit /= 10.0) {
                fraction += unit * digit;
            }
            if (n == 0) {
                return NAN;
            }
        }
    }
    PREFIX_spaces(&s, end);
    if (s < end && (*s == 'a' || *s == 'A' || *s == 'p' || *s == 'P')) {
        const int afternoon = *s == 'p' || *s == 'P';
        ++s;
        PREFIX_skip(&s, end, ".");
        if (!PREFIX_skip(&s, end, "mM") || hours < 1 || hours > 12) {
            return NAN;
        }
        PREFIX_skip(&s, end, ".");
        hours = hours % 12 + 12 * afternoon;
        PREFIX_spaces(&s, end);
    }
    if (s < end && (*s == '+' || *s == '-')) {
        const int sign = *s == '+' ? 1 : -1;
        ++s;
        if (PREFIX_digits(&s, end, 2, &east) != 2 ||
            (PREFIX_skip(&s, end, ":"), PREFIX_digits(&s, end, 2, &zone_minutes) != 2) ||
            east > 23 || zone_minutes > 59) {
            return NAN;
        }
        east = sign * (60 * east + zone_minutes);
    } else {
        PREFIX_skip(&s, end, "Z");
    }
    if (s != end || hours > 23 || minutes > 59 || seconds > 59) {
        return NAN;
    }
    return (60.0 * hours + minutes - east) / 1440.0 + (seconds + fraction) / 86400.0;
}

/* Days from 1970-01-01 to a date of the Gregorian calendar, with the time behind it, if any. */
static inline double PREFIX_date(int year, int month, int day, const char *s, const char *end)
{
    static const int lengths[12] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const int leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    double time = 0.0;
    long y, m;
    if (month < 1 || month > 12 || day < 1 || day > lengths[month - 1] ||
        (month == 2 && day == 29 && !leap)) {
        return NAN;
    }
    if (s < end) {
        if (!PREFIX_skip(&s, end, " Tt") &&
            !(PREFIX_skip(&s, end, ",") && PREFIX_skip(&s, end, " "))) {
            return NAN;
        }
        time = PREFIX_clock(s, end);
    }
    y = (long)year + 400L - (month < 3);  /* a year that ends with February */
    m = (month + 9) % 12;
    return (double)(365L * y + y / 4 - y / 100 + y / 400 + (153L * m + 2L) / 5 + day - 1 - 719468L -
                    146097L) + time;
}

/* Days from 1970-01-01 (UTC) to the date in a cell, or NAN; order is "ymd", "dmy" or "mdy". */
static inline double PREFIX_days(const char *cell, const char *order)
{
    int n, a, b, c, n_a, n_b, n_c, month;
    const char *s = PREFIX_filled(cell, &n), *const start = s;
    const char *end;
    if (!s) {
        return NAN;
    }
    end = s + n;
    n_a = PREFIX_digits(&s, end, 4, &a);
    if (n_a && s < end && (*s == '-' || *s == '/' || *s == '.')) {
        const char separator[2] = {*s++, 0};
        n_b = PREFIX_digits(&s, end, 2, &b);
        if (n_b && PREFIX_skip(&s, end, separator) && (n_c = PREFIX_digits(&s, end, 4, &c)) > 0 &&
            (s == end || *s == ' ' || *s == 'T' || *s == ',')) {
            if (order[0] == 'y') {
                return n_a == 4 && n_c < 3 ? PREFIX_date(a, b, c, s, end) : NAN;
            }
            if (n_c == 2 && separator[0] == '/') {
                c += c >= 69 ? 1900 : 2000;  /* 1/31/20 */
            } else if (n_c != 4) {
                return NAN;
            }
            if (n_a > 2) {
                return NAN;
            }
            return order[0] == 'd' ? PREFIX_date(c, b, a, s, end) : PREFIX_date(c, a, b, s, end);
        }
        if (n_a == 4 && n_b == 2 && s == end && separator[0] != '.') {
            return PREFIX_date(a, b, 1, s, end);  /* 2020-01 */
        }
    } else if (n_a == 4 && PREFIX_digits(&s, end, 2, &b) == 2 &&
               PREFIX_digits(&s, end, 2, &c) == 2) {
        return PREFIX_date(a, b, c, s, end);  /* 20200131 */
    }
    s = start;
    if (PREFIX_digits(&s, end, 2, &a) && s < end && *s == ':') {
        return PREFIX_clock(start, end);
    }
    s = start;
    PREFIX_weekday(&s, end);
    month = PREFIX_month(&s, end);
    if (month) {  /* Jan 31, 2020; or January 2020 */
        const char *t = s;
        if (PREFIX_skip(&t, end, " ") && PREFIX_digits(&t, end, 2, &a)) {
            PREFIX_ordinal(&t, end);
            PREFIX_skip(&t, end, ",");
            if (PREFIX_skip(&t, end, " ") && PREFIX_digits(&t, end, 4, &b) == 4) {
                return PREFIX_date(b, month, a, t, end);
            }
        }
        for (n = 0, t = s; PREFIX_skip(&t, end, "- /");) {
            ++n;
        }
        if (n && PREFIX_digits(&t, end, 4, &b) == 4 && t == end) {
            s = start;
            return PREFIX_month(&s, end) ? PREFIX_date(b, month, 1, t, end) : NAN;
        }
        return NAN;
    }
    if (PREFIX_digits(&s, end, 2, &a)) {  /* 31 January 2020, 31-Jan-20 */
        if (!PREFIX_ordinal(&s, end)) {
            PREFIX_skip(&s, end, ".");
        }
        PREFIX_skip(&s, end, "- /");
        month = PREFIX_month(&s, end);
        for (n = 0; PREFIX_skip(&s, end, "- /,");) {
            ++n;
        }
        n_b = PREFIX_digits(&s, end, 4, &b);
        if (month && n && (n_b == 4 || n_b == 2)) {
            return PREFIX_date(n_b == 2 ? b + (b >= 69 ? 1900 : 2000) : b, month, a, s, end);
        }
    }
    return NAN;
}
"""
