/*
 * retry_after - the two headers that speak of time: Retry-After and Date.
 *
 *     Retry-After  = HTTP-date / 1*DIGIT
 *     IMF-fixdate  = "Sun, 06 Nov 1994 08:49:37 GMT"
 *     rfc850-date  = "Sunday, 06-Nov-94 08:49:37 GMT"
 *     asctime-date = "Sun Nov  6 08:49:37 1994"
 */
#include "token-daemon/retry_after.h"

#include <string.h>
#include <time.h>

#include "common/util.h"

#define SECONDS_OF_YEAR 31556952 /* the mean of the Gregorian calendar */

/* Where we are in the text; `failed` is sticky. */
struct cursor {
    const char *at;
    bool failed;
};

/* What a date is made of, as it is written. */
struct fields {
    int year, month, day; /* month from 0 */
    int hour, minute, second;
};

static bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool
is_letter(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static void
take_text(struct cursor *cursor, const char *text)
{
    size_t len = strlen(text);

    if (cursor->failed || strncmp(cursor->at, text, len) != 0)
        cursor->failed = true;
    else
        cursor->at += len;
}

/* Exactly `count` digits. */
static int
take_number(struct cursor *cursor, int count)
{
    int value = 0;

    for (int i = 0; i < count && !cursor->failed; i++) {
        if (!is_digit(*cursor->at)) {
            cursor->failed = true;
            break;
        }
        value = value * 10 + (*cursor->at++ - '0');
    }
    return value;
}

/* asctime() pads the day of the month with a blank. */
static int
take_padded_day(struct cursor *cursor)
{
    if (*cursor->at != ' ')
        return take_number(cursor, 2);
    cursor->at++;
    return take_number(cursor, 1);
}

static int
take_month(struct cursor *cursor)
{
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr",
                                         "May", "Jun", "Jul", "Aug",
                                         "Sep", "Oct", "Nov", "Dec"};

    for (size_t i = 0; i < ARRAY_LEN(months) && !cursor->failed; i++) {
        if (strncmp(cursor->at, months[i], 3) == 0) {
            cursor->at += 3;
            return (int)i;
        }
    }
    cursor->failed = true;
    return 0;
}

static void
take_time(struct cursor *cursor, struct fields *fields)
{
    fields->hour = take_number(cursor, 2);
    take_text(cursor, ":");
    fields->minute = take_number(cursor, 2);
    take_text(cursor, ":");
    fields->second = take_number(cursor, 2);
}

/* Add the century that puts the year at most 50 years ahead of `now`. */
static int
full_year(int two_digits, int64_t now)
{
    int64_t this_year = 1970 + now / SECONDS_OF_YEAR;
    int64_t year = this_year - this_year % 100 + two_digits;

    if (year > this_year + 50)
        year -= 100;
    return (int)year;
}

static bool
is_calendar_date(const struct fields *fields)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (fields->year % 4 == 0 && fields->year % 100 != 0) ||
                fields->year % 400 == 0;
    int last = days[fields->month] + (leap && fields->month == 1 ? 1 : 0);

    /* A second of 60 is a leap second. */
    return fields->year >= 1970 && fields->day >= 1 && fields->day <= last &&
           fields->hour <= 23 && fields->minute <= 59 && fields->second <= 60;
}

/* What follows the comma of the two formats that have one. */
static void
take_after_comma(struct cursor *cursor, int64_t now, struct fields *out)
{
    bool is_rfc850;

    take_text(cursor, ", ");
    out->day = take_number(cursor, 2);
    is_rfc850 = !cursor->failed && *cursor->at == '-';
    take_text(cursor, is_rfc850 ? "-" : " ");
    out->month = take_month(cursor);
    take_text(cursor, is_rfc850 ? "-" : " ");
    if (is_rfc850)
        out->year = full_year(take_number(cursor, 2), now);
    else
        out->year = take_number(cursor, 4);
    take_text(cursor, " ");
    take_time(cursor, out);
    take_text(cursor, " GMT");
}

static void
take_asctime(struct cursor *cursor, struct fields *out)
{
    take_text(cursor, " ");
    out->month = take_month(cursor);
    take_text(cursor, " ");
    out->day = cursor->failed ? 0 : take_padded_day(cursor);
    take_text(cursor, " ");
    take_time(cursor, out);
    take_text(cursor, " ");
    out->year = take_number(cursor, 4);
}

bool
retry_after_date(const char *text, int64_t now, int64_t *out)
{
    struct cursor cursor = {.at = text};
    struct fields fields = {0};
    struct tm tm = {0};

    while (is_letter(*cursor.at)) /* the day of the week tells nothing new */
        cursor.at++;
    if (cursor.at - text < 3)
        return false;
    if (*cursor.at == ',')
        take_after_comma(&cursor, now, &fields);
    else
        take_asctime(&cursor, &fields);
    if (cursor.failed || *cursor.at != '\0' || !is_calendar_date(&fields))
        return false;

    tm.tm_year = fields.year - 1900;
    tm.tm_mon = fields.month;
    tm.tm_mday = fields.day;
    tm.tm_hour = fields.hour;
    tm.tm_min = fields.minute;
    tm.tm_sec = fields.second;
    *out = timegm(&tm);
    return true;
}

/* Digits only; stops counting at the cap, so it can't overflow. */
static bool
parse_seconds(const char *text, int64_t *out)
{
    int64_t value = 0;

    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++) {
        if (!is_digit(*text))
            return false;
        if (value <= RETRY_AFTER_MAX)
            value = value * 10 + (*text - '0');
    }
    *out = value;
    return true;
}

bool
retry_after_parse(const char *text, int64_t now, int64_t *out)
{
    int64_t seconds, date;

    if (!parse_seconds(text, &seconds)) {
        if (!retry_after_date(text, now, &date))
            return false;
        seconds = date > now ? date - now : 0;
    }
    *out = seconds < RETRY_AFTER_MAX ? seconds : RETRY_AFTER_MAX;
    return true;
}
