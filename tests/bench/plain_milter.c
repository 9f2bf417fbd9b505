/*
 * plain_milter - a libmilter milter that makes sendas-milter's edits without
 * thinking: what milter.py measures sendas-milter against.
 *
 *     plain_milter SOCKET MAILBOX
 *
 * Asks the mail server for the least that these edits take, which is less than
 * sendas-milter has to know, and reads nothing.
 * SOCKET is as libmilter takes it. Ends with SIGTERM.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <libmilter/mfapi.h>

#define ACTIONS (SMFIF_CHGFROM | SMFIF_CHGHDRS | SMFIF_ADDHDRS)
#define STEPS                                                       \
    (SMFIP_NOCONNECT | SMFIP_NOHELO | SMFIP_NORCPT | SMFIP_NODATA | \
     SMFIP_NOUNKNOWN | SMFIP_NOEOH | SMFIP_NOBODY | SMFIP_NR_MAIL | \
     SMFIP_NR_HDR | SMFIP_HDR_LEADSPC)
#define VALUE_MAX 400

/* libmilter has no argument for callbacks. */
static char *mailbox;

static sfsistat
on_negotiate(SMFICTX *ctx, unsigned long actions, unsigned long steps,
             unsigned long unused_2, unsigned long unused_3,
             unsigned long *actions_out, unsigned long *steps_out,
             unsigned long *unused_2_out, unsigned long *unused_3_out)
{
    char none[] = "";
    char queue_id[] = "i";

    (void)actions;
    (void)unused_2;
    (void)unused_3;
    for (int stage = SMFIM_FIRST; stage <= SMFIM_LAST; stage++)
        (void)smfi_setsymlist(ctx, stage, stage == SMFIM_EOM ? queue_id : none);
    *actions_out = ACTIONS | SMFIF_SETSYMLIST;
    *steps_out = STEPS & steps;
    *unused_2_out = 0;
    *unused_3_out = 0;
    return SMFIS_CONTINUE;
}

static sfsistat
on_mail(SMFICTX *ctx, char **arguments)
{
    (void)ctx;
    (void)arguments;
    return SMFIS_NOREPLY;
}

static sfsistat
on_header(SMFICTX *ctx, char *name, char *value)
{
    (void)ctx;
    (void)name;
    (void)value;
    return SMFIS_NOREPLY;
}

static sfsistat
on_end(SMFICTX *ctx)
{
    char from[] = "From";
    char trace[] = "X-Original-From";
    char reply_to[] = "Reply-To";
    char old[] = " <scan@inside.example>";
    char answers[] = " scan@inside.example";
    char value[VALUE_MAX];

    (void)snprintf(value, sizeof(value), " <%s>", mailbox);
    if (smfi_chgheader(ctx, from, 1, value) != MI_SUCCESS ||
        smfi_addheader(ctx, trace, old) != MI_SUCCESS ||
        smfi_addheader(ctx, reply_to, answers) != MI_SUCCESS ||
        smfi_chgfrom(ctx, mailbox, NULL) != MI_SUCCESS)
        return SMFIS_TEMPFAIL;
    return SMFIS_CONTINUE;
}

int
main(int argc, char **argv)
{
    static char name[] = "plain_milter";

    if (argc != 3) {
        (void)fprintf(stderr, "usage: plain_milter SOCKET MAILBOX\n");
        return EXIT_FAILURE;
    }
    mailbox = argv[2];
    (void)umask(0);
    if (smfi_register(
            (struct smfiDesc){.xxfi_name = name,
                              .xxfi_version = SMFI_VERSION,
                              .xxfi_flags = ACTIONS | SMFIF_SETSYMLIST,
                              .xxfi_envfrom = on_mail,
                              .xxfi_header = on_header,
                              .xxfi_eom = on_end,
                              .xxfi_negotiate = on_negotiate}) != MI_SUCCESS ||
        smfi_setconn(argv[1]) != MI_SUCCESS ||
        smfi_opensocket(true) != MI_SUCCESS)
        return EXIT_FAILURE;
    (void)puts("listening");
    (void)fflush(stdout);
    return smfi_main() == MI_SUCCESS ? EXIT_SUCCESS : EXIT_FAILURE;
}
