# Examples, units and the demo. Examples are installed as documentation: an
# administrator copies lines from them.

postfixexampledir = $(docdir)/examples/postfix
dist_postfixexample_DATA = \
	%D%/postfix/main.cf.relay \
	%D%/postfix/master.cf.relay
