# What more than one component needs. libcommon.la: everything but the
# configuration; libconfig.la: what reads relay.conf. The plugin compiles the
# few files it needs itself (sasl-xoauth2/local.mk).

noinst_LTLIBRARIES += %D%/libcommon.la
%C%_libcommon_la_SOURCES = \
	%D%/address.c %D%/address.h \
	%D%/buf.c %D%/buf.h \
	%D%/charset.c %D%/charset.h \
	%D%/clock.c %D%/clock.h \
	%D%/csv.c %D%/csv.h \
	%D%/early_reading.c %D%/early_reading.h \
	%D%/encoded_word.c %D%/encoded_word.h \
	%D%/err.c %D%/err.h \
	%D%/field_token.c %D%/field_token.h \
	%D%/from_field.c %D%/from_field.h \
	%D%/log.c %D%/log.h \
	%D%/proxy_addresses.c %D%/proxy_addresses.h \
	%D%/secret.c %D%/secret.h \
	%D%/socketmap.c %D%/socketmap.h \
	%D%/strmap.c %D%/strmap.h \
	%D%/utf16.c %D%/utf16.h \
	%D%/utf8.c %D%/utf8.h \
	%D%/util.h

# What a daemon tells its service manager; configure picks the implementation.
if NEED_CONFIG
noinst_LTLIBRARIES += %D%/libservice.la
%C%_libservice_la_SOURCES = %D%/service.h
if SYSTEMD
%C%_libservice_la_SOURCES += %D%/service_systemd.c
%C%_libservice_la_CFLAGS = $(AM_CFLAGS) $(SYSTEMD_CFLAGS)
%C%_libservice_la_LIBADD = $(SYSTEMD_LIBS)
else
%C%_libservice_la_SOURCES += %D%/service_none.c
endif
EXTRA_DIST += %D%/service_systemd.c %D%/service_none.c

# What goes on, for who looks on. Who links it adds libconfig.la and
# libcommon.la after it.
noinst_LTLIBRARIES += %D%/libstatus.la
%C%_libstatus_la_SOURCES = \
	%D%/exposition.c %D%/exposition.h \
	%D%/histogram.c %D%/histogram.h \
	%D%/html.c %D%/html.h \
	%D%/status_listener.c %D%/status_listener.h \
	%D%/status_page.c %D%/status_page.h \
	%D%/unix_listener.c %D%/unix_listener.h
%C%_libstatus_la_CFLAGS = $(AM_CFLAGS) $(EVENT_CFLAGS)
%C%_libstatus_la_LIBADD = $(EVENT_LIBS)

noinst_LTLIBRARIES += %D%/libconfig.la
%C%_libconfig_la_CFLAGS = $(AM_CFLAGS) $(CONFUSE_CFLAGS)
%C%_libconfig_la_LIBADD = %D%/libcommon.la $(CONFUSE_LIBS)
%C%_libconfig_la_SOURCES = \
	%D%/config.c %D%/config.h \
	%D%/config_check.c %D%/config_check.h \
	%D%/config_credential.c %D%/config_credential.h \
	%D%/config_free.c \
	%D%/config_link.c %D%/config_link.h \
	%D%/config_print.c \
	%D%/config_rotation.c %D%/config_rotation.h \
	%D%/config_reference.c %D%/config_reference.h \
	%D%/config_scan.c %D%/config_scan.h \
	%D%/config_secrets.c \
	%D%/config_section.c %D%/config_section.h \
	%D%/config_section_credential.c %D%/config_section_credential.h \
	%D%/config_section_mailbox.c %D%/config_section_mailbox.h \
	%D%/config_section_milter.c %D%/config_section_milter.h \
	%D%/config_section_relay.c %D%/config_section_relay.h \
	%D%/config_section_tokend.c %D%/config_section_tokend.h \
	%D%/config_value.c %D%/config_value.h \
	%D%/recipients.c %D%/recipients.h \
	%D%/ruling.c %D%/ruling.h \
	%D%/sendas.c %D%/sendas.h \
	%D%/sendas_decide.c \
	%D%/sendas_denials.c %D%/sendas_denials.h \
	%D%/sendas_file.c %D%/sendas_file.h \
	%D%/sendas_import.c %D%/sendas_import.h \
	%D%/sendas_pool.c %D%/sendas_pool.h \
	%D%/sendas_row.c %D%/sendas_row.h \
	%D%/sendas_table.c %D%/sendas_table.h \
	%D%/textfile.c %D%/textfile.h

# Both daemons read that file, so its page comes with either.
dist_man_MANS += token-daemon/relay.conf.5
endif
