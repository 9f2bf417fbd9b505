# sendas-milter and sendas-filter. libsendas-milter.la: all its modules, which the tests link too.

if MILTER
dist_man_MANS += %D%/sendas-filter.1 %D%/sendas-milter.8
noinst_LTLIBRARIES += %D%/libsendas-milter.la
%C%_libsendas_milter_la_SOURCES = \
	%D%/activity.c %D%/activity.h \
	%D%/answers.c %D%/answers.h \
	%D%/callbacks.c %D%/callbacks.h \
	%D%/describe.c %D%/describe.h \
	%D%/filter.c %D%/filter.h \
	%D%/header.c %D%/header.h \
	%D%/listener.c %D%/listener.h \
	%D%/message.c %D%/message.h \
	%D%/metrics.c %D%/metrics.h \
	%D%/name_template.c %D%/name_template.h \
	%D%/new_field.c %D%/new_field.h \
	%D%/observer.c %D%/observer.h \
	%D%/phrase.c %D%/phrase.h \
	%D%/policy.c %D%/policy.h \
	%D%/readable.c %D%/readable.h \
	%D%/reload.c %D%/reload.h \
	%D%/rewrite.c %D%/rewrite.h \
	%D%/signals.c %D%/signals.h \
	%D%/signatures.c %D%/signatures.h \
	%D%/status_report.c %D%/status_report.h \
	%D%/tally.c %D%/tally.h \
	%D%/work.c %D%/work.h
%C%_libsendas_milter_la_CFLAGS = $(AM_CFLAGS) $(EVENT_CFLAGS) \
	$(JANSSON_CFLAGS) $(PIE_CFLAGS)
%C%_libsendas_milter_la_LIBADD = common/libstatus.la common/libconfig.la \
	common/libservice.la common/libcommon.la $(EVENT_LIBS) \
	$(JANSSON_LIBS) $(MILTER_LIBS)

sbin_PROGRAMS += %D%/sendas-milter
%C%_sendas_milter_SOURCES = %D%/main.c
%C%_sendas_milter_CFLAGS = $(AM_CFLAGS) $(PIE_CFLAGS)
%C%_sendas_milter_LDFLAGS = $(AM_LDFLAGS) $(PIE_LDFLAGS)
%C%_sendas_milter_LDADD = %D%/libsendas-milter.la

bin_PROGRAMS += %D%/sendas-filter
%C%_sendas_filter_SOURCES = %D%/sendas_filter.c
%C%_sendas_filter_CFLAGS = $(AM_CFLAGS) $(PIE_CFLAGS)
%C%_sendas_filter_LDFLAGS = $(AM_LDFLAGS) $(PIE_LDFLAGS)
%C%_sendas_filter_LDADD = %D%/libsendas-milter.la
endif
