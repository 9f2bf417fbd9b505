# Examples, units and the demo. Examples are installed as documentation: an
# administrator copies lines from them. Units go where systemd looks for them
# (--with-systemdsystemunitdir=no: nowhere).

exchangeexampledir = $(docdir)/examples/exchange
dist_exchangeexample_DATA = %D%/exchange/Export-SendAs.ps1

postfixexampledir = $(docdir)/examples/postfix
dist_postfixexample_DATA = \
	%D%/postfix/main.cf.relay \
	%D%/postfix/master.cf.relay

eximexampledir = $(docdir)/examples/exim
dist_eximexample_DATA = %D%/exim/exim4.conf.relay

grafanaexampledir = $(docdir)/examples/grafana
dist_grafanaexample_DATA = \
	%D%/grafana/sendas-milter.json \
	%D%/grafana/xoauth2-tokend.json

prometheusexampledir = $(docdir)/examples/prometheus
dist_prometheusexample_DATA = \
	%D%/prometheus/prometheus.yml \
	%D%/prometheus/sendas-milter.rules.yml \
	%D%/prometheus/xoauth2-relay.rules.yml

relayexampledir = $(docdir)/examples
dist_relayexample_DATA = \
	%D%/relay.conf.certificate \
	%D%/relay.conf.secret

bashcompletiondir = $(datadir)/bash-completion/completions
EXTRA_DIST += %D%/bash-completion/xoauth2ctl
if TOKEND
bashcompletion_DATA = %D%/bash-completion/xoauth2ctl
endif

systemd_units =
systemd_sockets =
EXTRA_DIST += \
	%D%/demo/run \
	%D%/systemd/sendas-milter.service.in \
	%D%/systemd/xoauth2-tokend.service.in

if TOKEND
systemd_units += %D%/systemd/xoauth2-tokend.service
systemd_sockets += \
	%D%/systemd/xoauth2-tokend-control.socket \
	%D%/systemd/xoauth2-tokend.socket
endif
if MILTER
systemd_units += %D%/systemd/sendas-milter.service
systemd_sockets += \
	%D%/systemd/sendas-milter-metrics.socket \
	%D%/systemd/sendas-milter.socket
endif

if SYSTEMD_UNITS
sysusersdir = $(prefix)/lib/sysusers.d
tmpfilesdir = $(prefix)/lib/tmpfiles.d
systemdsystemunit_DATA = $(systemd_units) $(systemd_sockets)
sysusers_DATA = %D%/systemd/sysusers.d/xoauth2-relay.conf
tmpfiles_DATA = %D%/systemd/tmpfiles.d/xoauth2-relay.conf
endif

EXTRA_DIST += \
	%D%/systemd/sendas-milter-metrics.socket \
	%D%/systemd/sendas-milter.socket \
	%D%/systemd/xoauth2-tokend-control.socket \
	%D%/systemd/xoauth2-tokend.socket \
	%D%/systemd/sysusers.d/xoauth2-relay.conf \
	%D%/systemd/tmpfiles.d/xoauth2-relay.conf
CLEANFILES += $(systemd_units)

# Where the programs are is known when make runs.
write_unit = $(AM_V_GEN)$(MKDIR_P) $(@D) && \
	sed 's,@sbindir\@,$(sbindir),g' $(srcdir)/$@.in >$@.tmp && mv $@.tmp $@
%D%/systemd/sendas-milter.service: %D%/systemd/sendas-milter.service.in
	$(write_unit)
%D%/systemd/xoauth2-tokend.service: %D%/systemd/xoauth2-tokend.service.in
	$(write_unit)
