EXTRA_DIST += \
	%D%/conftest.py \
	%D%/test_world.py
