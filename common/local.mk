# What more than one component needs. libcommon.la: everything but the
# configuration; libconfig.la: what reads relay.conf. The plugin compiles the
# few files it needs itself (sasl-xoauth2/local.mk).

noinst_LTLIBRARIES += %D%/libcommon.la
%C%_libcommon_la_SOURCES = \
	%D%/address.c %D%/address.h \
	%D%/buf.c %D%/buf.h \
	%D%/clock.c %D%/clock.h \
	%D%/err.c %D%/err.h \
	%D%/log.c %D%/log.h \
	%D%/secret.c %D%/secret.h \
	%D%/socketmap.c %D%/socketmap.h \
	%D%/strmap.c %D%/strmap.h \
	%D%/util.h
