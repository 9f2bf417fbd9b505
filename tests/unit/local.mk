# One program per module. A test of a pure module of common/ needs one line in
# the list; one that links a component's library names it in its own LDADD.

if UNIT_TESTS
COMMON_TESTS = \
	%D%/test_address \
	%D%/test_buf \
	%D%/test_charset \
	%D%/test_csv \
	%D%/test_encoded_word \
	%D%/test_from_field \
	%D%/test_log \
	%D%/test_proxy_addresses \
	%D%/test_socketmap \
	%D%/test_strmap \
	%D%/test_utf16

check_PROGRAMS += $(COMMON_TESTS)
LDADD = common/libcommon.la $(CMOCKA_LIBS)

if PLUGIN
PLUGIN_TESTS = \
	%D%/test_client_response \
	%D%/test_mech \
	%D%/test_printable \
	%D%/test_server_error \
	%D%/test_tokend_client \
	%D%/test_tokend_reply

check_PROGRAMS += $(PLUGIN_TESTS)
PLUGIN_TEST_LDADD = sasl-xoauth2/libplugin.la $(CMOCKA_LIBS)
%C%_test_client_response_LDADD = $(PLUGIN_TEST_LDADD)
%C%_test_printable_LDADD = $(PLUGIN_TEST_LDADD)
%C%_test_server_error_LDADD = $(PLUGIN_TEST_LDADD)
%C%_test_tokend_client_SOURCES = %D%/test_tokend_client.c \
	%D%/fake_tokend.c %D%/fake_tokend.h
%C%_test_tokend_client_LDADD = $(PLUGIN_TEST_LDADD) -lpthread
%C%_test_tokend_reply_LDADD = $(PLUGIN_TEST_LDADD)
# Through libsasl2, with the plugin that was built and with the system's.
%C%_test_mech_SOURCES = %D%/test_mech.c %D%/fake_tokend.c %D%/fake_tokend.h
%C%_test_mech_CPPFLAGS = $(AM_CPPFLAGS) $(SASL_CFLAGS) \
	-DPLUGIN_DIR='"$(abs_top_builddir)/sasl-xoauth2/.libs"' \
	-DSYSTEM_SASL_DIR='"$(SYSTEM_SASL_DIR)"'
%C%_test_mech_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=malloc
%C%_test_mech_LDADD = $(PLUGIN_TEST_LDADD) $(SASL_LIBS) -lpthread
endif

if MILTER
MILTER_TESTS = \
	%D%/test_filter \
	%D%/test_header \
	%D%/test_milter_metrics \
	%D%/test_rewrite \
	%D%/test_rewrite_alloc \
	%D%/test_rewrite_limits \
	%D%/test_rewrite_random \
	%D%/test_tally

check_PROGRAMS += $(MILTER_TESTS)
MILTER_TEST_LDADD = milter/libsendas-milter.la $(CMOCKA_LIBS)
%C%_test_filter_SOURCES = %D%/test_filter.c %D%/mail.c %D%/mail.h
%C%_test_filter_LDADD = $(MILTER_TEST_LDADD)
%C%_test_header_LDADD = $(MILTER_TEST_LDADD)
%C%_test_milter_metrics_SOURCES = %D%/test_milter_metrics.c \
	%D%/mail.c %D%/mail.h
%C%_test_milter_metrics_LDADD = $(MILTER_TEST_LDADD)
%C%_test_rewrite_SOURCES = %D%/test_rewrite.c %D%/mail.c %D%/mail.h
%C%_test_rewrite_LDADD = $(MILTER_TEST_LDADD)
%C%_test_rewrite_alloc_SOURCES = %D%/test_rewrite_alloc.c %D%/mail.c \
	%D%/mail.h
%C%_test_rewrite_limits_SOURCES = %D%/test_rewrite_limits.c %D%/mail.c \
	%D%/mail.h
%C%_test_rewrite_limits_LDADD = $(MILTER_TEST_LDADD)
%C%_test_rewrite_random_SOURCES = %D%/test_rewrite_random.c %D%/mail.c \
	%D%/mail.h
%C%_test_rewrite_random_LDADD = $(MILTER_TEST_LDADD)
%C%_test_tally_LDADD = $(MILTER_TEST_LDADD) -lpthread
%C%_test_rewrite_alloc_LDADD = $(MILTER_TEST_LDADD)
%C%_test_rewrite_alloc_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=malloc \
	-Wl,--wrap=calloc -Wl,--wrap=reallocarray -Wl,--wrap=strdup
endif

if TOKEND
TOKEND_TESTS = \
	%D%/test_acquire \
	%D%/test_acquire_alloc \
	%D%/test_acquire_grants \
	%D%/test_assertion \
	%D%/test_backoff \
	%D%/test_control \
	%D%/test_control_login \
	%D%/test_control_server \
	%D%/test_credential_check \
	%D%/test_ctl_format \
	%D%/test_foreign_plugin \
	%D%/test_ctl_page \
	%D%/test_ctl_sign_in_text \
	%D%/test_passphrase \
	%D%/test_delivery_status \
	%D%/test_device_answer \
	%D%/test_discovery_document \
	%D%/test_grant \
	%D%/test_graph_message \
	%D%/test_graph_rotation \
	%D%/test_hardening \
	%D%/test_http \
	%D%/test_id_token \
	%D%/test_login_flow \
	%D%/test_key_maker \
	%D%/test_lookup_key \
	%D%/test_lookup_server \
	%D%/test_lookups \
	%D%/test_machine_identity \
	%D%/test_oauth_response \
	%D%/test_peer_identity \
	%D%/test_peers \
	%D%/test_pkce \
	%D%/test_places \
	%D%/test_provider \
	%D%/test_redirect \
	%D%/test_refresh_token \
	%D%/test_refresher \
	%D%/test_refresher_domain \
	%D%/test_refresher_end \
	%D%/test_refresher_gone \
	%D%/test_repeats \
	%D%/test_retry_after \
	%D%/test_secret_source \
	%D%/test_sent_away \
	%D%/test_signer \
	%D%/test_spread \
	%D%/test_strangers \
	%D%/test_suspects \
	%D%/test_timetable \
	%D%/test_token \
	%D%/test_unix_listener

check_PROGRAMS += $(TOKEND_TESTS)
TOKEND_TEST_CPPFLAGS = $(AM_CPPFLAGS) \
	$(CRYPTO_CFLAGS) $(EVENT_CFLAGS) $(JANSSON_CFLAGS)
TOKEND_TEST_LIBS = token-daemon/libtokend.la common/libconfig.la \
	common/libcommon.la $(EVENT_LIBS) $(CRYPTO_LIBS) $(JANSSON_LIBS) \
	$(CMOCKA_LIBS)
# The world of the refresher and of the lookups, which also reads the log.
FAKE_ENV = %D%/fake_env.c %D%/fake_env.h
FAKE_ENV_LINK = $(AM_LDFLAGS) -Wl,--wrap=log_write
%C%_test_acquire_SOURCES = %D%/test_acquire.c \
	%D%/scripted_server.c %D%/scripted_server.h \
	%D%/self_signed.c %D%/self_signed.h
%C%_test_acquire_CPPFLAGS = $(TOKEND_TEST_CPPFLAGS)
%C%_test_acquire_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_acquire_alloc_SOURCES = %D%/test_acquire_alloc.c \
	%D%/scratch.c %D%/scratch.h \
	%D%/scripted_server.c %D%/scripted_server.h \
	%D%/self_signed.c %D%/self_signed.h
%C%_test_acquire_alloc_CPPFLAGS = $(TOKEND_TEST_CPPFLAGS)
%C%_test_acquire_alloc_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_acquire_alloc_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=malloc \
	-Wl,--wrap=calloc -Wl,--wrap=strdup
%C%_test_acquire_grants_SOURCES = %D%/test_acquire_grants.c \
	%D%/scratch.c %D%/scratch.h \
	%D%/scripted_server.c %D%/scripted_server.h \
	%D%/self_signed.c %D%/self_signed.h
%C%_test_acquire_grants_CPPFLAGS = $(TOKEND_TEST_CPPFLAGS)
%C%_test_acquire_grants_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_assertion_SOURCES = %D%/test_assertion.c \
	%D%/self_signed.c %D%/self_signed.h
%C%_test_assertion_CPPFLAGS = $(TOKEND_TEST_CPPFLAGS)
%C%_test_assertion_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_backoff_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_control_SOURCES = %D%/test_control.c $(FAKE_ENV)
%C%_test_control_CPPFLAGS = $(TOKEND_TEST_CPPFLAGS)
%C%_test_control_LDFLAGS = $(FAKE_ENV_LINK)
%C%_test_control_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_control_login_SOURCES = %D%/test_control_login.c $(FAKE_ENV)
%C%_test_control_login_CPPFLAGS = $(TOKEND_TEST_CPPFLAGS)
%C%_test_control_login_LDFLAGS = $(FAKE_ENV_LINK)
%C%_test_control_login_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_control_server_SOURCES = %D%/test_control_server.c $(FAKE_ENV) \
	%D%/scratch.c %D%/scratch.h %D%/wire_client.c %D%/wire_client.h
%C%_test_control_server_CPPFLAGS = $(TOKEND_TEST_CPPFLAGS)
%C%_test_control_server_LDFLAGS = $(FAKE_ENV_LINK)
%C%_test_control_server_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_passphrase_CPPFLAGS = $(TOKEND_TEST_CPPFLAGS)
%C%_test_passphrase_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_foreign_plugin_CPPFLAGS = $(TOKEND_TEST_CPPFLAGS)
%C%_test_foreign_plugin_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_credential_check_SOURCES = %D%/test_credential_check.c \
	%D%/scratch.c %D%/scratch.h \
	%D%/self_signed.c %D%/self_signed.h
%C%_test_credential_check_CPPFLAGS = $(TOKEND_TEST_CPPFLAGS)
%C%_test_credential_check_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_ctl_page_CPPFLAGS = $(TOKEND_TEST_CPPFLAGS)
%C%_test_ctl_page_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_ctl_sign_in_text_CPPFLAGS = $(TOKEND_TEST_CPPFLAGS)
%C%_test_ctl_sign_in_text_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_ctl_format_CPPFLAGS = $(TOKEND_TEST_CPPFLAGS)
%C%_test_ctl_format_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_delivery_status_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_device_answer_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_discovery_document_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_grant_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_graph_message_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_graph_rotation_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_hardening_CPPFLAGS = $(TOKEND_TEST_CPPFLAGS)
%C%_test_hardening_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_http_SOURCES = %D%/test_http.c \
	%D%/scripted_server.c %D%/scripted_server.h
%C%_test_http_CPPFLAGS = $(TOKEND_TEST_CPPFLAGS)
%C%_test_http_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_id_token_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_login_flow_SOURCES = %D%/test_login_flow.c \
	%D%/scripted_server.c %D%/scripted_server.h
%C%_test_login_flow_CPPFLAGS = $(TOKEND_TEST_CPPFLAGS)
%C%_test_login_flow_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_key_maker_CPPFLAGS = $(TOKEND_TEST_CPPFLAGS)
%C%_test_key_maker_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_lookup_key_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_lookup_server_SOURCES = %D%/test_lookup_server.c $(FAKE_ENV) \
	%D%/scratch.c %D%/scratch.h %D%/wire_client.c %D%/wire_client.h
%C%_test_lookup_server_CPPFLAGS = $(TOKEND_TEST_CPPFLAGS)
%C%_test_lookup_server_LDFLAGS = $(FAKE_ENV_LINK)
%C%_test_lookup_server_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_lookups_SOURCES = %D%/test_lookups.c $(FAKE_ENV)
%C%_test_lookups_LDFLAGS = $(FAKE_ENV_LINK)
%C%_test_lookups_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_machine_identity_SOURCES = %D%/test_machine_identity.c \
	%D%/scratch.c %D%/scratch.h
%C%_test_machine_identity_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_oauth_response_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_peer_identity_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_peers_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_pkce_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_provider_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_redirect_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_refresh_token_SOURCES = %D%/test_refresh_token.c $(FAKE_ENV)
%C%_test_refresh_token_LDFLAGS = $(FAKE_ENV_LINK)
%C%_test_refresh_token_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_spread_SOURCES = %D%/test_spread.c $(FAKE_ENV)
%C%_test_spread_LDFLAGS = $(FAKE_ENV_LINK)
%C%_test_places_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_spread_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_strangers_SOURCES = %D%/test_strangers.c $(FAKE_ENV)
%C%_test_strangers_LDFLAGS = $(FAKE_ENV_LINK)
%C%_test_strangers_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_timetable_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_refresher_SOURCES = %D%/test_refresher.c $(FAKE_ENV)
%C%_test_refresher_LDFLAGS = $(FAKE_ENV_LINK)
%C%_test_refresher_LDADD = $(TOKEND_TEST_LIBS)

%C%_test_refresher_domain_SOURCES = %D%/test_refresher_domain.c $(FAKE_ENV)
%C%_test_refresher_domain_LDFLAGS = $(FAKE_ENV_LINK)
%C%_test_refresher_domain_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_refresher_end_SOURCES = %D%/test_refresher_end.c $(FAKE_ENV)
%C%_test_refresher_end_LDFLAGS = $(FAKE_ENV_LINK)
%C%_test_refresher_end_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_refresher_gone_SOURCES = %D%/test_refresher_gone.c $(FAKE_ENV)
%C%_test_refresher_gone_LDFLAGS = $(FAKE_ENV_LINK)
%C%_test_refresher_gone_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_repeats_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_retry_after_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_sent_away_SOURCES = %D%/test_sent_away.c $(FAKE_ENV)
%C%_test_sent_away_LDFLAGS = $(FAKE_ENV_LINK)
%C%_test_sent_away_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_secret_source_CPPFLAGS = $(TOKEND_TEST_CPPFLAGS)
%C%_test_secret_source_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_signer_SOURCES = %D%/test_signer.c %D%/scratch.c %D%/scratch.h \
	%D%/self_signed.c %D%/self_signed.h
%C%_test_signer_CPPFLAGS = $(TOKEND_TEST_CPPFLAGS)
%C%_test_signer_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_suspects_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_token_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_unix_listener_SOURCES = %D%/test_unix_listener.c $(FAKE_ENV) \
	%D%/scratch.c %D%/scratch.h
%C%_test_unix_listener_LDFLAGS = $(FAKE_ENV_LINK)
%C%_test_unix_listener_LDADD = $(TOKEND_TEST_LIBS)

# What proves that we are the client.
KEY_TESTS = \
	%D%/test_acquire_keys \
	%D%/test_keyring \
	%D%/test_rotation

check_PROGRAMS += $(KEY_TESTS)
%C%_test_acquire_keys_SOURCES = %D%/test_acquire_keys.c \
	%D%/scratch.c %D%/scratch.h \
	%D%/scripted_server.c %D%/scripted_server.h \
	%D%/self_signed.c %D%/self_signed.h
%C%_test_acquire_keys_CPPFLAGS = $(TOKEND_TEST_CPPFLAGS)
%C%_test_acquire_keys_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_keyring_SOURCES = %D%/test_keyring.c $(FAKE_ENV)
%C%_test_keyring_LDFLAGS = $(FAKE_ENV_LINK)
%C%_test_keyring_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_rotation_SOURCES = %D%/test_rotation.c $(FAKE_ENV)
%C%_test_rotation_LDFLAGS = $(FAKE_ENV_LINK)
%C%_test_rotation_LDADD = $(TOKEND_TEST_LIBS)

# What outlives a restart.
STATE_TESTS = \
	%D%/test_change_queue \
	%D%/test_seal \
	%D%/test_seal_key_file \
	%D%/test_shelf \
	%D%/test_sign_ins_random \
	%D%/test_state \
	%D%/test_store \
	%D%/test_store_damage \
	%D%/test_store_kill \
	%D%/test_token_record \
	%D%/test_writer

check_PROGRAMS += $(STATE_TESTS)
STATE_FILES = %D%/state_files.c %D%/state_files.h $(SCRATCH)
%C%_test_change_queue_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_seal_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_seal_key_file_SOURCES = %D%/test_seal_key_file.c $(SCRATCH)
%C%_test_seal_key_file_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_shelf_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_sign_ins_random_SOURCES = %D%/test_sign_ins_random.c $(FAKE_ENV) \
	$(SCRATCH)
%C%_test_sign_ins_random_CPPFLAGS = $(TOKEND_TEST_CPPFLAGS)
%C%_test_sign_ins_random_LDFLAGS = $(FAKE_ENV_LINK)
%C%_test_sign_ins_random_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_state_SOURCES = %D%/test_state.c $(FAKE_ENV) $(SCRATCH)
%C%_test_state_CPPFLAGS = $(TOKEND_TEST_CPPFLAGS)
%C%_test_state_LDFLAGS = $(FAKE_ENV_LINK)
%C%_test_state_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_store_SOURCES = %D%/test_store.c $(STATE_FILES)
%C%_test_store_CPPFLAGS = $(TOKEND_TEST_CPPFLAGS) $(SQLITE_CFLAGS)
%C%_test_store_LDADD = $(TOKEND_TEST_LIBS) $(SQLITE_LIBS)
%C%_test_store_damage_SOURCES = %D%/test_store_damage.c $(STATE_FILES)
%C%_test_store_damage_CPPFLAGS = $(TOKEND_TEST_CPPFLAGS) $(SQLITE_CFLAGS)
%C%_test_store_damage_LDADD = $(TOKEND_TEST_LIBS) $(SQLITE_LIBS)
%C%_test_store_kill_SOURCES = %D%/test_store_kill.c $(STATE_FILES)
%C%_test_store_kill_CPPFLAGS = $(TOKEND_TEST_CPPFLAGS)
%C%_test_store_kill_LDADD = $(TOKEND_TEST_LIBS) -lpthread
%C%_test_token_record_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_writer_SOURCES = %D%/test_writer.c $(STATE_FILES) \
	%D%/faulty_vfs.c %D%/faulty_vfs.h
%C%_test_writer_CPPFLAGS = $(TOKEND_TEST_CPPFLAGS) $(SQLITE_CFLAGS)
%C%_test_writer_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=log_write
%C%_test_writer_LDADD = $(TOKEND_TEST_LIBS) $(SQLITE_LIBS) -lpthread

# What is counted, and who is told.
OBSERVE_TESTS = \
	%D%/test_child \
	%D%/test_events \
	%D%/test_expiries \
	%D%/test_hook \
	%D%/test_metrics \
	%D%/test_status_html \
	%D%/test_troubles

check_PROGRAMS += $(OBSERVE_TESTS)
%C%_test_child_CPPFLAGS = $(TOKEND_TEST_CPPFLAGS)
%C%_test_child_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_events_SOURCES = %D%/test_events.c $(FAKE_ENV)
%C%_test_events_CPPFLAGS = $(TOKEND_TEST_CPPFLAGS)
%C%_test_events_LDFLAGS = $(FAKE_ENV_LINK)
%C%_test_events_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_expiries_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_hook_SOURCES = %D%/test_hook.c $(FAKE_ENV)
%C%_test_hook_CPPFLAGS = $(TOKEND_TEST_CPPFLAGS)
%C%_test_hook_LDFLAGS = $(FAKE_ENV_LINK)
%C%_test_hook_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_metrics_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_status_html_CPPFLAGS = $(TOKEND_TEST_CPPFLAGS)
%C%_test_status_html_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_troubles_LDADD = $(TOKEND_TEST_LIBS)
endif

# What is shown to who looks on.
if NEED_CONFIG
STATUS_TESTS = \
	%D%/test_exposition \
	%D%/test_html \
	%D%/test_status_listener \
	%D%/test_status_page

check_PROGRAMS += $(STATUS_TESTS)
STATUS_TEST_LIBS = common/libstatus.la common/libconfig.la \
	common/libcommon.la $(EVENT_LIBS) $(CMOCKA_LIBS)
%C%_test_exposition_LDADD = $(STATUS_TEST_LIBS)
%C%_test_html_LDADD = $(STATUS_TEST_LIBS)
%C%_test_status_listener_SOURCES = %D%/test_status_listener.c \
	%D%/scratch.c %D%/scratch.h
%C%_test_status_listener_LDADD = $(STATUS_TEST_LIBS)
%C%_test_status_page_CPPFLAGS = $(AM_CPPFLAGS) $(EVENT_CFLAGS)
%C%_test_status_page_LDADD = $(STATUS_TEST_LIBS)

CONFIG_TESTS = \
	%D%/test_config \
	%D%/test_config_alloc \
	%D%/test_config_scan \
	%D%/test_config_secrets \
	%D%/test_config_value \
	%D%/test_ruling \
	%D%/test_sendas \
	%D%/test_sendas_file \
	%D%/test_sendas_import \
	%D%/test_sendas_pool \
	%D%/test_textfile

check_PROGRAMS += $(CONFIG_TESTS)
CONFIG_TEST_LIBS = common/libconfig.la common/libcommon.la $(CMOCKA_LIBS)
SCRATCH = %D%/scratch.c %D%/scratch.h
%C%_test_config_SOURCES = %D%/test_config.c $(SCRATCH)
%C%_test_config_CPPFLAGS = $(AM_CPPFLAGS) -DSOURCE_DIR='"$(abs_top_srcdir)"'
%C%_test_config_LDADD = $(CONFIG_TEST_LIBS)
# The linker sends our own calls, not those of libraries, to the test.
%C%_test_config_alloc_SOURCES = %D%/test_config_alloc.c $(SCRATCH)
%C%_test_config_alloc_LDADD = $(CONFIG_TEST_LIBS)
%C%_test_config_alloc_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=malloc \
	-Wl,--wrap=calloc -Wl,--wrap=realloc -Wl,--wrap=reallocarray \
	-Wl,--wrap=strdup
%C%_test_config_scan_LDADD = $(CONFIG_TEST_LIBS)
%C%_test_config_secrets_SOURCES = %D%/test_config_secrets.c $(SCRATCH)
%C%_test_config_secrets_LDADD = $(CONFIG_TEST_LIBS)
%C%_test_config_value_LDADD = $(CONFIG_TEST_LIBS)
%C%_test_ruling_SOURCES = %D%/test_ruling.c $(SCRATCH)
%C%_test_ruling_LDADD = $(CONFIG_TEST_LIBS)
%C%_test_sendas_SOURCES = %D%/test_sendas.c $(SCRATCH)
%C%_test_sendas_LDADD = $(CONFIG_TEST_LIBS)
%C%_test_sendas_file_SOURCES = %D%/test_sendas_file.c $(SCRATCH)
%C%_test_sendas_file_CPPFLAGS = $(AM_CPPFLAGS) \
	-DSOURCE_DIR='"$(abs_top_srcdir)"'
%C%_test_sendas_file_LDADD = $(CONFIG_TEST_LIBS)
%C%_test_sendas_import_LDADD = $(CONFIG_TEST_LIBS)
%C%_test_sendas_pool_LDADD = $(CONFIG_TEST_LIBS)
%C%_test_textfile_SOURCES = %D%/test_textfile.c $(SCRATCH)
%C%_test_textfile_LDADD = $(CONFIG_TEST_LIBS)
endif
endif

EXTRA_DIST += %D%/tap.sh
