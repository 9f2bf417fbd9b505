# libFuzzer targets, with CC=clang and --enable-fuzzers only; not part of
# `make check`. Each compiles the modules it feeds with the fuzzer's own
# instrumentation. To run one for a minute:
#     tests/fuzz/fuzz_tokend_reply -max_total_time=60

if FUZZERS
FUZZ_CFLAGS = $(AM_CFLAGS) -fsanitize=fuzzer,address,undefined \
	-fno-sanitize-recover=all

# What tokend answers to the plugin.
noinst_PROGRAMS += %D%/fuzz_tokend_reply
%C%_fuzz_tokend_reply_SOURCES = %D%/fuzz_tokend_reply.c \
	common/buf.c common/err.c common/secret.c common/socketmap.c \
	sasl-xoauth2/client_response.c sasl-xoauth2/printable.c \
	sasl-xoauth2/tokend_reply.c
%C%_fuzz_tokend_reply_CFLAGS = $(FUZZ_CFLAGS)

# What a server says when it refuses a token.
noinst_PROGRAMS += %D%/fuzz_server_error
%C%_fuzz_server_error_SOURCES = %D%/fuzz_server_error.c \
	sasl-xoauth2/server_error.c
%C%_fuzz_server_error_CFLAGS = $(FUZZ_CFLAGS)

# What a token endpoint answers, and its headers that speak of time.
if TOKEND
noinst_PROGRAMS += %D%/fuzz_oauth_response %D%/fuzz_retry_after
%C%_fuzz_oauth_response_SOURCES = %D%/fuzz_oauth_response.c \
	common/buf.c common/err.c common/secret.c \
	token-daemon/oauth_response.c token-daemon/problem.c
%C%_fuzz_oauth_response_CFLAGS = $(FUZZ_CFLAGS) $(JANSSON_CFLAGS)
%C%_fuzz_oauth_response_LDADD = $(JANSSON_LIBS)
%C%_fuzz_retry_after_SOURCES = %D%/fuzz_retry_after.c \
	token-daemon/retry_after.c
%C%_fuzz_retry_after_CFLAGS = $(FUZZ_CFLAGS)
endif

# What mail servers ask tokend, and what operators do.
if TOKEND
noinst_PROGRAMS += %D%/fuzz_control %D%/fuzz_delivery_status \
	%D%/fuzz_lookup_key %D%/fuzz_socketmap
%C%_fuzz_control_SOURCES = %D%/fuzz_control.c token-daemon/control.c
%C%_fuzz_control_CFLAGS = $(FUZZ_CFLAGS) $(JANSSON_CFLAGS)
%C%_fuzz_control_LDADD = token-daemon/libtokend.la common/libconfig.la \
	common/libcommon.la $(JANSSON_LIBS)
%C%_fuzz_delivery_status_SOURCES = %D%/fuzz_delivery_status.c \
	common/buf.c common/secret.c token-daemon/delivery_status.c
%C%_fuzz_delivery_status_CFLAGS = $(FUZZ_CFLAGS)
%C%_fuzz_lookup_key_SOURCES = %D%/fuzz_lookup_key.c \
	common/address.c common/buf.c common/config_value.c common/err.c \
	common/secret.c common/utf8.c token-daemon/lookup_key.c
%C%_fuzz_lookup_key_CFLAGS = $(FUZZ_CFLAGS)
%C%_fuzz_socketmap_SOURCES = %D%/fuzz_socketmap.c \
	common/buf.c common/secret.c common/socketmap.c
%C%_fuzz_socketmap_CFLAGS = $(FUZZ_CFLAGS)
endif

# What is kept of a token across a restart.
if TOKEND
noinst_PROGRAMS += %D%/fuzz_token_record
%C%_fuzz_token_record_SOURCES = %D%/fuzz_token_record.c \
	common/buf.c common/err.c common/secret.c common/utf8.c \
	token-daemon/token_record.c
%C%_fuzz_token_record_CFLAGS = $(FUZZ_CFLAGS) $(JANSSON_CFLAGS)
%C%_fuzz_token_record_LDADD = $(JANSSON_LIBS)

# And of the keys of a credential.
noinst_PROGRAMS += %D%/fuzz_keyring_record
%C%_fuzz_keyring_record_SOURCES = %D%/fuzz_keyring_record.c \
	token-daemon/key.c token-daemon/keyring_record.c
%C%_fuzz_keyring_record_CFLAGS = $(FUZZ_CFLAGS) $(JANSSON_CFLAGS)
%C%_fuzz_keyring_record_LDADD = token-daemon/libtokend.la common/libconfig.la \
	common/libcommon.la $(JANSSON_LIBS)
endif

# From: and what the milter makes of it.
noinst_PROGRAMS += %D%/fuzz_from_field
%C%_fuzz_from_field_SOURCES = %D%/fuzz_from_field.c \
	common/address.c common/buf.c common/charset.c \
	common/early_reading.c common/encoded_word.c common/field_token.c \
	common/from_field.c common/secret.c common/utf8.c \
	milter/name_template.c milter/new_field.c milter/phrase.c \
	milter/readable.c
%C%_fuzz_from_field_CFLAGS = $(FUZZ_CFLAGS)

# Addresses, and names that are encoded.
noinst_PROGRAMS += %D%/fuzz_address %D%/fuzz_encoded_word
%C%_fuzz_address_SOURCES = %D%/fuzz_address.c \
	common/address.c common/buf.c common/secret.c common/utf8.c
%C%_fuzz_address_CFLAGS = $(FUZZ_CFLAGS)
%C%_fuzz_encoded_word_SOURCES = %D%/fuzz_encoded_word.c \
	common/buf.c common/charset.c common/encoded_word.c common/secret.c \
	common/utf8.c
%C%_fuzz_encoded_word_CFLAGS = $(FUZZ_CFLAGS)

# A whole message, by sendas-filter. Begin with a few:
#     tests/fuzz/fuzz_message -dict=../tests/fuzz/message.dict corpus
if MILTER
noinst_PROGRAMS += %D%/fuzz_message
%C%_fuzz_message_SOURCES = %D%/fuzz_message.c \
	common/address.c common/buf.c common/charset.c \
	common/early_reading.c common/encoded_word.c \
	common/field_token.c common/from_field.c common/ruling.c \
	common/secret.c common/utf8.c milter/answers.c milter/describe.c \
	milter/filter.c milter/header.c milter/message.c \
	milter/name_template.c milter/new_field.c milter/phrase.c \
	milter/readable.c milter/rewrite.c milter/signatures.c milter/work.c
%C%_fuzz_message_CFLAGS = $(FUZZ_CFLAGS)
%C%_fuzz_message_LDADD = common/libconfig.la common/libcommon.la
endif

# CSV; entries of send_as, and lists of addresses as Exchange prints them.
if NEED_CONFIG
noinst_PROGRAMS += %D%/fuzz_csv %D%/fuzz_entry
%C%_fuzz_csv_SOURCES = %D%/fuzz_csv.c \
	common/buf.c common/csv.c common/err.c common/secret.c
%C%_fuzz_csv_CFLAGS = $(FUZZ_CFLAGS)
%C%_fuzz_entry_SOURCES = %D%/fuzz_entry.c \
	common/address.c common/buf.c common/config_value.c common/err.c \
	common/proxy_addresses.c common/secret.c common/sendas_decide.c \
	common/sendas_pool.c common/utf8.c
%C%_fuzz_entry_CFLAGS = $(FUZZ_CFLAGS)
%C%_fuzz_entry_LDADD = common/libconfig.la
endif

# A send_as_file, and what is imported. Begin with the samples:
#     tests/fuzz/fuzz_sendas_file -dict=../tests/fuzz/sendas_file.dict \
#         corpus ../tests/data/exchange
if NEED_CONFIG
noinst_PROGRAMS += %D%/fuzz_sendas_file
%C%_fuzz_sendas_file_SOURCES = %D%/fuzz_sendas_file.c \
	common/address.c common/buf.c common/config_value.c common/csv.c \
	common/err.c common/proxy_addresses.c common/recipients.c \
	common/secret.c common/sendas_denials.c common/sendas_file.c \
	common/sendas_import.c common/sendas_row.c \
	common/sendas_table.c common/strmap.c common/textfile.c \
	common/utf16.c common/utf8.c
%C%_fuzz_sendas_file_CFLAGS = $(FUZZ_CFLAGS)
endif

# relay.conf. Begin with the examples:
#     tests/fuzz/fuzz_config -dict=../tests/fuzz/config.dict \
#         -close_fd_mask=2 corpus ../contrib
if NEED_CONFIG
noinst_PROGRAMS += %D%/fuzz_config
%C%_fuzz_config_SOURCES = %D%/fuzz_config.c \
	common/address.c common/buf.c common/clock.c common/config.c \
	common/config_check.c common/config_free.c common/config_link.c \
	common/config_print.c common/config_scan.c common/config_section.c \
	common/config_section_credential.c common/config_section_mailbox.c \
	common/config_section_milter.c common/config_section_relay.c \
	common/config_section_tokend.c common/config_value.c common/err.c common/log.c common/secret.c common/sendas.c \
	common/strmap.c common/textfile.c common/utf8.c
%C%_fuzz_config_CFLAGS = $(FUZZ_CFLAGS) $(CONFUSE_CFLAGS)
%C%_fuzz_config_LDADD = common/libconfig.la common/libcommon.la $(CONFUSE_LIBS)
endif
endif

EXTRA_DIST += %D%/config.dict %D%/encoded_word.dict %D%/from_field.dict \
	%D%/message.dict %D%/run \
	%D%/sendas_file.dict
