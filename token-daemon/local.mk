# The token daemon is a convenience library of all its modules plus a main
# file, so that the unit tests link the very objects that ship. Who
# links it adds common/libconfig.la and common/libcommon.la after it.

if TOKEND
noinst_LTLIBRARIES += %D%/libtokend.la
%C%_libtokend_la_SOURCES = \
	%D%/acquire.c %D%/acquire.h \
	%D%/assertion.c %D%/assertion.h \
	%D%/backoff.c %D%/backoff.h \
	%D%/grant.c %D%/grant.h \
	%D%/grant_client_credentials.c \
	%D%/hardening.c %D%/hardening.h \
	%D%/http.c %D%/http.h \
	%D%/oauth_response.c %D%/oauth_response.h \
	%D%/problem.c %D%/problem.h \
	%D%/provider.c %D%/provider.h \
	%D%/retry_after.c %D%/retry_after.h \
	%D%/secret_source.c %D%/secret_source.h
%C%_libtokend_la_CPPFLAGS = $(AM_CPPFLAGS) \
	$(CURL_CFLAGS) $(CRYPTO_CFLAGS) $(EVENT_CFLAGS) $(JANSSON_CFLAGS)
%C%_libtokend_la_LIBADD = \
	$(CURL_LIBS) $(CRYPTO_LIBS) $(EVENT_LIBS) $(JANSSON_LIBS)
endif

if TOKEND
dist_man_MANS += %D%/xoauth2-tokend.8 %D%/xoauth2ctl.1
endif
