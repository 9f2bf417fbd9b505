EXTRA_DIST += \
	%D%/__init__.py \
	%D%/__main__.py \
	%D%/application.py \
	%D%/browser.py \
	%D%/build.py \
	%D%/ca.py \
	%D%/daemon.py \
	%D%/debian.py \
	%D%/entra_error.py \
	%D%/exec_with_sockets.py \
	%D%/exim.py \
	%D%/fault.py \
	%D%/faulty_disk.py \
	%D%/foreign_provider.py \
	%D%/foreign_server.py \
	%D%/google.py \
	%D%/grants.py \
	%D%/graph.py \
	%D%/hook.py \
	%D%/https_server.py \
	%D%/issuer.py \
	%D%/leaks.py \
	%D%/listener.py \
	%D%/log_file.py \
	%D%/machine_identity.py \
	%D%/memory.py \
	%D%/milter.py \
	%D%/milter_soak.py \
	%D%/notify.py \
	%D%/plan.py \
	%D%/port.py \
	%D%/postfix.py \
	%D%/postfix_config.py \
	%D%/postfix_lines.py \
	%D%/process.py \
	%D%/prometheus.py \
	%D%/proxy.py \
	%D%/registration.py \
	%D%/relay.py \
	%D%/relay_conf.py \
	%D%/sender_check.py \
	%D%/sendmail.py \
	%D%/sign_in.py \
	%D%/smtp_service.py \
	%D%/socketmap.py \
	%D%/soft_token.py \
	%D%/status_page.py \
	%D%/submission_server.py \
	%D%/token_endpoint.py \
	%D%/tokend.py \
	%D%/wait.py

# A disk that fails when the test says so, for LD_PRELOAD.
if TOKEND
noinst_LTLIBRARIES += %D%/faulty_disk.la
%C%_faulty_disk_la_SOURCES = %D%/faulty_disk.c
%C%_faulty_disk_la_CFLAGS = -std=gnu11 $(WARN_CFLAGS)
%C%_faulty_disk_la_LDFLAGS = -module -avoid-version -shared -rpath /nowhere
%C%_faulty_disk_la_LIBADD = -ldl
endif
