/*
 * ctl_audit - who did what when.
 */
#include <stdio.h>
#include <sysexits.h>
#include <time.h>

#include <jansson.h>

#include "common/util.h"
#include "token-daemon/ctl.h"
#include "token-daemon/store.h"

#define COUNT_DEFAULT 100

static const char *
text_of(const json_t *entry, const char *key)
{
    const char *text = json_string_value(json_object_get(entry, key));

    return text != NULL ? text : "-";
}

static int
print_audit(const struct ctl *ctl, const json_t *result, void *arg)
{
    const json_t *entries = json_object_get(result, "entries");
    const json_t *entry;
    size_t i;

    (void)ctl;
    (void)arg;
    json_array_foreach(entries, i, entry)
    {
        time_t at = (time_t)json_integer_value(json_object_get(entry, "at"));
        char when[32] = "-";
        struct tm parts;

        if (localtime_r(&at, &parts) != NULL)
            (void)strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &parts);
        (void)printf("%s  %-12s %-10s %s\n", when, text_of(entry, "who"),
                     text_of(entry, "what"), text_of(entry, "detail"));
    }
    return EX_OK;
}

int
ctl_verb_audit(struct ctl *ctl, int argc, char **argv)
{
    int count = COUNT_DEFAULT;
    const struct ctl_option options[] = {
        {.name = "count",
         .letter = 'n',
         .number = &count,
         .min = 1,
         .max = STORE_AUDIT_ROWS,
         .unit = "a number of rows"},
    };
    int status =
        ctl_parse(ctl, argc, argv, options, ARRAY_LEN(options), 0, 0, NULL);
    json_t *request;

    if (status != EX_OK)
        return status;
    request = ctl_request("audit");
    (void)json_object_set_new(request, "count", json_integer(count));
    return ctl_run(ctl, request, print_audit, NULL);
}
