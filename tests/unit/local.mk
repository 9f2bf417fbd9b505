# One program per module. A test of a pure module of common/ needs one line in
# the list; one that links a component's library names it in its own LDADD.

if UNIT_TESTS
COMMON_TESTS = \
	%D%/test_buf \
	%D%/test_log \
	%D%/test_socketmap \
	%D%/test_strmap

check_PROGRAMS += $(COMMON_TESTS)
LDADD = common/libcommon.la $(CMOCKA_LIBS)

if TOKEND
TOKEND_TESTS = \
	%D%/test_backoff \
	%D%/test_grant \
	%D%/test_oauth_response \
	%D%/test_provider \
	%D%/test_retry_after

check_PROGRAMS += $(TOKEND_TESTS)
TOKEND_TEST_LIBS = token-daemon/libtokend.la common/libcommon.la $(CMOCKA_LIBS)
%C%_test_backoff_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_grant_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_oauth_response_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_provider_LDADD = $(TOKEND_TEST_LIBS)
%C%_test_retry_after_LDADD = $(TOKEND_TEST_LIBS)
endif
endif
