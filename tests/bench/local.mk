# Benchmarks: `make bench-programs`, then tests/bench/NAME.py or, of the durable
# state, tests/bench/store. Not part of
# `make check`: they measure, and a machine that is busy would fail them.

EXTRA_PROGRAMS =
BENCH_NEEDS =
bench-programs: $(EXTRA_PROGRAMS) $(BENCH_NEEDS)
.PHONY: bench-programs

if TOKEND
# The yardstick of what follows, and tokend.py: tokens from a warm cache.
EXTRA_PROGRAMS += %D%/echo_server %D%/lookup_client
BENCH_NEEDS += token-daemon/xoauth2-tokend
%C%_lookup_client_SOURCES = %D%/lookup_client.c
%C%_lookup_client_CFLAGS = $(AM_CFLAGS) $(PIE_CFLAGS)
%C%_lookup_client_LDFLAGS = $(AM_LDFLAGS) $(PIE_LDFLAGS)
%C%_lookup_client_LDADD = common/libcommon.la
%C%_echo_server_SOURCES = %D%/echo_server.c
%C%_echo_server_CFLAGS = $(AM_CFLAGS) $(EVENT_CFLAGS) $(PIE_CFLAGS)
%C%_echo_server_LDFLAGS = $(AM_LDFLAGS) $(PIE_LDFLAGS)
%C%_echo_server_LDADD = common/libcommon.la $(EVENT_LIBS)

# The durable state, on a disk.
EXTRA_PROGRAMS += %D%/store
%C%_store_SOURCES = %D%/store.c
%C%_store_CFLAGS = $(AM_CFLAGS) $(EVENT_CFLAGS) $(SQLITE_CFLAGS) $(PIE_CFLAGS)
%C%_store_LDFLAGS = $(AM_LDFLAGS) $(PIE_LDFLAGS)
%C%_store_LDADD = token-daemon/libtokend.la common/libconfig.la \
	common/libcommon.la $(EVENT_LIBS) $(SQLITE_LIBS)

# mailboxes.py: ten thousand mailboxes with refresh tokens of their own.
EXTRA_PROGRAMS += %D%/fill_state
%C%_fill_state_SOURCES = %D%/fill_state.c
%C%_fill_state_CFLAGS = $(AM_CFLAGS) $(PIE_CFLAGS)
%C%_fill_state_LDFLAGS = $(AM_LDFLAGS) $(PIE_LDFLAGS)
%C%_fill_state_LDADD = token-daemon/libtokend.la common/libconfig.la \
	common/libcommon.la

# in_flight.py: lookups while a thousand refreshes are under way.
EXTRA_PROGRAMS += %D%/lookup_latency %D%/token_server
%C%_lookup_latency_SOURCES = %D%/lookup_latency.c
%C%_lookup_latency_CFLAGS = $(AM_CFLAGS) $(PIE_CFLAGS)
%C%_lookup_latency_LDFLAGS = $(AM_LDFLAGS) $(PIE_LDFLAGS)
%C%_lookup_latency_LDADD = common/libcommon.la
%C%_token_server_SOURCES = %D%/token_server.c
%C%_token_server_CFLAGS = $(AM_CFLAGS) $(EVENT_CFLAGS) $(CRYPTO_CFLAGS) \
	$(PIE_CFLAGS)
%C%_token_server_LDFLAGS = $(AM_LDFLAGS) $(PIE_LDFLAGS)
%C%_token_server_LDADD = -levent_openssl $(EVENT_LIBS) -lssl $(CRYPTO_LIBS)
endif

if PLUGIN
if TOKEND
# plugin.py: one login through libsasl2.
EXTRA_PROGRAMS += %D%/sasl_client
BENCH_NEEDS += sasl-xoauth2/libxoauth2.la
%C%_sasl_client_SOURCES = %D%/sasl_client.c
%C%_sasl_client_CFLAGS = $(AM_CFLAGS) $(SASL_CFLAGS) $(PIE_CFLAGS)
%C%_sasl_client_LDFLAGS = $(AM_LDFLAGS) $(PIE_LDFLAGS)
%C%_sasl_client_LDADD = $(SASL_LIBS)
endif
endif

if MILTER
# soak.py: a mail server's side of many messages; the end-to-end tests have it,
# too.
noinst_PROGRAMS += %D%/milter_load
%C%_milter_load_SOURCES = %D%/milter_load.c
%C%_milter_load_CFLAGS = $(AM_CFLAGS) $(PIE_CFLAGS)
%C%_milter_load_LDFLAGS = $(AM_LDFLAGS) $(PIE_LDFLAGS)

# milter.py: messages through Postfix.
EXTRA_PROGRAMS += %D%/plain_milter
BENCH_NEEDS += milter/sendas-milter %D%/milter_load
%C%_plain_milter_SOURCES = %D%/plain_milter.c
%C%_plain_milter_CFLAGS = $(AM_CFLAGS) $(PIE_CFLAGS)
%C%_plain_milter_LDFLAGS = $(AM_LDFLAGS) $(PIE_LDFLAGS)
%C%_plain_milter_LDADD = $(MILTER_LIBS)
endif

if NEED_CONFIG
# sendas.py: large policies.
EXTRA_PROGRAMS += %D%/sendas_load
%C%_sendas_load_SOURCES = %D%/sendas_load.c
%C%_sendas_load_CFLAGS = $(AM_CFLAGS) $(PIE_CFLAGS)
%C%_sendas_load_LDFLAGS = $(AM_LDFLAGS) $(PIE_LDFLAGS)
%C%_sendas_load_LDADD = common/libconfig.la
endif

CLEANFILES += $(EXTRA_PROGRAMS)
EXTRA_DIST += %D%/disk_full.py %D%/in_flight.py %D%/mailboxes.py %D%/many.py \
	%D%/milter.py %D%/operators.py %D%/plugin.py %D%/python_milter.py %D%/run \
	%D%/sendas.py %D%/soak.py %D%/tokend.py
