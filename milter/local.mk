# sendas-milter. libsendas-milter.la: all its modules, which the tests link too.

if MILTER
noinst_LTLIBRARIES += %D%/libsendas-milter.la
%C%_libsendas_milter_la_SOURCES = \
	%D%/new_field.c %D%/new_field.h \
	%D%/rewrite.c %D%/rewrite.h
endif
