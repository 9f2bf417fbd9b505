/*
 * service - without libsystemd: nobody is told, nothing is inherited.
 */
#include "common/service.h"

void
service_ready(void)
{
}

void
service_reloading(void)
{
}

void
service_stopping(void)
{
}

void
service_status(const char *text)
{
    (void)text;
}

int64_t
service_watchdog_ms(void)
{
    return 0;
}

void
service_alive(void)
{
}

int
service_inherited(void)
{
    return 0;
}
