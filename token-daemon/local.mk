# The token daemon is a convenience library of all its modules plus a main
# file, so that the unit tests link the very objects that ship. Who
# links it adds common/libconfig.la and common/libcommon.la after it.

if TOKEND
noinst_LTLIBRARIES += %D%/libtokend.la
%C%_libtokend_la_SOURCES = \
	%D%/acquire.c %D%/acquire.h \
	%D%/application.c %D%/application.h \
	%D%/assertion.c %D%/assertion.h \
	%D%/backoff.c %D%/backoff.h \
	%D%/base64url.c %D%/base64url.h \
	%D%/child.c %D%/child.h \
	%D%/device_answer.c %D%/device_answer.h \
	%D%/discovery.c %D%/discovery.h \
	%D%/discovery_document.c %D%/discovery_document.h \
	%D%/grant.c %D%/grant.h \
	%D%/grant_authorization_code.c \
	%D%/grant_client_credentials.c \
	%D%/grant_device_code.c \
	%D%/grant_managed_identity.c \
	%D%/grant_refresh_token.c \
	%D%/grant_service_account.c \
	%D%/grant_workload_identity.c \
	%D%/graph_client.c %D%/graph_client.h \
	%D%/graph_message.c %D%/graph_message.h \
	%D%/graph_record.c %D%/graph_record.h \
	%D%/graph_renewal.c %D%/graph_renewal.h \
	%D%/graph_rotation.c %D%/graph_rotation.h \
	%D%/graph_rotator.c %D%/graph_rotator.h \
	%D%/hardening.c %D%/hardening.h \
	%D%/http.c %D%/http.h \
	%D%/id_token.c %D%/id_token.h \
	%D%/key_maker.c %D%/key_maker.h \
	%D%/fingerprint.c %D%/fingerprint.h \
	%D%/kept_keys.c %D%/kept_keys.h \
	%D%/key.c %D%/key.h \
	%D%/key_bunch.c %D%/key_bunch.h \
	%D%/key_bunch_record.c %D%/key_bunch_record.h \
	%D%/key_order.c %D%/key_order.h \
	%D%/key_pkcs11.c %D%/key_pkcs11.h \
	%D%/key_reader.c %D%/key_reader.h \
	%D%/key_state.c %D%/key_state.h \
	%D%/key_watch.c %D%/key_watch.h \
	%D%/keyring.c %D%/keyring.h \
	%D%/keyring_record.c %D%/keyring_record.h \
	%D%/login_flow.c %D%/login_flow.h \
	%D%/machine_identity.c %D%/machine_identity.h \
	%D%/oauth_response.c %D%/oauth_response.h \
	%D%/own_certificate.c %D%/own_certificate.h \
	%D%/pkce.c %D%/pkce.h \
	%D%/problem.c %D%/problem.h \
	%D%/proof.c %D%/proof.h \
	%D%/provider.c %D%/provider.h \
	%D%/provider_print.c %D%/provider_print.h \
	%D%/redirect.c %D%/redirect.h \
	%D%/retry_after.c %D%/retry_after.h \
	%D%/secret_source.c %D%/secret_source.h \
	%D%/service_account.c %D%/service_account.h \
	%D%/signer.c %D%/signer.h \
	%D%/token_signer.c %D%/token_signer.h
%C%_libtokend_la_CPPFLAGS = $(AM_CPPFLAGS) \
	$(CURL_CFLAGS) $(CRYPTO_CFLAGS) $(EVENT_CFLAGS) $(JANSSON_CFLAGS) \
	$(SQLITE_CFLAGS)
%C%_libtokend_la_LIBADD = \
	common/libstatus.la $(CURL_LIBS) $(CRYPTO_LIBS) $(EVENT_LIBS) $(JANSSON_LIBS) \
	$(SQLITE_LIBS) -lpthread

# What outlives a restart.
%C%_libtokend_la_SOURCES += \
	%D%/audit_queue.c %D%/audit_queue.h \
	%D%/change_queue.c %D%/change_queue.h \
	%D%/opening.c %D%/opening.h \
	%D%/seal.c %D%/seal.h \
	%D%/seal_key_file.c %D%/seal_key_file.h \
	%D%/state.c %D%/state.h \
	%D%/state_directory.c %D%/state_directory.h \
	%D%/state_file.c %D%/state_file.h \
	%D%/store.c %D%/store.h \
	%D%/token_record.c %D%/token_record.h \
	%D%/writer.c %D%/writer.h

# What decides when, who waits, and who may ask.
%C%_libtokend_la_SOURCES += \
	%D%/acceptor.c %D%/acceptor.h \
	%D%/control.c %D%/control.h \
	%D%/control_access.c %D%/control_access.h \
	%D%/control_audit.c \
	%D%/control_durable.c \
	%D%/control_exchange.c %D%/control_exchange.h \
	%D%/control_forget.c \
	%D%/control_login.c \
	%D%/control_logins.c %D%/control_logins.h \
	%D%/control_reference.c %D%/control_reference.h \
	%D%/control_renewal.c %D%/control_renewal.h \
	%D%/control_server.c %D%/control_server.h \
	%D%/control_keys.c %D%/control_keys.h \
	%D%/control_rotate.c %D%/control_rotate.h \
	%D%/control_status.c \
	%D%/control_token.c \
	%D%/control_transfer.c \
	%D%/credential_check.c %D%/credential_check.h \
	%D%/ctl_format.c %D%/ctl_format.h \
	%D%/foreign_plugin.c %D%/foreign_plugin.h \
	%D%/ctl_page.c %D%/ctl_page.h \
	%D%/ctl_sign_in_text.c %D%/ctl_sign_in_text.h \
	%D%/passphrase.c %D%/passphrase.h \
	%D%/daemon.c %D%/daemon.h \
	%D%/daemon_env.c \
	%D%/daemon_parts.h \
	%D%/delivery_status.c %D%/delivery_status.h \
	%D%/keeper.c %D%/keeper.h \
	%D%/keeper_fetch.c \
	%D%/keeper_leaving.c %D%/keeper_leaving.h \
	%D%/keeper_parts.h \
	%D%/keeper_probe.c \
	%D%/keeper_record.c \
	%D%/keeper_ring.c %D%/keeper_ring.h \
	%D%/keeper_waiters.c \
	%D%/lookup_key.c %D%/lookup_key.h \
	%D%/lookup_server.c %D%/lookup_server.h \
	%D%/lookups.c %D%/lookups.h \
	%D%/names.c %D%/names.h \
	%D%/peer_identity.c %D%/peer_identity.h \
	%D%/peers.c %D%/peers.h \
	%D%/places.c %D%/places.h \
	%D%/planner.c %D%/planner.h \
	%D%/refresh_token.c %D%/refresh_token.h \
	%D%/refresher.c %D%/refresher.h \
	%D%/shelf.c %D%/shelf.h \
	%D%/refusals.c %D%/refusals.h \
	%D%/repeats.c %D%/repeats.h \
	%D%/rotation.c %D%/rotation.h \
	%D%/sent_away.c %D%/sent_away.h \
	%D%/suspects.c %D%/suspects.h \
	%D%/timetable.c %D%/timetable.h \
	%D%/token.c %D%/token.h

# What is counted, and who is told.
%C%_libtokend_la_SOURCES += \
	%D%/events.c %D%/events.h \
	%D%/expiries.c %D%/expiries.h \
	%D%/hook.c %D%/hook.h \
	%D%/metrics.c %D%/metrics.h \
	%D%/observer.c %D%/observer.h \
	%D%/observer_page.c %D%/observer_page.h \
	%D%/strangers.c %D%/strangers.h \
	%D%/status_html.c %D%/status_html.h \
	%D%/troubles.c %D%/troubles.h

sbin_PROGRAMS += %D%/xoauth2-tokend
%C%_xoauth2_tokend_SOURCES = %D%/main.c
%C%_xoauth2_tokend_CFLAGS = $(AM_CFLAGS) $(PIE_CFLAGS)
%C%_xoauth2_tokend_LDFLAGS = $(AM_LDFLAGS) $(PIE_LDFLAGS)
%C%_xoauth2_tokend_LDADD = %D%/libtokend.la common/libservice.la \
	common/libconfig.la

bin_PROGRAMS += %D%/xoauth2ctl
%C%_xoauth2ctl_SOURCES = %D%/xoauth2ctl.c \
	%D%/base64url.c %D%/base64url.h \
	%D%/ctl.c %D%/ctl.h \
	%D%/ctl_audit.c \
	%D%/ctl_client.c %D%/ctl_client.h \
	%D%/ctl_format.c %D%/ctl_format.h \
	%D%/ctl_import.c \
	%D%/ctl_login.c \
	%D%/ctl_page.c %D%/ctl_page.h \
	%D%/ctl_rotate.c \
	%D%/ctl_secret_file.c %D%/ctl_secret_file.h \
	%D%/ctl_sendas.c \
	%D%/ctl_sendas_import.c \
	%D%/ctl_sign_in.c %D%/ctl_sign_in.h \
	%D%/ctl_sign_in_text.c %D%/ctl_sign_in_text.h \
	%D%/ctl_status.c \
	%D%/ctl_token.c \
	%D%/ctl_transfer.c \
	%D%/foreign_plugin.c %D%/foreign_plugin.h \
	%D%/passphrase.c %D%/passphrase.h
%C%_xoauth2ctl_CPPFLAGS = $(AM_CPPFLAGS) \
	$(CRYPTO_CFLAGS) $(EVENT_CFLAGS) $(JANSSON_CFLAGS)
%C%_xoauth2ctl_CFLAGS = $(AM_CFLAGS) $(PIE_CFLAGS)
%C%_xoauth2ctl_LDFLAGS = $(AM_LDFLAGS) $(PIE_LDFLAGS)
%C%_xoauth2ctl_LDADD = common/libstatus.la common/libconfig.la \
	$(CRYPTO_LIBS) $(EVENT_LIBS) $(JANSSON_LIBS)
endif

if TOKEND
dist_man_MANS += %D%/xoauth2-tokend.8 %D%/xoauth2ctl.1
endif
