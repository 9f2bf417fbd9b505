# The SASL plugin. It runs inside the MTA and links nothing but libc: libsasl2
# is its host, and of common/ it compiles the few files that it needs.
# libplugin.la is all of it but the table, so that unit tests link the very
# objects that ship.

if PLUGIN
noinst_LTLIBRARIES += %D%/libplugin.la
%C%_libplugin_la_SOURCES = \
	common/buf.c common/buf.h \
	common/clock.c common/clock.h \
	common/err.c common/err.h \
	common/secret.c common/secret.h \
	common/socketmap.c common/socketmap.h \
	%D%/client_response.c %D%/client_response.h \
	%D%/mech.c %D%/mech.h \
	%D%/printable.c %D%/printable.h \
	%D%/server_error.c %D%/server_error.h \
	%D%/tokend_client.c %D%/tokend_client.h \
	%D%/tokend_reply.c %D%/tokend_reply.h

saslplugin_LTLIBRARIES += %D%/libxoauth2.la
%C%_libxoauth2_la_SOURCES = %D%/plugin.c
%C%_libxoauth2_la_LIBADD = %D%/libplugin.la
%C%_libxoauth2_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared \
	-export-symbols-regex '^sasl_client_plug_init$$'

dist_man_MANS += %D%/xoauth2-sasl.7

# libsasl2 reads libtool's .la files when they are there; nobody else needs it.
INSTALL_HOOKS += install-plugin-without-la
UNINSTALL_HOOKS += uninstall-plugin
install-plugin-without-la:
	rm -f '$(DESTDIR)$(saslplugindir)/libxoauth2.la'
uninstall-plugin:
	rm -f '$(DESTDIR)$(saslplugindir)/libxoauth2.so'
endif
