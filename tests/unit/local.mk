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
endif
