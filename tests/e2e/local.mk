EXTRA_DIST += \
	%D%/attacks.py \
	%D%/conftest.py \
	%D%/from_fields.py \
	%D%/milter_client.py \
	%D%/miltertest \
	%D%/sink.py \
	%D%/test_attacks.py \
	%D%/test_bad_input.py \
	%D%/test_ctl.py \
	%D%/test_delivery.py \
	%D%/test_filter.py \
	%D%/test_grants.py \
	%D%/test_login.py \
	%D%/test_milter_fields.py \
	%D%/test_milter_protocol.py \
	%D%/test_monitoring.py \
	%D%/test_miltertest.py \
	%D%/test_observability.py \
	%D%/test_provider_faults.py \
	%D%/test_refused_tokens.py \
	%D%/test_restart.py \
	%D%/test_rewriting.py \
	%D%/test_secrets.py \
	%D%/test_sendas.py \
	%D%/test_sendmail.py \
	%D%/test_state.py \
	%D%/test_world.py
